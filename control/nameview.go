package control

import "slices"

// names says what is known of the names of a pool.
func (v *view) names(p *Pool) (all []NameStatus) {
	for _, n := range p.Named {
		f := n.Found
		one := NameStatus{Name: n.File.Address, Addresses: len(f.Answer.Addresses), Reason: f.Failure}
		if w := v.watches[nameOf(n.File)]; w != nil {
			f = w.Latest()
			one.Lookups, one.Failures, one.Asked, one.Next = f.Lookups, f.Failures, f.Asked, f.Next
		}
		one.Answered = f.Failure == "" && !f.Asked.IsZero()
		one.Since, one.Reason = f.Since, f.Failure
		one.From, one.TTL, one.More = f.Answer.From, f.Answer.TTL.Seconds(), f.Answer.More
		all = append(all, one)
	}
	return all
}

// leavers are the backends that a pool has no more and that have somebody inside.
func (v *view) leavers(svc *Service, p *Pool) (all []LeavingStatus) {
	for _, l := range v.leaving {
		if l.Service != svc.Name || l.Pool != p.Name || p.Backend(l.Backend) != nil {
			continue
		}
		known := slices.ContainsFunc(all, func(o LeavingStatus) bool { return o.Address == l.Backend })
		if n := v.inside(l.Key); n > 0 && !known {
			all = append(all, LeavingStatus{Address: l.Backend, Inside: n, InsideBy: v.classes(l.Key)})
		}
	}
	return all
}
