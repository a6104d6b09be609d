package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/config"
	"sluice/drain"
	"sluice/healthcheck"
	"sluice/proxy"
)

// Pause is an operator's word that the new requests of a service wait.
type Pause struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Cause Cause     `json:"cause"`
}

// PauseWant is what has to hold for a pause to be made, and how long it lasts.
type PauseWant struct {
	For     time.Duration // zero: defaultPause, and a pause that is there already goes on as it is
	IfMatch *uint64
}

const (
	// defaultPause is longer than nearly any work that a service is paused for, so that it does not end in the middle of
	// one, and short enough that a pause which was forgotten does not last the night.
	defaultPause = time.Hour
	// longestPause only catches a slip.
	longestPause = 7 * 24 * time.Hour
)

// pause has the new requests of a service wait. One that is paused already is paused for another length.
func pause(service string, want PauseWant, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, want.IfMatch)
		switch {
		case err != nil:
			return s, err
		case want.For < 0 || want.For > longestPause:
			return s, &Refusal{
				Kind: "conflict",
				What: fmt.Sprintf("a pause cannot last %s", want.For),
				Hint: fmt.Sprintf("name a length of up to %s, as in --for 30s", longestPause),
			}
		case svc.Paused != nil && want.For == 0:
			return s, ErrUnchanged
		case want.For == 0:
			want.For = defaultPause
		}
		next := *svc
		next.Paused = &Pause{Since: m.at, Until: m.at.Add(want.For), Cause: m.cause}
		if svc.Paused != nil {
			next.Paused.Since = svc.Paused.Since
		}
		return s.with(&next), nil
	}
}

// resume ends a pause.
func resume(service string, ifMatch *uint64) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, ifMatch)
		if err != nil {
			return s, err
		}
		if svc.Paused == nil {
			return s, ErrUnchanged
		}
		next := *svc
		next.Paused = nil
		return s.with(&next), nil
	}
}

// Pause has the new requests of a service wait, within the caps of its `hold`, until Resume or until the length is over.
// It cuts nothing: what is inside goes on. The operation is done when nothing is inside any more.
func (c *Controller) Pause(ctx context.Context, service string, want PauseWant, cause Cause) (*Operation, error) {
	cause = cause.whole("pause")
	began := c.opts.Now()
	o := order{change: pause(service, want, moment{began, cause}), cause: cause, began: began}
	o.fill = func(r *Receipt, before, after State) {
		r.Service, r.From, r.To = service, before.Services[service].word(), "paused"
		r.Until = &after.Services[service].Paused.Until
	}
	o.inside = func(limit int) drain.Listing { return c.look(limit, c.gatesOf(service), c.now.Load().leaving) }
	o.over = func() (over, done bool) {
		return c.State().Services[service].Paused == nil, c.within(service) == 0
	}
	o.short = func() string { return fmt.Sprintf("resumed with %d inside", c.within(service)) }
	applied, err := c.apply(ctx, o)
	return applied.Operation, err
}

// Resume lets those that wait go on, by the ramp of the service's `hold`. The operation is done when none of them waits.
func (c *Controller) Resume(ctx context.Context, service string, ifMatch *uint64, cause Cause) (*Operation, error) {
	cause = cause.whole("resume")
	o := order{change: resume(service, ifMatch), cause: cause, began: c.opts.Now()}
	o.fill = func(r *Receipt, before, after State) {
		svc := after.Services[service]
		r.Service, r.From, r.To = service, before.Services[service].word(), "serving"
		r.Held = c.room(service).Waiting().Inside
		if p := svc.Pool(svc.Live); p.eligible() == 0 {
			r.Warning = fmt.Sprintf("no backend of %s is ready and up: who waits goes on waiting, for %s at most", p.Name, svc.File.Hold.Age)
		}
	}
	o.over = func() (over, done bool) {
		return c.State().Services[service].Paused != nil, c.room(service).Waiting().Inside == 0
	}
	o.short = func() string { return fmt.Sprintf("paused again with %d waiting", c.room(service).Waiting().Inside) }
	applied, err := c.apply(ctx, o)
	return applied.Operation, err
}

