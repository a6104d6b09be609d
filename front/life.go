package front

import (
	"context"
	"sync/atomic"
	"time"
)

// life is how long a client's connection goes on. At its end the next answer is the last, and says so: no request is cut
// for it. It spreads clients anew over the proxies that an address leads to, and lets a new configuration reach them all.
type life struct {
	until    time.Time // zero: no end
	most     int64     // requests; 0: no end
	door     string    // that a connection of HTTP/2 came in by, as in proxy.Peer
	answered atomic.Int64
}

// jitter is the part of its age by which one connection lives longer or shorter than another: those that were opened
// together, as after a restart, do not end together.
const jitter = 0.1

func (s *Server) newLife() *life {
	l := new(life)
	l.begin(&s.opts)
	return l
}

// begin is birth, of a life that may have been lived before.
func (l *life) begin(o *Options) {
	l.most, l.until = int64(o.MaxRequests), time.Time{}
	l.answered.Store(0)
	if age := float64(o.Timeouts.Age); age > 0 {
		l.until = time.Now().Add(time.Duration(age * (1 - jitter + 2*jitter*o.Random())))
	}
}

// last counts an answer, to a request that began at a moment, and reports whether it is to be the last.
func (l *life) last(began time.Time) bool {
	if l.most > 0 && l.answered.Add(1) >= l.most {
		return true
	}
	return !l.until.IsZero() && began.After(l.until)
}

type lifeKey struct{}

// begin gives an HTTP/2 connection its life; its streams find it by lifeOf.
func (s *Server) begin(ctx context.Context, door string) context.Context {
	l := s.newLife()
	l.door = door
	return context.WithValue(ctx, lifeKey{}, l)
}

func lifeOf(ctx context.Context) *life { return ctx.Value(lifeKey{}).(*life) }
