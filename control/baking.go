package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/healthcheck"
	"sluice/judge"
)

// bakeWait is what waits for the verdict of one bake. end is set before over is closed.
type bakeWait struct {
	id   string
	over chan struct{}
	end  BakeStatus
}

// bakeWaits are those of the bakes that go on, by id. Guarded by Controller.mu.
type bakeWaits map[string]*bakeWait

// expectVerdicts begins to wait for the bakes that a State has. The caller holds mu.
func (c *Controller) expectVerdicts(s State) {
	for _, svc := range s.Services {
		if b := svc.Bake; b.Running() && c.bakes[b.ID] == nil {
			c.bakes[b.ID] = &bakeWait{id: b.ID, over: make(chan struct{})}
		}
	}
}

// settleBakes tells whoever waits for a bake that has ended since an earlier State. The caller holds mu.
func (c *Controller) settleBakes(was, is State) (events []Event) {
	for name, old := range was.Services {
		svc := is.Services[name]
		if svc == nil || svc == old || !old.Bake.Running() {
			continue
		}
		if b := old.Bake.successor(svc); !b.Running() {
			c.bakes.settle(name, b)
			events = append(events, b.event(svc, is.Generation, c.opts.Now()))
		}
	}
	return events
}

// successor is what became of a bake in a later State of its service. Another bake in its place came by another command.
func (b *Bake) successor(svc *Service) *Bake {
	if svc.Bake != nil && svc.Bake.ID == b.ID {
		return svc.Bake
	}
	if b.Split && svc.Bake != nil {
		return b.superseded(moment{svc.Bake.Began, svc.Bake.Cause})
	}
	return b.superseded(moment{svc.Since, svc.Cause})
}

func (w bakeWaits) settle(service string, b *Bake) {
	if one := w[b.ID]; one != nil {
		one.end = b.status(service, b.End.At, judge.Figures{}, judge.Figures{})
		close(one.over)
		delete(w, b.ID)
	}
}

// verdictGiven is a wait that is over.
func verdictGiven(service string, b *Bake) *bakeWait {
	one := &bakeWait{id: b.ID, over: make(chan struct{}), end: b.status(service, b.End.At, judge.Figures{}, judge.Figures{})}
	close(one.over)
	return one
}

// verdictOf is the wait for a bake. One that has ended is waited for no more. The caller holds mu.
func (c *Controller) verdictOf(service string, b *Bake) *bakeWait {
	if b.Running() {
		return c.bakes[b.ID]
	}
	return verdictGiven(service, b)
}

// bakeOf is how the bake that an operation waits for stands.
func (c *Controller) bakeOf(service string, w *bakeWait) *BakeStatus {
	select {
	case <-w.over:
		return &w.end
	default:
	}
	v := c.view()
	if svc := v.state.Services[service]; svc != nil && svc.Bake != nil && svc.Bake.ID == w.id {
		return v.bake(svc)
	}
	<-w.over // it was just replaced
	return &w.end
}

// followBake waits for the verdict, and then for what a rollback took out of traffic: who waits may end those servers next.
func (c *Controller) followBake(op *Operation) {
	if op.bake == nil {
		return
	}
	select {
	case <-op.bake.over:
	case <-c.ctx.Done():
		return
	}
	back := c.Operation(fmt.Sprint(op.bake.end.Rollback))
	if op.bake.end.Rollback == 0 || back == nil {
		return
	}
	select {
	case <-back.Done():
	case <-c.ctx.Done():
	}
}

// Bake returns the operation of a service's latest bake: it is done when the verdict is there.
func (c *Controller) Bake(service string) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.now.Load().state
	svc, err := s.find(service, nil)
	if err != nil {
		return nil, err
	}
	b := svc.Bake
	if b == nil {
		return nil, &Refusal{Kind: "unknown", What: fmt.Sprintf("nothing of %s bakes, or ever has", service), Hint: fmt.Sprintf("flip with `sluice flip %s POOL --bake 60s`", service)}
	}
	if op := c.operations.get(b.ID); op != nil && op.bake != nil && op.bakes() {
		return op, nil
	}
	return c.resumeBake(svc), nil
}

// bakes reports a command that a bake may be of.
func (op *Operation) bakes() bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.receipt.Verb == "flip" || op.receipt.Verb == "split"
}

// resumeBake makes the operation of a flip anew that an earlier process made. The caller holds mu.
func (c *Controller) resumeBake(svc *Service) *Operation {
	b := svc.Bake
	op := &Operation{done: make(chan struct{}), told: make(chan struct{})}
	close(op.told)
	op.receipt = Receipt{
		ID: b.ID, Verb: "flip", Service: svc.Name, From: b.From.Pool, To: b.To.Pool, Release: b.To.release(), Began: b.Began, Done: true, Cause: b.Cause,
	}
	if b.Split {
		op.receipt.Verb = "split"
	}
	fmt.Sscan(b.ID, &op.receipt.Generation)
	c.attach(op, svc.Name, b)
	c.operations.add(op)
	if !b.Running() {
		op.end()
		return op
	}
	c.running.Add(1)
	go c.followResumed(op)
	return op
}

func (c *Controller) followResumed(op *Operation) {
	defer c.running.Done()
	defer op.end()
	c.followBake(op)
}

// attach has an operation wait for the verdict of a bake too. The caller holds mu.
func (c *Controller) attach(op *Operation, service string, b *Bake) {
	w := c.verdictOf(service, b)
	op.bake, op.baking = w, func() *BakeStatus { return c.bakeOf(service, w) }
}