// without says what becomes of requests while the operator has taken each backend out.
func (svc *Service) without() string {
	if svc.gap().hold {
		return fmt.Sprintf("requests of %s wait, for %s at most,", svc.Name, svc.File.Hold.Age)
	}
	return svc.Name + " answers 503"
}

func (svc *Service) word() string {
	if svc.Paused != nil {
		return "paused"
	}
	return "serving"
}

func (c *Controller) room(service string) *proxy.Room {
	return c.now.Load().built.services[service].service.Room
}

// gatesOf are all gates of a service that may have somebody inside.
func (c *Controller) gatesOf(service string) (gates []*drain.Gate) {
	for k, some := range c.view().gates {
		if k.Service == service {
			gates = append(gates, some...)
		}
	}
	return gates
}

// within is how many are inside of a service.
func (c *Controller) within(service string) (n int) {
	for _, g := range c.gatesOf(service) {
		n += g.Inside()
	}
	return n
}

// followEvery is how often it is looked whether a pause has become quiet, or a room empty. Nobody is told of either.
const followEvery = 20 * time.Millisecond

// followCalm is the goroutine of an operation that drains nothing. It ends when the operation is over, by its own end or
// by another command that took its place.
func (c *Controller) followCalm(op *Operation, o order) {
	defer c.running.Done()
	defer op.end()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	why := ""
	over, done := o.over()
	for !over && !done {
		select {
		case <-ticker.C:
			over, done = o.over()
		case <-c.ctx.Done():
			over, why = true, endedBefore
		}
	}
	if !done && why == "" && o.short != nil {
		why = o.short()
	}
	c.over(op, op.outcome(func(r *Receipt) { r.Done, r.Why = done, why }))
}

// gap is what a service does with requests that nobody takes.
type gap struct {
	hold    bool // they wait
	planned bool // and that is the operator's doing
	open    bool // they go to those that are down
}

// gap judges the live pool. What is down and was never up since the operator last said `ready`, or since Sluice began, is
// still coming: a server that was just started is not an outage.
func (svc *Service) gap() gap {
	p := svc.Pool(svc.Live)
	switch {
	case svc.Paused != nil:
		return gap{hold: true, planned: true}
	case slices.ContainsFunc(p.Backends, (*Backend).takes), svc.failOpen():
		return gap{}
	case slices.ContainsFunc(p.Backends, svc.failsOpen):
		return gap{open: true}
	}
	planned := p.planned()
	return gap{hold: svc.File.WhenDown == config.WhenDownHold || planned && svc.File.Hold.On, planned: planned}
}

// takes reports that the backend takes new requests. One with weight 0 takes none, however well it is: it fills no gap.
func (b *Backend) takes() bool { return b.Eligible() && b.Weight > 0 }

func (p *Pool) planned() bool {
	for _, b := range p.Backends {
		if b.Weight > 0 && (b.Admin != Ready || !b.Risen || b.goes()) {
			return true
		}
	}
	return slices.ContainsFunc(p.Named, func(n *Named) bool { return n.Found.Answer.From == "" }) // its servers are still coming
}

// goes reports that a backend is away by its own word: its app asked for a drain, or was just replaced.
func (b *Backend) goes() bool {
	_, kind, _ := b.condition()
	return kind == healthcheck.Draining || kind == healthcheck.Changed
}

// failsOpen reports that a backend takes requests where there is none that is up. One that was not looked at yet does not,
// nor does one that is still coming where requests may wait for it; nor one whose own word keeps it out, which is no check
// that could be wrong.
func (svc *Service) failsOpen(b *Backend) bool {
	return svc.File.WhenDown == config.WhenDownOpen && b.Weight > 0 && b.Admin == Ready && b.Health.State == healthcheck.Down &&
		b.objection() == healthcheck.None && b.Health.Kind != healthcheck.Draining &&
		(b.Risen || !svc.File.Hold.On)
}

