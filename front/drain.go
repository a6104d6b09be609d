package front

import (
	"context"
	"slices"
	"time"

	"sluice/drain"
)

// idleTick is how often idle connections are looked for while Sluice goes.
const idleTick = 50 * time.Millisecond

// Drain is Sluice's own exit: it stops accepting, answers what comes on kept connections with Connection: close (GOAWAY
// on HTTP/2), closes idle ones after grace, waits for what is inside, cuts it at its deadline, and reports. After it
// nothing is open. A cancelled ctx ends it at once.
func (s *Server) Drain(ctx context.Context, grace time.Duration, policy drain.Policy) drain.Report {
	s.draining.Store(true)
	s.acceptRest()
	s.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.closeIdle(ctx, grace)
	go s.h2.goAway(ctx)
	report := drain.Run(ctx, drain.Job{
		Gates:  []*drain.Gate{s.gate},
		Inside: func() []drain.Item { return s.opts.Proxy.Ledger.Inside() },
		Policy: policy,
	})
	s.Close()
	report.CountClasses()
	return report
}

// acceptRest takes what has already connected: closing a listener resets the connections that wait in it.
func (s *Server) acceptRest() {
	const moment = 10 * time.Millisecond
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
			d.SetDeadline(time.Now().Add(moment))
		}
	}
	time.Sleep(moment)
}

// closeIdle is the goroutine that ends connections which have been idle for the grace. The connection's own goroutine
// closes, after a last look whether a request has come.
func (s *Server) closeIdle(ctx context.Context, grace time.Duration) {
	ticker := time.NewTicker(idleTick)
	defer ticker.Stop()
	for {
		s.each(func(c *conn) {
			if !c.idle.Load() {
				c.idleTicks = 0
				return
			}
			if c.idleTicks++; time.Duration(c.idleTicks)*idleTick >= grace {
				c.ExpireReads(time.Nanosecond)
			}
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
