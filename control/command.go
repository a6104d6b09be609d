package control

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Flip makes pool the live one of service. It returns when every new request goes there; the operation is done when
// the pools that were live before are empty.
//
// It looks before it leaps: each backend of pool is checked afresh, so that a script that has just started the servers
// needs no sleep and one that has just stopped them by mistake is told so; with patience it looks until all is well. A flip to the live pool changes nothing.
// The error is a *Refusal, and then nothing was changed, or ctx's own.
func (c *Controller) Flip(ctx context.Context, service, pool string, want FlipWant, cause Cause) (*Operation, error) {
	began := c.opts.Now()
	cause = cause.whole("flip")
	change := func(s State) (State, error) {
		m := moment{c.opts.Now(), cause}
		return baking(flip(service, pool, want, m), service, want.Bake, c.beside(service), m)(s)
	}
	c.scout(ctx, service, pool, change, began.Add(want.Patience))
	return c.switchPool(ctx, service, change, cause, order{began: began, bakes: service, asksBake: want.Bake.asks()})
}

// scout has the pool checked until the change would be made, until, or until time has nothing more to bring: a schema that
// does not fit is looked at twice, as the first answer may be of before a migration.
func (c *Controller) scout(ctx context.Context, service, pool string, change Change, until time.Time) {
	for misfits := 0; misfits < 2; {
		if _, err := change(c.State()); !worthALook(err) {
			return
		}
		c.settle(ctx, service, pool)
		_, err := change(c.State())
		if refusalKind(err) == "schema" {
			misfits++
		}
		if err == nil || !c.awaits(ctx, until) {
			return
		}
	}
}

// lookAgain is how long a flip that waits for its pool lets a while go by before it has all of it checked again.
const lookAgain = 500 * time.Millisecond

// awaits lets a while go by, unless the patience or ctx ends before. It reports whether there is time to look again.
func (c *Controller) awaits(ctx context.Context, until time.Time) bool {
	if !c.opts.Now().Add(lookAgain).Before(until) {
		return false
	}
	return c.lull(ctx, lookAgain)
}

// lull lets a while go by, and reports whether it did: neither ctx nor the Controller ended meanwhile.
func (c *Controller) lull(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return false
}

// worthALook says whether fresh checks could change the answer.
func worthALook(err error) bool {
	var r *Refusal
	if errors.As(err, &r) && r.final {
		return false
	}
	switch refusalKind(err) {
	case "unhealthy", "release", "schema", "retired":
		return true
	}
	return err == nil
}

func refusalKind(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Kind
	}
	return ""
}

// Rollback makes the previous pool of service live again. It waits for no check: one backend that is up is enough. A
// rollback can itself be rolled back.
func (c *Controller) Rollback(ctx context.Context, service string, want FlipWant, cause Cause) (*Operation, error) {
	began := c.opts.Now()
	cause = cause.whole("rollback")
	change := func(s State) (State, error) {
		return rollback(service, want, moment{c.opts.Now(), cause})(s)
	}
	return c.switchPool(ctx, service, change, cause, order{began: began})
}

// switchPool applies a change of the live pool.
func (c *Controller) switchPool(ctx context.Context, service string, change Change, cause Cause, o order) (*Operation, error) {
	o.change, o.cause = change, cause
	o.fill = func(r *Receipt, before, after State) {
		r.Service, r.From, r.To = service, before.Services[service].Live, after.Services[service].Live
		r.Release = after.Services[service].Pool(r.To).releases()
		if err := after.Services[service].mayUse(after.Services[service].Pool(r.To), false); err != nil && r.From != r.To {
			r.Warning = "forced: " + err.Error()
		}
		r.cameBack(before.Services[service], after.Services[service])
		r.baked(before.Services[service], after.Services[service])
		r.endsSplit(before.Services[service], after.Services[service])
	}
	o.awaits = func(after State, k Key) bool {
		return k.Service == service && !after.Services[service].serves(k.Pool)
	}
	applied, err := c.apply(ctx, o)
	return applied.Operation, err
}

// SetAdmin changes what the operator wants of one backend, which is named ADDRESS or POOL/ADDRESS; pool may narrow the
// choice. The operation of drain and maint is done when nothing is inside, that of ready when the backend has passed a
// fresh check and is in rotation. The last backend of a live pool may be drained too; the receipt warns of it.
func (c *Controller) SetAdmin(ctx context.Context, service, backend, pool string, admin Admin, want AdminWant, cause Cause) (*Operation, error) {
	cause = cause.whole(string(admin))
	began := c.opts.Now()
	k, err := c.State().key(service, pool, backend)
	if err != nil {
		return nil, err
	}
	o := order{change: setAdmin(k.Service, k.Pool, k.Backend, admin, want, moment{began, cause}), cause: cause, began: began}
	o.change = keeping(o.change, k, c.keepUntil(k, admin, began))
	o.fill = func(r *Receipt, before, after State) {
		r.administered(k, before, after)
		r.Pins = c.pinsOf(k, began)
	}
	o.awaits = func(_ State, other Key) bool { return other == k }
	switch admin {
	case Ready:
		o.rises = &k
	case Drain:
		o.keeps = &k
	}
	applied, err := c.apply(ctx, o)
	return applied.Operation, err
}

func (s State) key(service, pool, backend string) (Key, error) {
	svc, err := s.find(service, nil)
	if err != nil {
		return Key{}, err
	}
	b, err := svc.locate(pool, backend)
	if err != nil {
		return Key{}, err
	}
	return b.Key, nil
}

func (r *Receipt) administered(k Key, before, after State) {
	was, is := before.Backend(k), after.Backend(k)
	r.Service, r.Backend, r.Name = k.Service, k.Pool+"/"+k.Backend, was.Name
	r.From, r.To = string(was.Admin), string(is.Admin)
	svc := after.Services[k.Service]
	if was.Eligible() && svc.Live == k.Pool && svc.Pool(k.Pool).eligible() == 0 {
		r.Warning = "that was the last one: " + svc.without() + " until a backend of " + k.Pool + " is ready and up"
	}
}

// maxText is how long the words of a cause may be. They are shown in one line; the length is arbitrary.
const maxText = 500

// whole fills in the verb where the caller left it out, and shortens what would not be read.
func (cause Cause) whole(verb string) Cause {
	if cause.Verb == "" {
		cause.Verb = verb
	}
	cause.By, cause.Note = shorten(cause.By), shorten(cause.Note)
	return cause
}

func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
