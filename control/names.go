package control

import (
	"fmt"
	"maps"
	"slices"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/names"
)

// Named is a place in a pool that a name fills with the addresses it stands for.
type Named struct {
	File  *config.Backend // as the file has it
	Found names.Finding   // as of its last change
	// Kept are decisions of an earlier process on addresses of the name, by address. They wait for the first answer: what
	// it has goes on as decided, what it has not is gone, and the decision with it.
	Kept map[string]*Decision
}

// nameOf is what is looked up for a backend of the file.
func nameOf(b *config.Backend) names.Name {
	return names.Name{Host: b.Name.Host, Port: uint16(b.Name.Port), Service: b.Name.Service}
}

// trouble says why the name has no address that could be used; empty: it has.
func (n *Named) trouble() string {
	switch {
	case len(n.Found.Answer.Addresses) > 0:
		return ""
	case n.Found.Failure != "":
		return n.File.Address + " has no address (" + n.Found.Failure + ")"
	}
	return n.File.Address + " has no address yet"
}

// named returns the place of that name, or nil.
func (p *Pool) named(name string) *Named {
	for _, n := range p.Named {
		if n.File.Address == name {
			return n
		}
	}
	return nil
}

// gather returns the pool with the backends that its file and its names now give it. One that stays is the same backend
// as before, with all that was found and decided about it; one that is new has not been found to be anything. An address
// that stands in more than one place is one backend, and belongs to the first of them.
func (p *Pool) gather(service string) *Pool {
	next := &Pool{Name: p.Name, File: p.File, Named: p.Named}
	seen := map[string]bool{}
	for i := range p.File.Backends {
		fb := &p.File.Backends[i]
		for _, b := range p.placesOf(fb) {
			if b.Key = (Key{Service: service, Pool: p.Name, Backend: b.Key.Backend}); seen[b.Address()] {
				continue
			}
			seen[b.Address()] = true
			next.Backends = append(next.Backends, p.Backend(b.Address()).goesOnAs(b))
		}
	}
	if next.eligible() == 0 {
		next.Backends = append(next.Backends, p.lastOnes(next)...)
	}
	return next
}

// lastOnes are the backends that take traffic and that next has no more. Where next has nothing to put in their place,
// they stay until it has, or until they are down: a container that is replaced by one with another address is often
// still there while the new one starts.
func (p *Pool) lastOnes(next *Pool) (all []*Backend) {
	for _, b := range p.Backends {
		if b.Eligible() && next.Backend(b.Address()) == nil {
			if !b.Gone {
				last := *b
				last.Gone = true
				b = &last
			}
			all = append(all, b)
		}
	}
	return all
}

// placesOf are the backends that one entry of the file stands for, as nobody has seen them yet.
func (p *Pool) placesOf(fb *config.Backend) []*Backend {
	n := p.named(fb.Address)
	if n == nil {
		return []*Backend{{
			Key: Key{Backend: fb.Address}, Network: fb.Network, Dial: fb.Dial, Weight: fb.Weight, Max: fb.MaxConnections, HealthPort: fb.HealthPort, Admin: Ready,
		}}
	}
	all := make([]*Backend, 0, len(n.Found.Answer.Addresses))
	for _, a := range n.Found.Answer.Addresses {
		all = append(all, n.place(a))
	}
	return all
}

func (n *Named) place(a names.Address) *Backend {
	at := a.At.String()
	b := &Backend{
		Key: Key{Backend: at}, Network: n.File.Network, Dial: at, Name: n.File.Address, Host: n.File.Dial,
		Weight: n.File.Weight, Max: n.File.MaxConnections, HealthPort: n.File.HealthPort, Admin: Ready,
	}
	if n.File.Name.Service {
		b.Weight, b.Host = a.Weight, fmt.Sprintf("%s:%d", a.Target, a.At.Port())
	}
	if d := n.Kept[at]; d != nil {
		b.Admin, b.Decided = Admin(d.Value), d
	}
	return b
}

