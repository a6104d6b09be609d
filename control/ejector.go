package control

import (
	"context"
	"fmt"
	"time"

	"sluice/healthcheck"
	"sluice/upstream"
)

// The least time between two looks at what requests met. Each failed request asks for one. The first are granted at once;
// where looks change nothing, because none may be ejected any more, each next one is twice as long in coming.
const (
	firstGap = time.Millisecond
	lookGap  = 50 * time.Millisecond
)

// ejector takes backends out by what requests met at them, and lets them in again. It is owned by its goroutine; requests
// leave no more than a wish.
type ejector struct {
	c       *Controller
	out     map[Key]*absence
	windows map[string]time.Time // when a service's medians are taken next
	gap     time.Duration        // until the next look at least
}

// absence is what is remembered of a backend that is out.
type absence struct {
	check   *check
	results uint64 // checks that had ended when it went out
	hurried bool   // a check was asked for because its time is over
}

// wishToLook asks for a look. Requests call it; it waits for nothing.
func (c *Controller) wishToLook() {
	select {
	case c.wishes <- struct{}{}:
	default:
	}
}

// runEjector looks whenever a request failed, a check of a backend that is out has ended, or something is due.
func (c *Controller) runEjector() {
	defer c.running.Done()
	e := &ejector{c: c, out: map[Key]*absence{}, windows: map[string]time.Time{}, gap: firstGap}
	for c.ctx.Err() == nil {
		checked := c.checked.wait()
		due := e.look(c.opts.Now())
		if len(e.out) == 0 {
			checked = nil
		}
		e.sleepUntil(due, checked)
	}
}

// sleepUntil returns when there may be something to see: at due, which may be never, but not before the gap is over.
func (e *ejector) sleepUntil(due time.Time, checked <-chan struct{}) {
	c := e.c
	gap, cancel := context.WithTimeout(c.ctx, e.gap)
	defer cancel()
	<-gap.Done()
	began := c.opts.Now()
	var timer <-chan time.Time
	if !due.IsZero() {
		timer = time.After(due.Sub(c.opts.Now()))
	}
	select {
	case <-c.wishes:
	case <-checked:
	case <-timer:
	case <-c.ctx.Done():
	}
	e.gap = min(2*e.gap, lookGap)
	if c.opts.Now().Sub(began) >= lookGap {
		e.gap = firstGap // it was quiet
	}
}

// look does what there is to do, and returns when something is due next.
func (e *ejector) look(at time.Time) (due time.Time) {
	n := e.c.now.Load()
	suspects, back := e.suspects(n, at), e.returning(n, at)
	if len(suspects)+len(back) > 0 {
		e.c.learn(func(was *now) (State, []Event) {
			s := was.state
			for _, k := range back {
				s = s.readmitted(k, at)
			}
			return s.eject(was.stillThere(suspects), at), nil
		})
		n = e.c.now.Load()
	}
	e.remember(n)
	return e.due(n, at)
}

// stillThere leaves out those whose stay has ended meanwhile, as by a command: what is there now has done nothing yet.
func (n *now) stillThere(all []suspect) (rest []suspect) {
	for _, one := range all {
		if svc := n.built.services[one.Service]; svc != nil && svc.stays[one.Key].watch == one.watch {
			rest = append(rest, one)
		}
	}
	return rest
}

// suspects lists the backends that should be out. A connection that failed also hurries the check of its backend.
func (e *ejector) suspects(n *now, at time.Time) (all []suspect) {
	for _, name := range n.state.Order {
		svc, one := n.state.Services[name], n.built.services[name]
		for k, s := range one.stays {
			if ch := n.checks[k]; ch != nil && s.watch.Connects() > 0 {
				ch.checker.Hurry()
			}
			if found, bad := svc.judge(k, s.watch); bad {
				all = append(all, found)
			}
		}
		all = append(all, e.laggards(svc, one, at)...)
	}
	return all
}

// judge says whether a backend has failed too often in a row.
func (svc *Service) judge(k Key, w *upstream.Watch) (suspect, bool) {
	limits := &svc.File.Eject
	switch connects, errors := w.Connects(), w.Errors(); {
	case limits.Connect > 0 && connects >= limits.Connect:
		return suspect{k, w, refusing, float64(connects), fmt.Sprintf("%d connections in a row could not be made", connects)}, true
	case limits.Errors > 0 && errors >= limits.Errors:
		return suspect{k, w, failing, float64(errors), fmt.Sprintf("%d requests in a row failed", errors)}, true
	}
	return suspect{}, false
}

// returning lists those that may come in again.
func (e *ejector) returning(n *now, at time.Time) (all []Key) {
	for _, b := range n.state.backends {
		if a := e.out[b.Key]; a != nil && b.Ejection.Out() && a.over(b, n.checks[b.Key], at) {
			all = append(all, b.Key)
		}
	}
	return all
}

// over reports that a backend has been out for long enough. Where there are checks, one that began since must have passed:
// the latest that was under way when it went out proves nothing.
func (a *absence) over(b *Backend, ch *check, at time.Time) bool {
	due := !at.Before(b.Ejection.Until)
	if ch == nil || ch.file.Health.Off {
		return due
	}
	need := 1
	switch {
	case !due && !b.Ejection.early:
		return false
	case !due:
		need = max(1, ch.file.Health.Rise)
	case !a.hurried:
		a.hurried = true
		ch.checker.Hurry()
	}
	v := ch.checker.Latest()
	since := int(ch.results.Load()) - 1
	if a.check == ch {
		since -= int(a.results)
	}
	return v.State == healthcheck.Up && min(v.Passes, since) >= need
}

// remember begins and ends the memory of absences. Who just went out is checked at once.
func (e *ejector) remember(n *now) {
	for _, b := range n.state.backends {
		switch a := e.out[b.Key]; {
		case !b.Ejection.Out():
			delete(e.out, b.Key)
		case a == nil:
			a = &absence{check: n.checks[b.Key]}
			if a.check != nil {
				a.results = a.check.results.Load()
				a.check.checker.Hurry()
			}
			e.out[b.Key] = a
		}
	}
	for k := range e.out {
		if n.state.Backend(k) == nil {
			delete(e.out, k)
		}
	}
}

// due is when the next ejection or window is over; zero: none is.
func (e *ejector) due(n *now, at time.Time) (due time.Time) {
	earlier := func(t time.Time) {
		if t.After(at) && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for _, b := range n.state.backends {
		if b.Ejection.Out() {
			earlier(b.Ejection.Until)
		}
	}
	for _, end := range e.windows {
		earlier(end)
	}
	return due
}
