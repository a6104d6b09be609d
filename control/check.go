package control

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/upstream"
)

// check is the checking of one backend, from when it enters the State or leaves maint until it goes.
type check struct {
	key     Key
	file    *config.Service // which the spec is from
	spec    healthcheck.Spec
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
		case ch == nil || !ch.goesOn(svc, b):
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

// goesOn reports that the backend is still checked in the same way, be it that another part of its service has changed.
func (ch *check) goesOn(svc *Service, b *Backend) bool {
	return ch.file == svc.File || reflect.DeepEqual(ch.spec, specOf(&svc.File.Health, b))
}

func (c *Controller) startCheck(svc *Service, b *Backend) *check {
	spec := specOf(&svc.File.Health, b)
	ctx, stop := context.WithCancel(c.ctx)
	ch := &check{
		key: b.Key, file: svc.File, spec: spec, stop: stop, incarnation: b.Incarnation,
		checker: healthcheck.NewChecker(c.pacer.Pace(c.opts.NewProber(spec)), spec, c.opts.Rand),
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
		if !v.Steady && c.urgent(ch) {
			ch.checker.Hurry()
		}
	})
}

var checkTypes = map[string]healthcheck.Type{"tcp": healthcheck.OverTCP, "grpc": healthcheck.OverGRPC}

func specOf(h *config.Health, b *Backend) healthcheck.Spec {
	spec := healthcheck.Spec{
		Type: checkTypes[h.Type], Off: h.Off, Network: b.Network, Address: b.checkAddress(), Host: cmp.Or(h.Host, b.Host), Path: h.Path, Service: h.Service,
		Interval: h.Interval, FastInterval: h.FastInterval, Timeout: h.Timeout, Rise: h.Rise, Fall: h.Fall,
		JSON: h.Expect.JSON, Release: h.Release, AskedDrain: h.AppDrain, Schema: h.Schema, Spread: true,
	}
	if b.Network == config.NetworkRoot { // looked at in any case: how else would its release be known?
		spec.Type, spec.Off = healthcheck.OfFolder, false
	}
	for _, r := range h.Expect.Status {
		spec.Status = append(spec.Status, healthcheck.StatusRange{Low: r.Low, High: r.High})
	}
	return spec
}

// unchecked says that nothing is asked of the backend.
func (ch *check) unchecked() bool { return ch.spec.Off }

// checkAddress is where the backend is checked: where it is, on another port if the file says so.
func (b *Backend) checkAddress() string {
	host, _, err := net.SplitHostPort(b.Dial)
	if b.HealthPort == 0 || err != nil {
		return b.Dial
	}
	return net.JoinHostPort(host, strconv.Itoa(b.HealthPort))
}

// Checks of a process begin at this pace at least, and so many at once. A thousand backends with the usual interval need
// 500 a second; their first checks are done within a second, and a small installation waits for none. The numbers
// themselves are arbitrary.
const (
	leastPace = 1000
	atOnce    = 32
)

// pacer lets checks begin as fast as they would if all backends of the file were about to change their state.
func pacer(cfg *config.Config, now func() time.Time) *healthcheck.Pacer {
	var perSecond float64
	for i := range cfg.Services {
		svc := &cfg.Services[i]
		for _, p := range svc.Pools {
			if !svc.Health.Off {
				perSecond += float64(len(p.Backends)) / max(svc.Health.FastInterval, time.Millisecond).Seconds()
			}
		}
	}
	return healthcheck.NewPacer(max(leastPace, int(perSecond)), atOnce, now)
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
	var leaving []*upstream.Endpoint
	c.learn(func(was *now) (s State, events []Event) {
		s, events, leaving = c.observe(was, c.findings.take())
		return s, events
	})
	for _, e := range leaving {
		e.CloseIdle() // its server is about to go, and they with it
	}
}

// learn makes a step that nobody decided: what checks or requests have found. It is not saved and raises no generation.
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
	if s.same(was.state) {
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

// same reports that nothing came in since before; services are replaced and never changed.
func (s State) same(before State) bool { return maps.Equal(s.Services, before.Services) }

// observe takes verdicts into the State, except those of a check that ended or of an earlier incarnation.
func (c *Controller) observe(was *now, all []finding) (s State, events []Event, leaving []*upstream.Endpoint) {
	s = was.state
	for _, f := range all {
		if was.checks[f.check.key] != f.check || f.verdict.Epoch != f.check.epoch {
			continue
		}
		before := s.Backend(f.check.key)
		s = s.observed(f.check.key, f.verdict)
		if after := s.Backend(f.check.key); before != nil && before.text() != after.text() {
			events = append(events, c.healthEvent(after, s.Generation))
			if e := was.built.endpoints[address{after.Network, after.Dial}]; e != nil && after.Health.Kind == healthcheck.Draining {
				leaving = append(leaving, e)
			}
		}
		if next, err := outgrown(f.check.key.Service, f.check.key.Pool)(s); err == nil {
			events, s = append(events, c.nameEvents(s, next)...), next
		}
	}
	return s, events, leaving
}

// text is a backend's health in one line.
func (b *Backend) text() string {
	state, _, reason := b.condition()
	text := fmt.Sprintf("%s is %s", b.Key, state)
	switch {
	case state != healthcheck.Up && reason != "":
		text += ": " + reason
	case state != healthcheck.Up && b.Health.Passes > 0:
		text += " and begins to pass"
	case b.Health.Release != "":
		text += ", release " + b.Health.Release
	}
	return text
}

func (c *Controller) healthEvent(b *Backend, generation uint64) Event {
	return Event{
		Time: c.opts.Now(), Kind: "health", Service: b.Service, Pool: b.Pool(), Backend: b.Address(),
		Text: b.text(), Generation: generation,
	}
}
