package control

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Lease is the word of something that Sluice does not carry, as a worker or a cron job, that it runs a release. It ends by
// itself unless it is renewed. Only what is new about leases is saved: a renewal costs no disk, and after a restart each
// lease has its whole length again, so that none that was renewed is forgotten.
type Lease struct {
	Name    string    `json:"name"`
	Service string    `json:"service,omitempty"` // whose release it is; empty: of each service with a release of that name
	Release string    `json:"release"`
	TTL     float64   `json:"ttl_s"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	By      string    `json:"by,omitempty"`
}

const (
	// mostLeases bounds what is kept and saved: hundreds of workers on dozens of machines.
	mostLeases = 1000
	leastTTL   = time.Second
	// longestTTL is how long a worker that is gone may stand in the way of a retirement. Whoever needs longer renews.
	longestTTL = 24 * time.Hour
)

func (l *Lease) of(service string) bool { return l.Service == "" || l.Service == service }

// leased takes in a lease. news says whether there is more to it than a renewal.
func (s State) leased(l Lease, ttl time.Duration, at time.Time) (next State, taken Lease, news bool, err error) {
	if l.Service != "" {
		if _, err := s.find(l.Service, nil); err != nil {
			return s, l, false, err
		}
	}
	if ttl < leastTTL || ttl > longestTTL {
		return s, l, false, &Refusal{Kind: "conflict", What: fmt.Sprintf("a lease cannot last %s", ttl), Hint: fmt.Sprintf("name a ttl from %s to %s, and renew it", leastTTL, longestTTL)}
	}
	for _, name := range s.Order {
		if svc := s.Services[name]; l.of(name) && svc.retired(l.Release) {
			return s, l, false, svc.refuseRetired(l.Release)
		}
	}
	l.TTL, l.Since, l.Until = ttl.Seconds(), at, at.Add(ttl)
	s = s.unexpired(at)
	old := s.Leases[l.Name]
	if old == nil && len(s.Leases) >= mostLeases {
		return s, l, false, &Refusal{Kind: "conflict", What: fmt.Sprintf("there are %d leases already", mostLeases), Hint: "let some end, or take one for all workers of a machine"}
	}
	if news = old == nil || old.Service != l.Service || old.Release != l.Release || old.TTL != l.TTL; !news {
		l.Since = old.Since
	}
	s.Leases = maps.Clone(s.Leases)
	if s.Leases == nil {
		s.Leases = map[string]*Lease{}
	}
	s.Leases[l.Name] = &l
	return s, l, news, nil
}

// unexpired leaves out the leases that are over.
func (s State) unexpired(at time.Time) State {
	s.Leases = maps.Clone(s.Leases)
	maps.DeleteFunc(s.Leases, func(_ string, l *Lease) bool { return !l.Until.After(at) })
	return s
}

// PutLease takes or renews a lease. It is refused for a release that is retired: what runs it must not.
func (c *Controller) PutLease(l Lease, ttl time.Duration) (Lease, error) {
	var taken Lease
	err := c.changeLeases(func(s State) (next State, news bool, err error) {
		next, taken, news, err = s.leased(l, ttl, c.opts.Now())
		return next, news, err
	})
	return taken, err
}

// DropLease ends a lease before its time. It returns the one that was ended.
func (c *Controller) DropLease(name string) (Lease, error) {
	var was Lease
	err := c.changeLeases(func(s State) (State, bool, error) {
		s = s.unexpired(c.opts.Now())
		l := s.Leases[name]
		if l == nil {
			return s, false, &Refusal{Kind: "unknown", What: fmt.Sprintf("there is no lease %q", name), Hint: "look at `sluice lease`; it may be over already"}
		}
		was = *l
		delete(s.Leases, name)
		return s, true, nil
	})
	return was, err
}

// Leases are those that are not over, by name.
func (c *Controller) Leases() []Lease {
	all := []Lease{}
	s := c.State().unexpired(c.opts.Now())
	for _, name := range sortedKeys(s.Leases) {
		all = append(all, *s.Leases[name])
	}
	return all
}

// changeLeases makes a step of the leases. It is no decision on traffic: it builds nothing and raises no generation.
func (c *Controller) changeLeases(step func(State) (next State, news bool, err error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if err := c.refuses(was); err != nil {
		return err
	}
	s, news, err := step(was.state)
	if err == nil && news {
		err = c.saveLeases(s)
	}
	if err != nil {
		return err
	}
	next := *was
	next.state = s
	c.now.Store(&next)
	return nil
}

// saveLeases leaves the history as it is: that of a cron job would be nothing else.
func (c *Controller) saveLeases(s State) error {
	state, err := s.encode()
	if err == nil {
		err = c.opts.Journal.Save(state, nil)
	}
	if err != nil {
		return &Refusal{Kind: "storage", What: fmt.Sprintf("the lease could not be saved: %v", err), Hint: "make room in the state directory, or mend its disk; then ask again"}
	}
	return nil
}

// savedLease is a lease on disk: without its end, which renewals have moved since.
type savedLease struct {
	Service string    `json:"service,omitempty"`
	Release string    `json:"release"`
	TTL     float64   `json:"ttl_s"`
	Since   time.Time `json:"since"`
	By      string    `json:"by,omitempty"`
}

func (s State) savedLeases() map[string]savedLease {
	if len(s.Leases) == 0 {
		return nil
	}
	out := make(map[string]savedLease, len(s.Leases))
	for name, l := range s.Leases {
		out[name] = savedLease{l.Service, l.Release, l.TTL, l.Since, l.By}
	}
	return out
}

// renewed gives each saved lease its whole length from the start of this process.
func renewed(all map[string]savedLease, at time.Time) map[string]*Lease {
	out := make(map[string]*Lease, len(all))
	for name, l := range all {
		length := min(max(time.Duration(l.TTL*float64(time.Second)), leastTTL), longestTTL)
		out[name] = &Lease{Name: name, Service: l.Service, Release: l.Release, TTL: length.Seconds(), Since: l.Since, Until: at.Add(length), By: l.By}
	}
	return out
}

func (s State) leaseBlockers(service, release string, at time.Time) (all []Blocker) {
	for _, name := range slices.Sorted(maps.Keys(s.Leases)) {
		if l := s.Leases[name]; l.Release == release && l.of(service) && l.Until.After(at) {
			all = append(all, Blocker{Kind: "lease", What: fmt.Sprintf("lease %s, renewed until %s", name, l.Until.UTC().Format(time.RFC3339)), Ends: &l.Until})
		}
	}
	return all
}