// goesOnAs returns what b says is there now, with all that is known of it; the same one when nothing is new.
func (old *Backend) goesOnAs(b *Backend) *Backend {
	if old == nil {
		return b
	}
	next := *old
	next.Name, next.Host, next.Weight, next.Max, next.HealthPort, next.Gone = b.Name, b.Host, b.Weight, b.Max, b.HealthPort, false
	if next == *old {
		return old
	}
	return &next
}

// learnt is a Change that takes what is known of a name into the State. Like a verdict it is no decision.
//
//	before: web/default app:3000 → 10.0.0.5, 10.0.0.6     after: app:3000 → 10.0.0.6, 10.0.0.7 (unknown)
func learnt(name names.Name, f names.Finding) Change {
	return func(s State) (State, error) {
		before := s
		for _, service := range s.Order {
			for _, p := range s.Services[service].Pools {
				if next := p.learnt(service, name, f); next != p {
					s = s.with(s.Services[service].withPool(next).judged())
				}
			}
		}
		return s.regathered(before)
	}
}

// regathered counts the change, if it is one.
func (s State) regathered(before State) (State, error) {
	for name, svc := range s.Services {
		if before.Services[name] != svc {
			s.Members++
			return s, nil
		}
	}
	return before, ErrUnchanged
}

func (p *Pool) learnt(service string, name names.Name, f names.Finding) *Pool {
	i := slices.IndexFunc(p.Named, func(n *Named) bool { return nameOf(n.File) == name })
	if i < 0 {
		return p
	}
	if f.Failure != "" {
		f.Answer = p.Named[i].Found.Answer
	}
	next := *p
	next.Named = slices.Clone(p.Named)
	n := *p.Named[i]
	n.Found = f
	next.Named[i] = &n
	out := next.gather(service)
	if f.Failure == "" {
		n.Kept = nil // what the answer has is decided on again, the rest is gone
	}
	return out
}

// keeping returns the pool with a saved decision that waits until its address is found again.
func (p *Pool) keeping(old savedBackend) *Pool {
	next := *p
	next.Named = slices.Clone(p.Named)
	for i, n := range p.Named {
		if n.File.Address == old.Name {
			with := *n
			with.Kept = maps.Clone(n.Kept)
			if with.Kept == nil {
				with.Kept = map[string]*Decision{}
			}
			with.Kept[old.Address] = old.Admin
			next.Named[i] = &with
		}
	}
	return &next
}

// outgrown is a Change that takes out of a pool what only stood in for something else, and what is down and denied by the
// DNS: there both agree that the server is gone, and its address may soon be another's.
func outgrown(service, pool string) Change {
	return func(s State) (State, error) {
		svc := s.Services[service]
		was := svc.Pool(pool)
		if len(was.Named) == 0 {
			return s, ErrUnchanged
		}
		is := was
		for _, b := range was.Backends {
			if n := was.named(b.Name); n != nil && n.Found.Absent && b.Health.State == healthcheck.Down {
				is = is.without(is.named(b.Name), b.Key)
			}
		}
		if slices.ContainsFunc(is.Backends, func(b *Backend) bool { return b.Gone }) {
			is = is.gather(service)
		}
		if slices.Equal(is.Backends, was.Backends) {
			return s, ErrUnchanged
		}
		return s.with(svc.withPool(is)).regathered(s)
	}
}

// without returns the pool after a name has lost one address.
func (p *Pool) without(n *Named, k Key) *Pool {
	lost := *n
	lost.Found.Answer.Addresses = slices.DeleteFunc(slices.Clone(n.Found.Answer.Addresses), func(a names.Address) bool {
		return a.At.String() == k.Backend
	})
	next := *p
	next.Named = slices.Clone(p.Named)
	next.Named[slices.Index(p.Named, n)] = &lost
	return next.gather(k.Service)
}
