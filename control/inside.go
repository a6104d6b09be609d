package control

import (
	"sluice/drain"
)

// InsideWant chooses from what is inside.
type InsideWant struct {
	Service  string // "": of all services
	Pool     string // "": of all pools
	Backend  string // ADDRESS or POOL/ADDRESS; "": of all backends. It goes with Service
	Draining bool   // only of backends that take no more requests
	Limit    int    // list no more than this; the oldest
}

// Inside lists what is inside now. The error is a *Refusal: there is no such service, pool or backend.
func (c *Controller) Inside(want InsideWant) (drain.Listing, error) {
	v := c.view()
	wanted, err := want.keys(v.state)
	if err != nil {
		return drain.Listing{}, err
	}
	leaving := map[*drain.Gate]bool{}
	for _, l := range v.leaving {
		leaving[l.gate] = true
	}
	var gates []*drain.Gate
	for k, all := range v.gates {
		if !wanted(k) {
			continue
		}
		for _, g := range all {
			if leaving[g] || !want.Draining {
				gates = append(gates, g)
			}
		}
	}
	return c.look(want.Limit, append(gates, v.held(want)...), v.leaving), nil
}

// held is where those are found that wait for a backend. They are inside of none.
func (v *view) held(want InsideWant) (gates []*drain.Gate) {
	if want.Pool != "" || want.Backend != "" || want.Draining {
		return nil
	}
	for name, one := range v.built.services {
		if want.Service == "" || want.Service == name {
			gates = append(gates, one.service.Room.Gate())
		}
	}
	return gates
}

// keys tells which backends are meant.
func (want InsideWant) keys(s State) (func(Key) bool, error) {
	if want.Service == "" {
		return func(k Key) bool { return want.Pool == "" || k.Pool == want.Pool }, nil
	}
	svc, err := s.find(want.Service, nil)
	if err != nil {
		return nil, err
	}
	if want.Backend != "" {
		b, err := svc.locate(want.Pool, want.Backend)
		if err != nil {
			return nil, err
		}
		return func(k Key) bool { return k == b.Key }, nil
	}
	if want.Pool != "" {
		if _, err := svc.find(want.Pool); err != nil {
			return nil, err
		}
	}
	return func(k Key) bool { return k.Service == want.Service && (want.Pool == "" || k.Pool == want.Pool) }, nil
}

// listing is what is inside of leavers.
func (c *Controller) listing(limit int, leavers []leaver) drain.Listing {
	var gates []*drain.Gate
	for _, l := range leavers {
		gates = append(gates, l.gate)
	}
	return c.look(limit, gates, leavers)
}

// look lists what is inside of the gates, and tells what is inside of one that was closed when it is over at the latest.
func (c *Controller) look(limit int, gates []*drain.Gate, leavers []leaver) drain.Listing {
	if len(gates) == 0 {
		return drain.Listing{Items: []drain.Item{}}
	}
	out := c.opts.Proxy.Ledger.Look(limit, gates...)
	closed := map[*drain.Gate]leaver{}
	for _, l := range leavers {
		closed[l.gate] = l
	}
	open := false
	for _, g := range gates {
		switch l, leaves := closed[g]; {
		case g.Inside() == 0:
		case leaves:
			out.EndBy(g, l.since, l.policy)
		default:
			open = true
		}
	}
	if open { // some of a class may go on for as long as it likes
		out.EndsBy = nil
	}
	return out
}
