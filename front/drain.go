package front

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sluice/drain"
)

// idleTick is how often idle connections are looked for while Sluice goes.
const idleTick = 50 * time.Millisecond

// Drain is Sluice's own exit: it stops accepting, answers what comes on kept connections with Connection: close (GOAWAY
// on HTTP/2), closes idle ones after grace, waits for what is inside, cuts it at its deadline, and reports. After it
// nothing is open. A cancelled ctx ends it at once.
func (s *Server) Drain(ctx context.Context, grace time.Duration, policy drain.Policy) drain.Report {
	began := time.Now()
	s.draining.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.closeIdle(ctx, grace)
	before := s.opts.Proxy.Ledger.Inside()
	s.serveOn(ctx, began, before, grace, policy)
	s.awaitDeferred()
	ended := s.endedOf(before)
	s.acceptRest()
	s.stop()
	go s.h2.goAway(ctx)
	report := drain.Run(ctx, drain.Job{
		Gates:  []*drain.Gate{s.gate},
		Inside: func() []drain.Item { return s.opts.Proxy.Ledger.Inside() },
		Policy: policy.Sooner(time.Since(began)), Carriers: true,
	})
	s.Close()
	report.Add(ended)
	report.Took = time.Since(began)
	return report
}

// endedOf is what of the work there was has ended since.
func (s *Server) endedOf(before []drain.Item) (ended drain.Report) {
	still := s.stillInside(before)
	for _, it := range before {
		if !still[it.Key] {
			one := drain.Count{Found: 1, Finished: 1}
			ended.Add(drain.Report{Count: one, Classes: map[drain.Class]drain.Count{it.Class: one}})
		}
	}
	return ended
}

// stillInside are the keys of those items that have not ended.
func (s *Server) stillInside(items []drain.Item) map[any]bool {
	still := map[any]bool{}
	if len(items) == 0 {
		return still
	}
	now := map[any]bool{}
	for _, it := range s.opts.Proxy.Ledger.Inside() {
		now[it.Key] = true
	}
	for _, it := range items {
		if now[it.Key] {
			still[it.Key] = true
		}
	}
	return still
}

// longAgo is a deadline that ends a wait at once.
var longAgo = time.Unix(1, 0)

// acceptRest ends the accept loops, each of which takes what has already connected.
func (s *Server) acceptRest() {
	s.mu.Lock()
	for _, l := range s.listeners {
		if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
			d.SetDeadline(longAgo)
		}
	}
	s.mu.Unlock()
	s.accepts.Wait()
}

// admitQueued takes the connections that wait in a listener, without waiting for more: its close, which follows at once,
// would reset them, and they may carry requests already.
func (s *Server) admitQueued(l net.Listener, door string, conf *tls.Config) {
	raw := rawOf(l)
	if raw == nil {
		return
	}
	raw.Control(func(fd uintptr) {
		for {
			queued, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			s.admitFD(queued, door, conf)
		}
	})
}

func (s *Server) admitFD(fd int, door string, conf *tls.Config) {
	f := os.NewFile(uintptr(fd), "queued")
	defer f.Close()
	if nc, err := net.FileConn(f); err == nil {
		s.admit(nc, door, conf)
	}
}

// closeIdle is the goroutine that ends connections which have been idle for the grace. The connection's own goroutine
// closes, after a last look whether a request has come.
func (s *Server) closeIdle(ctx context.Context, grace time.Duration) {
	ticker := time.NewTicker(idleTick)
	defer ticker.Stop()
	for {
		for _, c := range s.idleFor(grace) {
			s.wakeUp(c)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// idleFor ends the wait of connections that have been idle for the grace, one call being one tick of it. It returns those
// that rest, and so do not wait.
func (s *Server) idleFor(grace time.Duration) (resting []*conn) {
	s.each(func(c *conn) {
		if !c.idle.Load() {
			c.idleTicks = 0
			return
		}
		if c.idleTicks++; time.Duration(c.idleTicks)*idleTick < grace {
			return
		}
		c.ExpireReads(time.Nanosecond)
		if c.ex == nil {
			resting = append(resting, c)
		}
	})
	return resting
}

// wakeUp ends a connection that rests, unless a request has come at that very moment.
func (s *Server) wakeUp(c *conn) {
	switch {
	case !s.lot.leave(c): // it was woken by what came
	case c.Quiet():
		c.end()
	default:
		s.resume(c)
	}
}
