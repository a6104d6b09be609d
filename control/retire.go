package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/healthcheck"
)

// A release is retired when nothing can serve it any more, and never serves again: whoever relied on that has dropped what
// it needs. What cannot be known counts as being there.

// Retirement is the end of a release of one service, for good.
type Retirement struct {
	Release string    `json:"release"`
	At      time.Time `json:"at"`
	Cause   Cause     `json:"cause"`
}

// RetireWant is what has to hold for a release to be retired, and how long that may take to be so.
type RetireWant struct {
	Wait    time.Duration
	IfMatch *uint64
}

const (
	// mostRetired bounds what is saved. It is years of deployments; what is older is forgotten.
	mostRetired = 1000
	// longestRelease is as much as is read of a release that a backend reports.
	longestRelease = 64
)

// retire closes off a release. blockers says what may still serve it.
func retire(service, release string, ifMatch *uint64, blockers func(State, *Service) []Blocker, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, ifMatch)
		switch {
		case err != nil:
			return s, err
		case release == "" || len([]rune(release)) > longestRelease:
			return s, &Refusal{Kind: "conflict", What: fmt.Sprintf("%.80q is no release", release), Hint: "name it as `sluice status` shows it"}
		case svc.retired(release):
			return s, ErrUnchanged
		}
		if all := blockers(s, svc); len(all) > 0 {
			return s, blocked(service, release, all)
		}
		next := *svc
		next.Retired = svc.Retired.and(Retirement{release, m.at, m.cause})
		return s.unexpired(m.at).with(next.judged()), nil
	}
}

func blocked(service, release string, all []Blocker) error {
	r := &Refusal{Kind: "uncertain", Blockers: all}
	var words []string
	for _, b := range all {
		words = append(words, b.What)
		if !b.Unknown {
			r.Kind = "blocked"
		}
	}
	r.What = fmt.Sprintf("release %s of %s cannot be retired: %s", release, service, list(words))
	r.Hint = "end what is listed, or wait for it with --wait 15m"
	if r.Kind == "uncertain" && all[0].Kind != "process" {
		r.Hint = "have each backend report its release (`release:` under `health`), or take it out of the file: what is not known may be " + release
	}
	return r
}

// Retire succeeds when nothing can serve a release of a service any more; from then on it is refused wherever it is
// reported. With a Wait it waits for that. The refusal names what is in the way. Backends that are in the way are checked
// afresh first, so that a script that has just stopped them needs no sleep.
func (c *Controller) Retire(ctx context.Context, service, release string, want RetireWant, cause Cause) (*Operation, error) {
	cause = cause.whole("retire")
	until := c.opts.Now().Add(want.Wait)
	c.settleRelease(ctx, service, release)
	for {
		o := order{cause: cause, began: c.opts.Now()}
		o.change = retire(service, release, want.IfMatch, func(s State, svc *Service) []Blocker { return c.blockers(svc, release) }, moment{o.began, cause})
		o.fill = func(r *Receipt, before, _ State) { r.retired(before.Services[service], release) }
		applied, err := c.apply(ctx, o)
		var r *Refusal
		if !errors.As(err, &r) || len(r.Blockers) == 0 || !c.awaitBlockers(ctx, until) {
			return applied.Operation, err
		}
	}
}

// settleRelease has the pools checked of which a backend may be of the release.
func (c *Controller) settleRelease(ctx context.Context, service, release string) {
	svc := c.State().Services[service]
	if svc == nil || svc.retired(release) {
		return
	}
	for _, p := range svc.Pools {
		if slices.ContainsFunc(p.Backends, func(b *Backend) bool { _, is := svc.presence(b, release); return is }) {
			c.settle(ctx, service, p.Name)
		}
	}
}

func (r *Receipt) retired(svc *Service, release string) {
	r.Service, r.Release, r.From, r.To = svc.Name, release, "unused", "retired"
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if b.Health.Release == release {
				return
			}
		}
	}
	if !svc.retired(release) {
		r.Warning = "no backend is known to have been of that release since Sluice began; make sure of its name"
	}
}

// blockersEvery is how often it is looked whether what is in the way has gone. A look costs as much as there is inside.
const blockersEvery = 250 * time.Millisecond

// awaitBlockers lets a moment go by, and reports whether there is time for another look.
func (c *Controller) awaitBlockers(ctx context.Context, until time.Time) bool {
	left := until.Sub(c.opts.Now())
	if left <= 0 {
		return false
	}
	return c.lull(ctx, min(left, blockersEvery))
}

func (svc *Service) retired(release string) bool { return svc.Retired.has(release) }

// Retirements are those of one service, oldest first. They never change; nil: there are none.
type Retirements struct{ all []Retirement }

func retirements(all []Retirement) *Retirements {
	if len(all) == 0 {
		return nil
	}
	return &Retirements{all}
}

func (r *Retirements) list() []Retirement {
	if r == nil {
		return nil
	}
	return r.all
}

func (r *Retirements) has(release string) bool {
	return release != "" && slices.ContainsFunc(r.list(), func(one Retirement) bool { return one.Release == release })
}

func (r *Retirements) and(one Retirement) *Retirements {
	all := r.list()
	return &Retirements{append(slices.Clone(all[max(0, len(all)-mostRetired+1):]), one)}
}

// retiredBackends are those of the pool that keep it from leading: of a retired release, and ready otherwise.
func (svc *Service) retiredBackends(p *Pool, answering bool) (all []string) {
	for _, b := range p.Backends {
		_, kind, _ := b.condition()
		if b.Admin == Ready && svc.retired(b.Health.Release) && (kind == healthcheck.Retired || !answering) {
			all = append(all, fmt.Sprintf("%s reports %s", b.Address(), b.Health.Release))
		}
	}
	return all
}

func (p *Pool) isRetired(backends []string) error {
	return &Refusal{
		Kind: "retired",
		What: fmt.Sprintf("%s is of a retired release: %s", p.Name, list(backends)),
		Hint: fmt.Sprintf("start another release on the backends of %s: what a retired one needs may be gone", p.Name),
	}
}

func (svc *Service) refuseRetired(release string) error {
	return &Refusal{
		Kind: "retired",
		What: fmt.Sprintf("release %s of %s is retired", release, svc.Name),
		Hint: "build it under another name: what a retired release needs may be gone", final: true,
	}
}

// retiredNames are the latest, for who looks.
func (svc *Service) retiredNames() (names []string) {
	const shown = 20
	all := svc.Retired.list()
	for _, r := range all[max(0, len(all)-shown):] {
		names = append(names, r.Release)
	}
	return names
}
