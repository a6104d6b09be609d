package control

import (
	"context"
	"fmt"
)

// Split gives shares of a service's new visitors to pools beside the live one, which stays live and takes the rest. Asked
// again it changes the shares: only as many visitors move as have to. With all at the live pool it ends the split, and with
// all at another it is a flip. It returns when new requests go as they are to; the operation is done when what takes none any
// more is empty. Pools that are to take more are checked afresh first.
func (c *Controller) Split(ctx context.Context, service string, want SplitWant, cause Cause) (*Operation, error) {
	began := c.opts.Now()
	cause = cause.whole("split")
	change := func(s State) (State, error) {
		m := moment{c.opts.Now(), cause}
		return judging(split(service, want, m), service, want.Judge, c.beside(service), m)(s)
	}
	for {
		if _, err := change(c.State()); !worthALook(err) {
			break
		}
		for _, pool := range c.State().growing(service, want) {
			c.settle(ctx, service, pool)
		}
		if _, err := change(c.State()); err == nil || !c.awaits(ctx, began.Add(want.Patience)) {
			break
		}
	}
	o := order{began: began, change: change, cause: cause, bakes: service, asksBake: want.Judge.asks()}
	o.fill = func(r *Receipt, before, after State) { r.split(before.Services[service], after.Services[service]) }
	o.awaits = func(after State, k Key) bool { return k.Service == service && !after.Services[service].serves(k.Pool) }
	applied, err := c.apply(ctx, o)
	return applied.Operation, err
}

// growing are the pools beside the live one that are to take more than they do.
func (s State) growing(service string, want SplitWant) (pools []string) {
	svc := s.Services[service]
	if svc == nil {
		return nil
	}
	for _, pool := range sortedKeys(want.Shares) {
		old := svc.arm(pool)
		if pool != svc.Live && (want.Shares[pool] > 0 || want.Only) && (old == nil || want.Shares[pool] > old.Share()) {
			pools = append(pools, pool)
		}
	}
	return pools
}

// split says what the shares were and are.
func (r *Receipt) split(was, is *Service) {
	r.Service, r.From, r.To = is.Name, was.sharesText(), is.sharesText()
	r.Shares = is.shares()
	r.baked(was, is)
	r.Release = is.Pool(is.Live).releases()
	if is.Split != nil && len(is.Split.Arms) == 1 {
		r.Release = is.Pool(is.Split.Arms[0].Pool).releases()
	}
	if live := is.Pool(is.Live); was.Split != nil && is.Split == nil && live.eligible() == 0 {
		r.Warning = fmt.Sprintf("no backend of %s takes requests: %s", live.Name, live.absences())
	}
	for _, p := range is.Pools {
		if was.serves(p.Name) && was.Live == is.Live || !is.serves(p.Name) {
			continue
		}
		if err := is.mayUse(p, false); err != nil {
			r.Warning = "forced: " + err.Error()
		}
	}
}

// endsSplit says so of a change of the live pool.
func (r *Receipt) endsSplit(was, is *Service) {
	if was.Split != nil && is.Split == nil {
		r.From = was.sharesText()
	}
}
