package control

import (
	"fmt"
	"strings"
	"time"

	"sluice/drain"
	"sluice/healthcheck"
	"sluice/proxy"
)

// Blocker is one reason why a release may still be served.
type Blocker struct {
	Kind    string     `json:"kind"` // "backend", "inside", "pins", "held", "lease", "bake", "process"
	What    string     `json:"what"`
	Ends    *time.Time `json:"ends,omitempty"`    // when it is over at the latest; left out: when somebody ends it
	Unknown bool       `json:"unknown,omitempty"` // nobody can say of which release it is
}

// blockers are all reasons at this moment. Whoever makes a change by them holds mu, so that none comes in between: a request
// enters only where a backend is listed here.
func (c *Controller) blockers(svc *Service, release string) []Blocker {
	v := c.view()
	all := svc.presences(release)
	all = append(all, v.insiders(svc, release)...)
	all = append(all, v.waiters(svc, release)...)
	all = append(all, v.state.leaseBlockers(svc.Name, release, v.at)...)
	return append(all, c.others()...)
}

// others are the processes that ran before this one. As a rule there is none: the state is locked until the last request of
// its process is over.
func (c *Controller) others() []Blocker {
	if err := c.opts.Alone(); err != nil {
		return []Blocker{{Kind: "process", Unknown: true, What: "an older Sluice may be at work: " + err.Error() + "; name a folder on a local disk as `state:`"}}
	}
	return nil
}

// presences are the backends that run the release, or may, and what may go back to it.
func (svc *Service) presences(release string) (all []Blocker) {
	if svc.Bake.wayBack(release) {
		all = append(all, svc.Bake.blocker())
	}
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if one, is := svc.presence(b, release); is {
				all = append(all, one)
			}
			if b.kept() && b.Health.Release == release {
				all = append(all, Blocker{Kind: "pins", What: fmt.Sprintf("%s/%s keeps those who are pinned to it", b.Pool(), b.Address()), Ends: timeOf(b.Keep)})
			}
		}
	}
	return all
}

// presence tells whether a backend runs the release.
//
//	                          | of the release | another | none said
//	up                        | blocks         | -       | unknown
//	down, and it answers      | blocks         | -       | unknown
//	down, and nobody answers  | live: blocks   | -       | -
//	not checked (yet), maint  | blocks         | unknown | unknown
//
// Where nobody answers nothing is there that could serve; and should it come back, it is refused.
func (svc *Service) presence(b *Backend, release string) (Blocker, bool) {
	h, name := b.Health, b.Pool()+"/"+b.Address()
	gone := h.State == healthcheck.Down && !h.Answer
	switch {
	case h.Release == release && gone && !svc.serves(b.Pool()):
	case h.Release == release:
		return Blocker{Kind: "backend", What: fmt.Sprintf("%s is %s and reports %s%s", name, h.State, release, svc.role(b))}, true
	case gone:
	case h.State == healthcheck.Unknown && b.Admin == Maint:
		return Blocker{Kind: "backend", Unknown: true, What: name + " is in maint, so nobody looks which release it is"}, true
	case h.State == healthcheck.Unknown:
		return Blocker{Kind: "backend", Unknown: true, What: name + " has not passed a check yet"}, true
	case h.Release == "":
		return Blocker{Kind: "backend", Unknown: true, What: fmt.Sprintf("%s is %s and reports no release", name, h.State)}, true
	}
	return Blocker{}, false
}

// role says what the pool of a backend is to its service.
func (svc *Service) role(b *Backend) string {
	switch {
	case b.Pool() == svc.Live:
		return ", and takes the traffic"
	case svc.arm(b.Pool()) != nil:
		return ", and takes a share of the traffic"
	case b.Pool() == svc.Previous:
		return ", and a rollback goes to it" + svc.windowText()
	}
	return ""
}

// insiders are the requests, streams and tunnels that a backend of the release took, or one of which nobody knows it.
func (v *view) insiders(svc *Service, release string) (all []Blocker) {
	var gates []*drain.Gate
	for k, some := range v.gates {
		if k.Service == svc.Name {
			gates = append(gates, some...)
		}
	}
	if len(gates) == 0 {
		return nil
	}
	by := v.c.opts.Proxy.Ledger.ByRelease(gates...)
	for _, k := range v.keysOf(svc.Name) {
		for _, g := range v.gates[k] {
			for _, said := range []string{release, ""} {
				if n := v.insideBy(by, g, k, said); len(n) > 0 {
					all = append(all, v.insider(k, g, n, said == ""))
				}
			}
		}
	}
	return all
}

func (v *view) keysOf(service string) (keys []Key) {
	names := map[string]Key{}
	for k := range v.gates {
		if k.Service == service {
			names[k.String()] = k
		}
	}
	for _, name := range sortedKeys(names) {
		keys = append(keys, names[name])
	}
	return keys
}

// insideBy counts what is inside of a gate and was taken under a release. What is not in the ledger yet, or was there only a
// moment ago, counts as a request of the release that the gate's backend has now.
func (v *view) insideBy(by map[proxy.Taken]int, g *drain.Gate, k Key, release string) map[drain.Class]int {
	counts, listed := map[drain.Class]int{}, 0
	for t, n := range by {
		if t.Gate != g {
			continue
		}
		listed += n
		if t.Release == release {
			counts[t.Class] += n
		}
	}
	if rest := g.Inside() - listed; rest > 0 && v.releaseOf(g, k) == release {
		counts[drain.Request] += rest
	}
	return counts
}

func (v *view) releaseOf(g *drain.Gate, k Key) string {
	if up := v.built.services[k.Service].at(k); up != nil && up.Gate == g {
		return up.Release
	}
	for _, l := range v.leaving {
		if l.gate == g {
			return l.release
		}
	}
	return ""
}

func (v *view) insider(k Key, g *drain.Gate, counts map[drain.Class]int, unknown bool) Blocker {
	var parts []string
	for _, class := range drain.Classes() {
		if n := counts[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, class))
		}
	}
	b := Blocker{Kind: "inside", Unknown: unknown, What: fmt.Sprintf("%s inside of %s/%s", strings.Join(parts, ", "), k.Pool, k.Backend)}
	for _, l := range v.leaving {
		for class := range counts {
			if at := l.since.Add(l.policy.Deadline(class)); l.gate == g && (b.Ends == nil || at.After(*b.Ends)) {
				b.Ends = &at
			}
		}
	}
	return b
}

// waiters are those who wait for a backend of a live pool that is of the release.
func (v *view) waiters(svc *Service, release string) []Blocker {
	n := v.built.services[svc.Name].service.Room.Waiting().Inside
	for _, b := range svc.Pool(svc.Live).Backends {
		if one, is := svc.presence(b, release); is && n > 0 {
			return []Blocker{{Kind: "held", Unknown: one.Unknown, What: fmt.Sprintf("%d held for %s", n, svc.Live)}}
		}
	}
	return nil
}
