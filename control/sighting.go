package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/names"
)

// resolving is why the members of a pool change without a decision.
func resolving() Cause { return Cause{By: "dns", Via: "dns", Verb: "resolve"} }

// sighting is what was found and taken into the State, and is to be told of.
type sighting struct {
	events []Event
	ops    []*Operation // the drains of what is gone
}

func (c *Controller) tellSighting(s sighting) {
	for _, e := range s.events {
		c.tell(e)
	}
	for _, op := range s.ops {
		close(op.told)
	}
}

// takeNames makes one change of all that names have brought.
func (c *Controller) takeNames() { c.tellSighting(c.applyNames()) }

func (c *Controller) applyNames() sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	s := was.state
	for _, w := range c.renamed.take() {
		if was.watches[w.Name] != w {
			continue
		}
		if next, err := learnt(w.Name, w.Latest())(s); err == nil {
			s = next.grown()
		}
	}
	if s.Members == was.state.Members {
		return sighting{}
	}
	events := c.nameEvents(was.state, s)
	s = s.relieved(c.opts.Now())
	return c.sight(was, s, append(events, c.shifts(was.state, s)...))
}

// grown takes out of each pool what is outgrown.
func (s State) grown() State {
	for _, service := range s.Order {
		for _, p := range s.Services[service].Pools {
			if next, err := outgrown(service, p.Name)(s); err == nil {
				s = next
			}
		}
	}
	return s
}

// sight puts a State with other members in the place of was. It takes the road of a command, except that nobody decided
// anything: what is gone loses its traffic first, then its gate is closed and it is drained.
func (c *Controller) sight(was *now, s State, told []Event) sighting {
	if c.closed {
		return sighting{}
	}
	began := c.opts.Now()
	next := *was
	next.state = s
	var err error
	if next.built, err = c.builder.build(s, was.built); err != nil {
		// Members add no route, so a build that went well before cannot fail now.
		panic("control: " + err.Error())
	}
	out := sighting{events: append(told, c.forget(was.state, s)...)}
	next.checks = c.reconcile(s, was.checks)
	byService := map[string][]leaver{}
	for _, l := range c.install(was, &next) {
		byService[l.Service] = append(byService[l.Service], l)
	}
	out.events = append(out.events, c.gaps(was, &next)...)
	for _, service := range sortedKeys(byService) {
		out.ops = append(out.ops, c.drainGone(began, was.state, s, byService[service]))
	}
	return out
}

// drainGone drains what is gone from one service.
func (c *Controller) drainGone(began time.Time, was, is State, gone []leaver) *Operation {
	o := order{cause: resolving(), began: began}
	o.fill = func(r *Receipt, before, _ State) {
		r.Service, r.From, r.To = gone[0].Service, "in the DNS", "gone"
		r.Backend, r.Name = whatIsGone(before, gone)
		r.Switched = float64(c.opts.Now().Sub(began)) / float64(time.Millisecond)
	}
	op := c.newOperation(o, was, is)
	op.found = true
	c.follow(o, op, was, gone)
	return op
}

// whatIsGone names the backends, and the names that they came from.
func whatIsGone(before State, gone []leaver) (backends, from string) {
	var all, names []string
	for _, l := range gone {
		all = append(all, l.Pool+"/"+l.Backend)
		if b := before.Backend(l.Key); b != nil && !slices.Contains(names, b.Name) {
			names = append(names, b.Name)
		}
	}
	slices.Sort(all)
	slices.Sort(names)
	return list(all), list(names)
}

// forget saves that decisions have ended with the addresses they were made on: an address may soon be given to another
// server, which nobody has decided anything about. What could not be saved is told, and undoes nothing.
func (c *Controller) forget(before, after State) []Event {
	var all []Event
	for i, r := range before.orphans(after) {
		all = append(all, Event{
			Time: c.opts.Now(), Kind: "drift", Service: r.service, Text: r.text, Generation: after.Generation,
		})
		entry := c.entry("file", after.Generation, r.service, resolving(), r.text)
		if i > 0 {
			c.append(entry)
		} else if err := c.save(after, entry); err != nil {
			all = append(all, Event{Time: c.opts.Now(), Kind: "storage", Service: r.service, Text: err.Error(), Generation: after.Generation})
		}
	}
	return all
}