func holdsOf(h *config.Hold) proxy.Holds {
	return proxy.Holds{Age: h.Age, Requests: h.Requests, Bytes: int64(h.Bytes), Ramp: h.Ramp}
}

// checkedPath is the path of a service's health checks where that is a path of its own; "/" is also a page.
func checkedPath(h *config.Health) string {
	path, _, _ := strings.Cut(h.Path, "?")
	if path == "/" {
		return ""
	}
	return path
}

// room keeps one room for each service name there ever was.
func (bd *builder) room(service string) *proxy.Room {
	if bd.rooms[service] == nil {
		bd.rooms[service] = &proxy.Room{}
	}
	return bd.rooms[service]
}

func (v *view) hold(svc *Service) HoldStatus {
	one := v.built.services[svc.Name].service
	w := one.Room.Waiting()
	out := HoldStatus{
		State: "serving", Paused: svc.Paused, Held: w.Inside, Bytes: w.Bytes,
		Entered: w.Entered, Released: w.Released, Left: w.Left, Shed: w.Shed(),
		ShedBy: ShedBy{Age: w.ShedAge, Requests: w.ShedFull, Bytes: w.ShedBytes},
	}
	if w.Inside > 0 {
		out.Oldest, out.OldestMS = &w.Oldest, v.at.Sub(w.Oldest).Milliseconds()
	}
	switch {
	case svc.Paused != nil:
		out.State = "paused"
	case one.Hold:
		out.State, out.Why = "waiting", svc.Pool(svc.Live).absences()
	case len(one.Live.Backends()) == 0:
		out.State, out.Why = "failing", svc.Pool(svc.Live).absences()
	case w.Releasing:
		out.State = "releasing"
	}
	return out
}

// gaps tells where requests began to wait for a backend, and where that ended. A pause is told of as the change it is.
func (c *Controller) gaps(was, next *now) (events []Event) {
	for _, name := range next.state.Order {
		is, old := next.built.services[name], was.built.services[name]
		if is == old || is.from.Paused != nil || old != nil && old.from.Paused != nil {
			continue
		}
		began, before := is.service.Hold, old != nil && old.service.Hold
		if began == before {
			continue
		}
		e := Event{Time: c.opts.Now(), Kind: "hold", Service: name, Pool: is.from.Live, Generation: next.state.Generation}
		e.Text = fmt.Sprintf("requests of %s no longer wait for a backend", name)
		if began {
			e.Text = fmt.Sprintf("requests of %s wait for a backend of %s: %s", name, is.from.Live, is.from.Pool(is.from.Live).absences())
		}
		events = append(events, e)
	}
	return events
}

// retryEnd is how soon the end of a pause that could not be saved is tried again.
const retryEnd = time.Second

// endDue ends what is due, and says how long it is to the next.
func (c *Controller) endDue() (wait time.Duration, any bool) {
	wait = longestPause
	for name, svc := range c.State().Services {
		if svc.Paused == nil {
			continue
		}
		left := svc.Paused.Until.Sub(c.opts.Now())
		if left <= 0 {
			if c.endPause(name, svc.Paused) {
				continue
			}
			left = retryEnd
		}
		wait, any = min(wait, left), true
	}
	return wait, any
}

// endPause ends one pause, unless it is another one by now.
func (c *Controller) endPause(service string, p *Pause) bool {
	cause := Cause{By: "sluice", Via: "timer", Verb: "resume", Note: "the pause was for " + p.Until.Sub(p.Since).String()}
	_, err := c.Resume(c.ctx, service, nil, cause)
	var r *Refusal
	return !errors.As(err, &r) || r.Kind == "stopping"
}
