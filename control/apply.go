package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/drain"
)

// Applied is a change that was made, or that had nothing to do.
type Applied struct {
	Generation    uint64
	Unchanged     bool
	Before, After State
	Operation     *Operation // ends when what the change took out of traffic is drained
	gaps          []Event    // what is to be told besides
}

// Apply makes a change. This is the one road from one State to the next:
//
//	pure step → build → save → swap → close the gates of what takes no more traffic → drain, report
//
// The swap comes before the closing, so that whoever is refused at a gate finds a newer snapshot to go by. Apply returns
// after the closing: what begins later is served as the new State says. An error is a *Refusal, ctx's own, or what the
// change returned; then nothing has changed.
func (c *Controller) Apply(ctx context.Context, change Change, cause Cause) (Applied, error) {
	return c.apply(ctx, order{change: change, cause: cause, began: c.opts.Now()})
}

// order is a change and what is wanted of its operation.
type order struct {
	change Change
	cause  Cause
	began  time.Time
	fill   func(r *Receipt, before, after State) // adds what is particular to the verb; nil: nothing
	awaits func(after State, k Key) bool         // whose earlier gates must be empty too; nil: none
	keeps  *Key                                  // the backend in drain that may still take those pinned to it; nil: none
	rises  *Key                                  // the backend that must be up before it is done; nil: none
	over   func() (over, done bool)              // for what drains nothing: whether it has ended, and whether as it should; nil: see above
	short  func() string                         // what it then falls short of, when it ended otherwise
	inside func(limit int) drain.Listing         // what that waits for

	bakes    string // the service for whose bake it waits; empty: for none
	asksBake bool   // the caller asked for one
}

func (c *Controller) apply(ctx context.Context, o order) (Applied, error) {
	applied, err := c.decide(ctx, o)
	if err != nil {
		return applied, err
	}
	defer close(applied.Operation.told)
	if applied.Unchanged {
		return applied, nil
	}
	r := applied.Operation.Receipt()
	c.tell(Event{
		Time: c.opts.Now(), Kind: "change", Service: r.Service, Backend: r.Backend, Text: r.what(),
		Cause: &r.Cause, Generation: r.Generation, Receipt: &r,
	})
	for _, e := range applied.gaps {
		c.tell(e)
	}
	return applied, nil
}

func (c *Controller) decide(ctx context.Context, o order) (Applied, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if ctx.Err() != nil {
		return Applied{}, ctx.Err()
	}
	if err := c.refuses(was); err != nil {
		return Applied{}, err
	}
	if was.state.made(o.cause.Key, c.opts.Now()) {
		return c.leave(o, was), nil
	}
	after, err := o.change(was.state)
	if errors.Is(err, ErrUnchanged) {
		return c.leave(o, was), nil
	}
	if err != nil {
		return Applied{}, err
	}
	after = after.relieved(c.opts.Now()).using(o.cause.Key, c.opts.Now())
	after.Generation = was.state.Generation + 1
	next, err := c.prepare(was, after)
	if err != nil {
		return Applied{}, err
	}
	op := c.newOperation(o, was.state, after)
	closeFirst(was, next)
	if err := c.save(after, c.entryOf(op.receipt)); err != nil {
		return Applied{}, err
	}
	op.receipt.History = c.head()
	c.expectVerdicts(after)
	c.enact(o, op, was, next)
	gaps := append(c.gaps(was, next), c.shifts(was.state, after)...)
	gaps = append(gaps, c.settleBakes(was.state, after)...)
	return Applied{Generation: after.Generation, Before: was.state, After: after, Operation: op, gaps: gaps}, nil
}

// refuses says why no change can be made now, whatever it is.
func (c *Controller) refuses(was *now) error {
	if !c.closed && !was.stopping {
		return nil
	}
	return &Refusal{
		Kind: "stopping",
		What: "Sluice is stopping: nothing was changed",
		Hint: "ask the Sluice that takes over, or start it again",
	}
}

// prepare builds what is to stand for the State, beside what stands now.
func (c *Controller) prepare(was *now, after State) (*now, error) {
	next := *was
	next.state = after
	err := after.sound()
	if err == nil {
		next.built, err = c.builder.build(after, was.built)
	}
	if err != nil {
		return nil, &Refusal{Kind: "conflict", What: err.Error() + "; nothing was changed", Hint: "ask for another change"}
	}
	return &next, nil
}

// sound refuses a State that cannot be built from.
func (s State) sound() error {
	if len(s.Order) != len(s.Services) {
		return fmt.Errorf("control: %d services in order, and %d in all", len(s.Order), len(s.Services))
	}
	for _, name := range s.Order {
		svc := s.Services[name]
		if svc == nil || svc.Pool(svc.Live) == nil {
			return fmt.Errorf("control: service %s has no live pool", name)
		}
	}
	return nil
}

// leave is a change without effect. Its operation still waits for what an earlier one began: a script that asks again
// after its connection broke gets the answer it wanted.
func (c *Controller) leave(o order, was *now) Applied {
	op := c.newOperation(o, was.state, was.state)
	op.receipt.Unchanged = true
	c.follow(o, op, was.state, c.awaited(o, was, nil))
	return Applied{Generation: was.state.Generation, Unchanged: true, Before: was.state, After: was.state, Operation: op}
}

// enact makes next the State of the moment. Its save has succeeded, so nothing here may fail.
func (c *Controller) enact(o order, op *Operation, was, next *now) {
	next.checks, next.watches = c.reconcile(next.state, was.checks), c.rewatch(next.state, was.watches)
	gone := c.install(was, next)
	op.receipt.Switched = float64(c.opts.Now().Sub(o.began)) / float64(time.Millisecond)
	c.follow(o, op, was.state, c.awaited(o, next, gone))
}

// install puts next in the place of was, in the data plane first, and returns what lost its open gate. The caller closes
// those gates. They are listed before they are closed, so that no look at the State misses who is inside.
func (c *Controller) install(was, next *now) []leaver {
	gone := was.built.gone(next.built)
	for i := range gone {
		gone[i].since = c.opts.Now()
		if svc := was.state.Services[gone[i].Service]; svc != nil {
			gone[i].policy = policy(svc.File)
		}
	}
	next.leaving = append(unfinished(was.leaving), gone...)
	c.opts.Proxy.Swap(next.built.snapshot)
	c.now.Store(next)
	c.news.tell()
	return gone
}

func unfinished(all []leaver) []leaver {
	var rest []leaver
	for _, l := range all {
		if !l.left() {
			rest = append(rest, l)
		}
	}
	return rest
}

// prune forgets gates that have become empty.
func (c *Controller) prune() {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *c.now.Load()
	next.leaving = unfinished(next.leaving)
	c.now.Store(&next)
}

// awaited are the gates that must be empty before the operation is done: those the change closes, and earlier ones.
func (c *Controller) awaited(o order, n *now, gone []leaver) []leaver {
	if o.awaits == nil {
		return gone
	}
	all := gone
	for _, l := range n.leaving {
		if o.awaits(n.state, l.Key) && !l.left() && !contains(gone, l) {
			all = append(all, l)
		}
	}
	return all
}

func contains(all []leaver, one leaver) bool {
	for _, l := range all {
		if l.gate == one.gate {
			return true
		}
	}
	return false
}
