package control

import (
	"fmt"
	"strings"
	"time"

	"sluice/healthcheck"
)

// FlipWant is what has to hold for a flip or a rollback to be made. The zero value asks for nothing.
type FlipWant struct {
	Release string  // which each backend that will take traffic must report; empty: any
	IfMatch *uint64 // the generation the caller has seen; nil: any
	// Force goes on although the schema of the database does not fit the pool, as far as is known.
	Force bool
	// Patience is how long a flip waits for the pool to be up and of the release; zero: only for checks that are under way.
	Patience time.Duration
	Bake     BakeWant // of a flip
}

// AdminWant is what has to hold for the administration of a backend to be changed.
type AdminWant struct {
	IfMatch *uint64
	// Release is what the backend has to report from now on; of `ready`. Empty: what is expected of it otherwise.
	Release string
	// MinAvailable is how many backends of its pool must be left that take requests, when the pool is live. nil: any number.
	MinAvailable *int
}

// moment is when a change is decided, and why.
type moment struct {
	at    time.Time
	cause Cause
}

// flip makes a pool the live one of its service.
//
//	before: live blue,  previous -      after: live green, previous blue
func flip(service, pool string, want FlipWant, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, want.IfMatch)
		if err != nil {
			return s, err
		}
		p, err := svc.find(pool)
		if err != nil {
			return s, err
		}
		if err := svc.mayExpect(pool, want.Release); err != nil {
			return s, err
		}
		if svc.Live == pool {
			return svc.unsplit(m).stay(s, p, want.Release, m)
		}
		if old := svc.retiredBackends(p, true); len(old) > 0 {
			return s, p.isRetired(old)
		}
		if err := p.mayLead(service, want.Release); err != nil {
			return s, err
		}
		if err := svc.mayUse(p, want.Force); err != nil {
			return s, err
		}
		return s.with(svc.flipped(pool, want.Release, m)), nil
	}
}

// rollback makes the previous pool live again, with the options and routes it had; of a service that is split it gives everything
// back to the live one: nobody means by it to send all to what was only tried. One backend that is up is enough: a rollback is
// asked for when things burn.
func rollback(service string, want FlipWant, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, want.IfMatch)
		if err != nil {
			return s, err
		}
		if svc.Split != nil {
			return svc.rollSplitBack(s, want, m)
		}
		if svc.Previous == "" {
			return s, nothingBefore(service)
		}
		p, err := svc.find(svc.Previous)
		if err != nil {
			return s, err
		}
		if old := svc.retiredBackends(p, false); len(old) > 0 && p.eligible() == 0 {
			return s, p.isRetired(old)
		}
		if p.eligible() == 0 {
			return s, p.notReady(service)
		}
		if err := p.checkRelease(want.Release); err != nil {
			return s, err
		}
		if err := svc.mayUse(p, want.Force); err != nil {
			return s, err
		}
		return s.with(svc.flipped(p.Name, want.Release, m).restored(s, svc.Back, m)), nil
	}
}

func (svc *Service) flipped(pool, release string, m moment) *Service {
	next := *svc.asWritten()
	next.Live, next.Previous, next.Back, next.Split = pool, svc.Live, svc.back(m.at), nil
	next.Since, next.Cause, next.Bake = m.at, m.cause, svc.Bake.superseded(m)
	next.Decided = &Decision{Value: pool, Release: release, File: svc.File.Live, At: m.at, Cause: m.cause}
	return next.keepsNobody().judged()
}

// mayExpect refuses to expect of a pool what the file does not: no backend could be right for both.
func (svc *Service) mayExpect(pool, release string) error {
	if svc.retired(release) {
		return svc.refuseRetired(release)
	}
	for _, p := range svc.File.Pools {
		if p.Name == pool && p.Release != "" && release != "" && p.Release != release {
			return &Refusal{
				Kind: "release",
				What: fmt.Sprintf("the file expects release %s of %s, not %s", p.Release, pool, release),
				Hint: fmt.Sprintf("name release %s, or change `release:` of pool %s in the file", p.Release, pool),
			}
		}
	}
	return nil
}

// expectsOther reports that the flip which made the pool live asked for another release.
func (svc *Service) expectsOther(release string) bool {
	return release != "" && svc.Decided != nil && svc.Decided.Release != "" && svc.Decided.Release != release
}

// renew asks for another release of the live pool, all of which has to report it already.
func (svc *Service) renew(s State, release string, m moment) (State, error) {
	next := *svc
	next.Decided = &Decision{Value: svc.Live, Release: release, File: svc.Decided.File, At: m.at, Cause: m.cause}
	out := next.judged()
	if err := out.Pool(svc.Live).mayLead(svc.Name, release); err != nil {
		return s, err
	}
	return s.with(out), nil
}

