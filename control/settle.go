package control

import (
	"context"
	"time"

	"sluice/healthcheck"
)

// patience is how long a flip waits for checks at most. A server that needs longer to come up is waited for by whoever
// starts it; the length is arbitrary.
const patience = 5 * time.Second

// settle hurries the checks of a pool and returns when each ready backend has been looked at afresh and nothing more is
// to be learnt soon, or when ctx or the patience ends.
func (c *Controller) settle(ctx context.Context, service, pool string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.resolveAfresh(ctx, service, pool)
	looks := map[*check]uint64{}
	for ctx.Err() == nil {
		checked, news := c.checked.wait(), c.news.wait()
		open := c.unsettled(service, pool, looks)
		if len(open) == 0 {
			return
		}
		for _, ch := range open {
			ch.checker.Hurry()
		}
		select {
		case <-checked:
		case <-news:
		case <-ctx.Done():
		case <-c.ctx.Done():
			return
		}
	}
}

// unsettled returns the checks that have more to say. looks remembers how many results each had when it was first met.
func (c *Controller) unsettled(service, pool string, looks map[*check]uint64) []*check {
	n := c.now.Load()
	svc := n.state.Services[service]
	if svc == nil || svc.Pool(pool) == nil {
		return nil
	}
	var open []*check
	for _, b := range svc.Pool(pool).Backends {
		ch := n.checks[b.Key]
		if ch == nil || b.Admin != Ready {
			continue
		}
		first, met := looks[ch]
		if !met {
			first = ch.results.Load()
			looks[ch] = first
		}
		if !settled(b, ch.checker.Latest(), ch.results.Load()-first, ch.unchecked()) {
			open = append(open, ch)
		}
	}
	return open
}

// settled says whether another look at a backend soon would teach nothing. Two looks are enough for one that is down:
// the first may have asked just before its server was started.
func settled(b *Backend, v healthcheck.Verdict, looks uint64, unchecked bool) bool {
	switch {
	case v.State != b.Health.State:
		return false // on its way into the State
	case v.State == healthcheck.Unknown:
		return false
	case v.State == healthcheck.Up:
		return unchecked || looks > 0 && v.Fails == 0
	}
	return looks > 1 && v.Passes == 0
}
