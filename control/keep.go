package control

import (
	"time"

	"sluice/drain"
	"sluice/healthcheck"
)

// With `on_drain: keep` a backend that is put in drain still takes those who are pinned to it, for a while. That is a fact
// of the State, Backend.Keep: until when. It is saved like the drain itself, so that a kill -9 in between changes nothing;
// its end is a change like any other. While it holds, the gate is open and the backend is in the pool for pins alone.

// kept reports that the backend is in drain and takes those who are pinned to it.
func (b *Backend) kept() bool { return b.Admin == Drain && !b.Keep.IsZero() }

// keeps reports that a pin to the backend is followed while it is kept.
func (b *Backend) keeps() bool {
	return b.kept() && b.Health.State == healthcheck.Up && !b.Ejection.Out()
}

// keepUntil is until when a backend that is put in drain now takes those who are pinned to it; zero: they are moved.
// Nobody is waited for where none was seen for long.
func (c *Controller) keepUntil(k Key, admin Admin, at time.Time) time.Time {
	n := c.now.Load()
	svc, up := n.state.Services[k.Service], n.built.services[k.Service].at(k)
	if admin != Drain || svc.File.Sticky == nil || !svc.File.Sticky.Keep || up == nil || up.Pins.Quiet(at) {
		return time.Time{}
	}
	return at.Add(svc.File.Sticky.KeepFor)
}

// keeping is a drain after which those who are pinned are kept. A zero until leaves it as it is.
func keeping(change Change, k Key, until time.Time) Change {
	if until.IsZero() {
		return change
	}
	return func(s State) (State, error) {
		next, err := change(s)
		if err != nil {
			return next, err
		}
		b := *next.Backend(k)
		b.Keep = until
		return next.with(next.Services[k.Service].with(&b)), nil
	}
}

// endKeep moves those who are still pinned to a backend in drain, unless it is another drain by now.
//
//	before: in drain, kept until 10:30      after: in drain
func endKeep(k Key, until time.Time) Change {
	return func(s State) (State, error) {
		b := s.Backend(k)
		if b == nil || !b.kept() || !b.Keep.Equal(until) {
			return s, ErrUnchanged
		}
		return s.with(s.Services[k.Service].with(b.keepsNobody())), nil
	}
}

func (b *Backend) keepsNobody() *Backend {
	next := *b
	next.Keep = time.Time{}
	return &next
}

// keepsNobody is for a flip: once it is made each request goes to the new pool, whatever it is pinned to.
func (svc *Service) keepsNobody() *Service {
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if b.kept() {
				svc = svc.with(b.keepsNobody())
			}
		}
	}
	return svc
}

// keptLook is how often it is looked whether those who are kept still come.
const keptLook = time.Second

// endDueKeeps ends what is due, and says how long it is to the next look.
func (c *Controller) endDueKeeps() (wait time.Duration, any bool) {
	n, at := c.now.Load(), c.opts.Now()
	wait = keptLook
	for svc, b := range n.state.backends {
		if !b.kept() {
			continue
		}
		any = true
		up := n.built.services[svc.Name].at(b.Key)
		left := b.Keep.Sub(at)
		if left <= 0 || up == nil || up.Pins.Quiet(at) {
			c.endOneKeep(b.Key, b.Keep)
			continue // it is looked for again: the disk may have been full
		}
		wait = min(wait, left)
	}
	return wait, any
}

func (c *Controller) endOneKeep(k Key, until time.Time) {
	at := c.opts.Now()
	o := order{change: endKeep(k, until), began: at, cause: Cause{By: "sluice", Via: "timer", Verb: "drain", Note: "who is pinned to it is moved"}}
	o.fill = func(r *Receipt, _, _ State) {
		r.Service, r.Backend, r.From, r.To = k.Service, k.Pool+"/"+k.Backend, "drain, pins kept", string(Drain)
		r.Pins = c.pinsOf(k, at)
	}
	o.awaits = func(_ State, other Key) bool { return other == k }
	c.apply(c.ctx, o)
}

// pinsOf is about how many clients were lately pinned to a backend that takes traffic.
func (c *Controller) pinsOf(k Key, at time.Time) int {
	if up := c.now.Load().built.services[k.Service].at(k); up != nil {
		return up.Pins.Count(at)
	}
	return 0
}

// followKeep waits until those who are pinned to a backend in drain are kept no more, and then for what is inside.
func (c *Controller) followKeep(op *Operation, k Key, was State) {
	if !c.awaitKept(k) {
		defer c.running.Done()
		defer op.end()
		c.over(op, op.outcome(func(r *Receipt) { r.Why = endedBefore }))
		return
	}
	jobs := c.jobs(was, c.leaversOf(k))
	c.followDrain(op, c.startDrains(jobs), len(jobs))
}

// awaitKept returns false when the Controller is closed first.
func (c *Controller) awaitKept(k Key) bool {
	for {
		news := c.news.wait()
		if b := c.State().Backend(k); b == nil || !b.kept() {
			return true
		}
		select {
		case <-news:
		case <-c.ctx.Done():
			return false
		}
	}
}

// leaversOf are the gates of a backend that are closed and not empty yet, or still open for the pinned.
func (c *Controller) leaversOf(k Key) (all []leaver) {
	n := c.now.Load()
	for _, l := range n.leaving {
		if l.Key == k && !l.left() {
			all = append(all, l)
		}
	}
	if b, up := n.state.Backend(k), n.built.services[k.Service].at(k); up != nil && b.kept() {
		all = append(all, leaver{Key: k, gate: up.Gate, endpoint: up.Endpoint})
	}
	return all
}

// keepInside lists what is inside while pins are kept, and after.
func (c *Controller) keepInside(k Key) func(limit int) drain.Listing {
	return func(limit int) drain.Listing { return c.listing(limit, c.leaversOf(k)) }
}