// setAdmin changes what the operator wants of one backend. Whatever was found by checks before a `ready` is forgotten,
// and so is what was found before a `maint`: nobody looks at the server from then on.
func setAdmin(service, pool, backend string, admin Admin, want AdminWant, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, want.IfMatch)
		if err != nil {
			return s, err
		}
		b, err := svc.locate(pool, backend)
		if err != nil {
			return s, err
		}
		if !admin.known() {
			return s, unknownAdmin(admin)
		}
		if b.Admin == admin && !(admin == Ready && b.Identity.Stranger) {
			return s, ErrUnchanged
		}
		if err := svc.mayAdminister(b, admin, want); err != nil {
			return s, err
		}
		next := b.administered(admin, m)
		next.Decided.Release = want.Release
		return s.with(svc.with(next).judged()), nil
	}
}

func (svc *Service) mayAdminister(b *Backend, admin Admin, want AdminWant) error {
	if admin == Ready {
		return svc.mayExpect(b.Pool(), want.Release)
	}
	if left := svc.Pool(b.Pool()).eligible() - 1; want.MinAvailable != nil && svc.Live == b.Pool() && b.Eligible() && left < *want.MinAvailable {
		return &Refusal{
			Kind: "capacity",
			What: fmt.Sprintf("without %s there would be %d in %s that take requests, and at least %d must be left", b.Address(), left, b.Pool(), *want.MinAvailable),
			Hint: fmt.Sprintf("see `sluice status %s` for what is out, bring it back, and ask again; or ask for fewer to be left", svc.Name),
		}
	}
	return nil
}

func (b *Backend) administered(admin Admin, m moment) *Backend {
	next := *b
	next.Admin, next.Keep = admin, time.Time{}
	next.Decided = &Decision{Value: string(admin), File: string(Ready), At: m.at, Cause: m.cause}
	if admin == Ready || admin == Maint || b.Admin == Maint {
		next.Health, next.Identity = healthcheck.Verdict{}, Identity{}
		next.Incarnation++
		next.Risen = false
		next.Ejection = Ejection{Total: b.Ejection.Total}
	}
	return &next
}

// observed takes a verdict into the State. It never touches what an operator decided.
func (s State) observed(k Key, v healthcheck.Verdict) State {
	b := s.Backend(k)
	if b == nil {
		return s
	}
	svc, next := s.Services[k.Service], *b
	next.Health, next.Identity = v, svc.identified(b, v)
	next.Risen = b.Risen || v.State == healthcheck.Up
	if next.objection() != b.objection() {
		next.Identity.Since = v.Checked
	}
	return s.with(svc.with(&next))
}

// eligible counts the backends that may take new requests.
func (p *Pool) eligible() (n int) {
	for _, b := range p.Backends {
		if b.Eligible() {
			n++
		}
	}
	return n
}

func (p *Pool) ready() (n int) {
	for _, b := range p.Backends {
		if b.Admin == Ready {
			n++
		}
	}
	return n
}

// stay is a flip to the pool that is live already, which then has all.
func (svc *Service) stay(s State, p *Pool, release string, m moment) (State, error) {
	if svc.expectsOther(release) {
		return svc.renew(s, release, m)
	}
	if err := p.stays(release); err != ErrUnchanged || svc == s.Services[svc.Name] {
		return s, err
	}
	return s.with(svc.judged()), nil
}

// stays says whether a pool that is live already is what the flip asks for.
func (p *Pool) stays(release string) error {
	if err := p.checkRelease(release); err != nil {
		return err
	}
	return ErrUnchanged
}

// mayLead refuses a pool of which not every ready backend is up: with less than the whole pool its first minute would be
// its worst.
func (p *Pool) mayLead(service, release string) error {
	up, ready := p.eligible(), p.ready()
	if ready == 0 || up < ready || len(p.unresolved()) > 0 {
		return p.notUp(service, up, ready)
	}
	return p.checkRelease(release)
}

// checkRelease refuses when a backend that would take traffic reports another release than wanted.
func (p *Pool) checkRelease(want string) error {
	if want == "" {
		return nil
	}
	var others []string
	for _, b := range p.Backends {
		if b.Eligible() && b.Health.Release != want {
			others = append(others, fmt.Sprintf("%s reports %s", b.Address(), orNone(b.Health.Release)))
		}
	}
	if len(others) == 0 && p.eligible() > 0 {
		return nil
	}
	if len(others) == 0 {
		others = []string{"no backend of it is up"}
	}
	return &Refusal{
		Kind: "release",
		What: fmt.Sprintf("%s is not release %s: %s", p.Name, want, list(others)),
		Hint: fmt.Sprintf("start release %s on the backends of %s, or name the release that they report", want, p.Name),
	}
}

func orNone(release string) string {
	if release == "" {
		return "no release"
	}
	return release
}

// listed is how many backends an error names; more would hide the rest of the sentence.
const listed = 5

func list(items []string) string {
	if extra := len(items) - listed; extra > 0 {
		items = append(items[:listed:listed], fmt.Sprintf("and %d more", extra))
	}
	return strings.Join(items, ", ")
}
