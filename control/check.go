package control

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"sluice/config"
	"sluice/healthcheck"
)

// check is the checking of one backend, from when it enters the State or leaves maint until it goes.
type check struct {
	key     Key
	file    *config.Service
	checker *healthcheck.Checker
	stop    context.CancelFunc
	results atomic.Uint64 // checks that ended

	// Owned by the holder of Controller.mu.
	incarnation uint64
	epoch       uint64 // verdicts of another epoch are of an earlier incarnation
}

// restart forgets what was found, for a new incarnation.
func (ch *check) restart(incarnation uint64) {
	ch.incarnation = incarnation
	ch.epoch = ch.checker.Reset()
}

// reconcile returns the checks that the State asks for: one for each backend, live or idle, that is not in maint.
// Those that go on are kept; the others are ended.
func (c *Controller) reconcile(s State, old map[Key]*check) map[Key]*check {
	next := make(map[Key]*check, len(old))
	for svc, b := range s.backends {
		if b.Admin == Maint {
			continue
		}
		ch := old[b.Key]
		switch {
		case ch == nil || ch.file != svc.File:
			ch = c.startCheck(svc, b)
		case ch.incarnation != b.Incarnation:
			ch.restart(b.Incarnation)
		}
		next[b.Key] = ch
	}
	for k, ch := range old {
		if next[k] != ch {
			ch.stop()
		}
	}
	return next
}

func (c *Controller) startCheck(svc *Service, b *Backend) *check {
	spec := specOf(&svc.File.Health, b)
	ctx, stop := context.WithCancel(c.ctx)
	ch := &check{
		key: b.Key, file: svc.File, stop: stop, incarnation: b.Incarnation,
		checker: healthcheck.NewChecker(c.opts.NewProber(spec), spec, c.opts.Rand),
	}
	c.running.Add(1)
	go c.runCheck(ctx, ch)
	return ch
}

func (c *Controller) runCheck(ctx context.Context, ch *check) {
	defer c.running.Done()
	defer ch.stop()
	ch.checker.Run(ctx, func(v healthcheck.Verdict, changed bool) {
		if changed {
			c.findings.add(finding{ch, v})
			c.takeFindings()
		}
		if v.Fails == 1 {
			c.doubt(ch.key)
		}
		ch.results.Add(1)
		c.checked.tell()
	})
}

func specOf(h *config.Health, b *Backend) healthcheck.Spec {
	spec := healthcheck.Spec{
		Off: h.Off, Network: b.Network, Address: b.Dial, Host: cmp.Or(h.Host, b.Host), Path: h.Path,
		Interval: h.Interval, FastInterval: h.FastInterval, Timeout: h.Timeout, Rise: h.Rise, Fall: h.Fall,
		JSON: h.Expect.JSON, Release: h.Release,
	}
	for _, r := range h.Expect.Status {
		spec.Status = append(spec.Status, healthcheck.StatusRange{Low: r.Low, High: r.High})
	}
	return spec
}

// finding is a verdict on its way into the State.
type finding struct {
	check   *check
	verdict healthcheck.Verdict
}

// findings collects verdicts. Whoever gets to change the State takes all that came meanwhile, so that a thousand
// backends that change at once cost a few builds and not a thousand.
type findings struct {
	mu  sync.Mutex
	all []finding
}

func (f *findings) add(one finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, one)
}

func (f *findings) take() []finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// takeFindings makes one change of all verdicts that wait.
func (c *Controller) takeFindings() {
	c.learn(func(was *now) (State, []Event) { return c.observe(was, c.findings.take()) })
}

// learn makes a step that nobody decided: what checks or requests have found. It is not saved and raises no generation.
// A step of which there is nothing to tell has changed nothing.
func (c *Controller) learn(step func(was *now) (State, []Event)) { c.tellSighting(c.applyStep(step)) }

func (c *Controller) applyStep(step func(was *now) (State, []Event)) sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	s, events := step(was)
	s = s.relieved(c.opts.Now())
	events = append(events, c.shifts(was.state, s)...)
	if s.Members != was.state.Members {
		return c.sight(was, s, events)
	}
	if len(events) == 0 {
		return sighting{}
	}
	next := *was
	next.state = s
	var err error
	if next.built, err = c.builder.build(s, was.built); err != nil {
		// Health adds no route, so a build that went well before cannot fail now.
		panic("control: " + err.Error())
	}
	c.install(was, &next)
	return sighting{events: append(events, c.gaps(was, &next)...)}
}

// observe takes verdicts into the State, except those of a check that ended or of an earlier incarnation.
func (c *Controller) observe(was *now, all []finding) (State, []Event) {
	s := was.state
	var events []Event
	for _, f := range all {
		if was.checks[f.check.key] != f.check || f.verdict.Epoch != f.check.epoch {
			continue
		}
		s = s.observed(f.check.key, f.verdict)
		events = append(events, c.healthEvent(f.check.key, f.verdict, s.Generation))
		if next, err := outgrown(f.check.key.Service, f.check.key.Pool)(s); err == nil {
			events, s = append(events, c.nameEvents(s, next)...), next
		}
	}
	return s, events
}

func (c *Controller) healthEvent(k Key, v healthcheck.Verdict, generation uint64) Event {
	text := fmt.Sprintf("%s is %s", k, v.State)
	switch {
	case v.State != healthcheck.Up && v.Reason != "":
		text += ": " + v.Reason
	case v.State != healthcheck.Up && v.Passes > 0:
		text += " and begins to pass"
	case v.Release != "":
		text += ", release " + v.Release
	}
	return Event{
		Time: c.opts.Now(), Kind: "health", Service: k.Service, Pool: k.Pool, Backend: k.Backend,
		Text: text, Generation: generation,
	}
}