// attachFlip has a flip wait for the bake that it began. One that finds its pool live already waits for the bake that goes on
// there; and when it asks for one, for that which has ended there too. The caller holds mu.
func (c *Controller) attachFlip(op *Operation, o order) {
	svc := c.now.Load().state.Services[o.bakes]
	if svc == nil {
		return
	}
	if b := svc.lastBake(); b != nil && svc.serves(b.To.Pool) && (b.Running() || o.asksBake) {
		c.attach(op, o.bakes, b)
	}
}

// sample is all that a pool has done in this process.
func (c *Controller) sample(service, pool string) judge.Sample {
	s, _ := c.Sample(service, pool)
	return s
}

// BakeFigures is what both sides of a bake have done: the old one before the flip or beside the new one, the new one since, or since this process began.
func (c *Controller) BakeFigures(service string, b *Bake) (old, new judge.Sample) {
	if new = c.sample(service, b.To.Pool).Minus(b.start); b.Split {
		return c.sample(service, b.From.Pool).Minus(b.oldStart), new
	}
	return b.Baseline, new
}

// RollBackBake goes back to the pool before because the new one is worse, and ends the bake with it. A *Refusal says why it cannot
// be done; then nothing was changed and the bake goes on.
func (c *Controller) RollBackBake(ctx context.Context, service, id string, end BakeEnd) (*Operation, error) {
	began := c.opts.Now()
	cause := Cause{By: "bake", Via: "watch", Verb: "rollback", Note: end.Why}.whole("rollback")
	change := func(s State) (State, error) {
		return rollBackBake(service, id, end, moment{c.opts.Now(), cause})(s)
	}
	return c.switchPool(ctx, service, change, cause, order{began: began})
}

// EndBake ends a bake without a change of what serves.
func (c *Controller) EndBake(service, id string, end BakeEnd) error {
	end.At = c.opts.Now()
	return c.recordBake(service, id, func(b *Bake) *Bake { return b.ended(end) })
}

// StickBake records why a release that is worse is not rolled back. The bake goes on.
func (c *Controller) StickBake(service, id, worse, stuck string) error {
	return c.recordBake(service, id, func(b *Bake) *Bake {
		next := *b
		next.Worse, next.Stuck = worse, stuck
		return &next
	})
}

// recordBake is no change of what the operator wants: the generation stays, so that a script's If-Match is not broken by it.
func (c *Controller) recordBake(service, id string, step func(*Bake) *Bake) error {
	events, err := c.saveBake(service, id, step)
	for _, e := range events {
		c.tell(e)
	}
	var r *Refusal
	if errors.As(err, &r) && r.Kind == "storage" {
		c.tell(Event{Time: c.opts.Now(), Kind: "storage", Service: service, Text: "bake of " + service + ": " + r.What + "; " + r.Hint, Generation: c.Generation()})
	}
	return err
}

func (c *Controller) saveBake(service, id string, step func(*Bake) *Bake) ([]Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if err := c.refuses(was); err != nil {
		return nil, err
	}
	svc, err := was.state.underWay(service, id)
	if err != nil {
		return nil, err
	}
	one := *svc
	one.Bake = step(svc.Bake)
	next := *was
	next.state = was.state.with(&one)
	said := one.Bake.event(&one, next.state.Generation, c.opts.Now())
	cause := Cause{By: "bake", Via: "watch", Verb: "bake"}
	e := c.entry("bake", next.state.Generation, service, cause, said.Text)
	e.ID = id
	if err := c.save(next.state, e); err != nil {
		return nil, err
	}
	c.now.Store(&next)
	events := c.settleBakes(was.state, next.state)
	if len(events) == 0 {
		events = []Event{said}
	}
	c.news.tell()
	return events, nil
}

// event tells how a bake stands.
func (b *Bake) event(svc *Service, generation uint64, at time.Time) Event {
	e := Event{Kind: "bake", Service: svc.Name, Pool: b.To.Pool, Generation: generation, Time: at}
	e.Text = fmt.Sprintf("%s of %s/%s: %s", b.verb(), svc.Name, b.To, b.word())
	if s := b.State(); s == RolledBack || s == BakedWorse || b.Stuck != "" && s == Baking {
		e.Kind = "bake_worse"
	}
	return e
}

// verb is what the new pool came to traffic by.
func (b *Bake) verb() string {
	if b.Split {
		return "split"
	}
	return "bake"
}

// word is "passed after 1m0s: 1204 requests, 0.1 % 5xx (blue 0.1 %)".
func (b *Bake) word() string {
	if b.End == nil {
		return fmt.Sprintf("it is worse (%s), and cannot be rolled back: %s", b.Worse, b.Stuck)
	}
	after := b.End.At.Sub(b.Began).Round(100 * time.Millisecond)
	return fmt.Sprintf("%s after %s: %s", b.End.State.words(), after, b.End.Why)
}

func (s BakeState) words() string {
	switch s {
	case RolledBack:
		return "worse, and rolled back"
	case BakedWorse:
		return "worse, and not rolled back"
	case NotEnough:
		return "not enough data"
	}
	return string(s)
}

// Standing is how the backends of a pool are, of those that the operator wants to take requests. One of which nothing is known
// yet, as after a start, is not down; nor is one that goes by its own word.
func (svc *Service) Standing(pool string) (h judge.Health) {
	for _, b := range svc.Pool(pool).Backends {
		if b.Admin != Ready || b.goes() {
			continue
		}
		h.Total++
		if b.Eligible() || b.Health.State == healthcheck.Unknown {
			h.Up++
		}
	}
	return h
}