// orphans are the decisions on what is no more in after.
func (s State) orphans(after State) (all []resolution) {
	tell := func(k Key, d *Decision) {
		if d != nil && after.Backend(k) == nil && after.kept(k) == nil {
			text := fmt.Sprintf("%s is gone from the DNS: what was decided on it (%s) has ended", k, d.Value)
			all = append(all, resolution{k.Service, text})
		}
	}
	for _, b := range s.backends {
		tell(b.Key, b.Decided)
	}
	for _, service := range s.Order {
		for _, p := range s.Services[service].Pools {
			for _, n := range p.Named {
				for _, address := range sortedKeys(n.Kept) {
					tell(Key{service, p.Name, address}, n.Kept[address])
				}
			}
		}
	}
	return all
}

// kept is a decision that waits for its address, or nil.
func (s State) kept(k Key) *Decision {
	svc := s.Services[k.Service]
	if svc == nil || svc.Pool(k.Pool) == nil {
		return nil
	}
	for _, n := range svc.Pool(k.Pool).Named {
		if d := n.Kept[k.Backend]; d != nil {
			return d
		}
	}
	return nil
}

// nameEvents says what became of names between two States.
func (c *Controller) nameEvents(before, after State) (all []Event) {
	for _, service := range after.Order {
		for _, p := range after.Services[service].Pools {
			for _, is := range p.Named {
				was := before.Services[service].Pool(p.Name).named(is.File.Address)
				if was == is {
					continue
				}
				all = append(all, c.nameEvent(service, p, was, is, after.Generation))
			}
		}
	}
	return all
}

func (c *Controller) nameEvent(service string, p *Pool, was, is *Named, generation uint64) Event {
	cause := resolving()
	e := Event{
		Time: c.opts.Now(), Kind: "names", Service: service, Pool: p.Name, Text: service + "/" + p.Name + ": " + is.news(was),
		Generation: generation, Cause: &cause,
	}
	if slices.ContainsFunc(p.Backends, func(b *Backend) bool { return b.Gone && b.Name == is.File.Address }) {
		e.Text += "; until another is up, what is gone stays"
	}
	if is.Found.Failure != "" {
		e.Kind = "unresolved"
	}
	return e
}

// news says what is new since was.
func (n *Named) news(was *Named) string {
	f := n.Found
	if gone := missing(was.Found, f); f.Failure != "" && len(gone) > 0 {
		return fmt.Sprintf("%s: %s, down and not in the DNS any more: gone %s", n.File.Address, f.Failure, list(gone))
	}
	if f.Failure != "" {
		if left := len(f.Answer.Addresses); left > 0 {
			return fmt.Sprintf("%s is not resolved: %s; its %d known addresses stay", n.File.Address, f.Failure, left)
		}
		return fmt.Sprintf("%s is not resolved: %s; it has no address until it is", n.File.Address, f.Failure)
	}
	var parts []string
	if came := missing(f, was.Found); len(came) > 0 {
		parts = append(parts, "new "+list(came))
	}
	if gone := missing(was.Found, f); len(gone) > 0 {
		parts = append(parts, "gone "+list(gone))
	}
	if was.Found.Failure != "" {
		parts = append(parts, "it is resolved again")
	}
	if f.Answer.More > 0 {
		parts = append(parts, fmt.Sprintf("%d more are left out: a name may bring %d", f.Answer.More, len(f.Answer.Addresses)))
	}
	if len(parts) == 0 {
		return n.File.Address + ": other weights"
	}
	return n.File.Address + ": " + strings.Join(parts, "; ")
}

// missing are the addresses of a that are not in b.
func missing(a, b names.Finding) (all []string) {
	for _, one := range a.Answer.Addresses {
		if !slices.ContainsFunc(b.Answer.Addresses, func(o names.Address) bool { return o.At == one.At }) {
			all = append(all, one.At.String())
		}
	}
	return all
}
