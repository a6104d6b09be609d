package control

import (
	"sync"

	"sluice/upstream"
)

// asks are the backends that asked for their drain in an answer to a client, each once however often it did.
type asks struct {
	news chan struct{} // holds one notice at most; written by requests, read by one goroutine

	mu  sync.Mutex
	all map[*upstream.Backend]struct{}
}

// AppDrain takes in that a backend asked for its own drain in an answer to a client. It waits for nothing, and may be
// called by every request there is.
func (c *Controller) AppDrain(b *upstream.Backend) {
	a := &c.asks
	a.mu.Lock()
	if a.all == nil {
		a.all = map[*upstream.Backend]struct{}{}
	}
	a.all[b] = struct{}{}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (a *asks) take() map[*upstream.Backend]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

// heed passes on what backends ask for, to their checks.
func (c *Controller) heed() {
	defer c.running.Done()
	for {
		select {
		case <-c.asks.news:
		case <-c.ctx.Done():
			return
		}
		for b := range c.asks.take() {
			c.heedOne(b)
		}
	}
}

// heedOne concerns no other backend than the one that spoke, and only while it holds the place in which it was asked: what
// an earlier server said at the same address is over.
func (c *Controller) heedOne(b *upstream.Backend) {
	n, k := c.now.Load(), Key{b.Service, b.Pool, b.Name}
	now := n.built.services[b.Service].at(k)
	ch := n.checks[k]
	if now == nil || now.Gate != b.Gate || ch == nil || !ch.file.Health.AppDrain {
		return
	}
	ch.checker.Drain(c.opts.Now())
}
