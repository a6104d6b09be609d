package healthcheck

import (
	"context"
	"sync"
	"time"
)

// Pacer spreads the checks of many servers: it lets a few begin at once and the others after them at a steady pace. What
// is bounded is how many begin and not how many run, so that servers which never answer do not keep the rest from being
// asked. Its methods may be called concurrently.
type Pacer struct {
	gap   time.Duration // between two that begin
	burst time.Duration // how far ahead of the pace a start may be
	now   func() time.Time

	mu  sync.Mutex
	due time.Time // when the next would begin if none had been let ahead
}

// NewPacer returns a pacer of so many starts a second, of which burst may come at once after a quiet time.
func NewPacer(perSecond, burst int, now func() time.Time) *Pacer {
	gap := time.Second / time.Duration(max(perSecond, 1))
	return &Pacer{gap: gap, burst: gap * time.Duration(max(burst, 1)-1), now: now}
}

// Pace returns a prober that waits for its turn before each probe.
func (p *Pacer) Pace(of Prober) Prober { return paced{of, p} }

type paced struct {
	of    Prober
	pacer *Pacer
}

func (p paced) Probe(ctx context.Context) Result {
	if wait := p.pacer.turn(); wait > 0 && !sleep(ctx, wait) {
		return Result{At: p.pacer.now(), Cancelled: true, Reason: "check called off"}
	}
	return p.of.Probe(ctx)
}

// turn takes the next turn and returns how long it is until then.
func (p *Pacer) turn() time.Duration {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.Before(now) {
		p.due = now
	}
	wait := p.due.Sub(now) - p.burst
	p.due = p.due.Add(p.gap)
	return wait
}

// sleep reports whether d went by before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
