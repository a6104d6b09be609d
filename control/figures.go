package control

import (
	"sluice/judge"
	"sluice/proxy"
)

// poolKey names a pool among those of all services.
type poolKey struct{ service, pool string }

// figuresOf returns those of each pool of a service, with what they counted before.
func (bd *builder) figuresOf(svc *Service) []*proxy.Figures {
	all := make([]*proxy.Figures, 0, len(svc.Pools))
	for _, p := range svc.Pools {
		at := poolKey{svc.Name, p.Name}
		if bd.figures[at] == nil {
			bd.figures[at] = &proxy.Figures{Pool: p.Name}
		}
		all = append(all, bd.figures[at])
	}
	return all
}

// Sample returns how a pool has served since the process began, and whether there is such a pool.
func (c *Controller) Sample(service, pool string) (s judge.Sample, ok bool) {
	one := c.now.Load().built.services[service]
	if one == nil {
		return s, false
	}
	f := one.service.FiguresOf(pool)
	if f == nil {
		return s, false
	}
	return f.Sample(), true
}

// PoolServed is how a pool has served since the process began, as the judge of a release counts it: without clients that
// left, and without what a drain did.
type PoolServed struct {
	judge.Figures
	Answers [6]uint64 `json:"answers"` // by the first digit of the status; 0 is for requests without a whole answer
}

// served is nil of a pool that has not served yet.
func (v *view) served(service, pool string) *PoolServed {
	f := v.built.services[service].service.FiguresOf(pool)
	if f == nil {
		return nil
	}
	s := f.Sample()
	if s.Requests+s.Resets == 0 {
		return nil
	}
	return &PoolServed{Figures: s.Figures(), Answers: f.Answers()}
}
