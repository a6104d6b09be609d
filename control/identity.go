package control

import (
	"fmt"
	"time"

	"sluice/config"
	"sluice/healthcheck"
)

// Identity is the release that a backend was taken for. While the backend takes traffic and nothing is expected of it, a
// change under us means one of two things: its app was started anew with another version, or its address is somebody
// else's now. Nobody can tell them apart from here, so it is out at once in either case.
type Identity struct {
	Known    bool // it has passed a check
	Release  string
	Stranger bool      // it reports another release, and is out for that
	Since    time.Time // when it last became a wrong build or a stranger, or stopped being one
}

// The values of `on_change` that take a stranger out.
const (
	quarantine = "quarantine"
	untilReady = "until_ready"
)

// identified takes a verdict into what the backend is taken for.
//
//	                         | not guarded | the old release        | another release
//	the first pass           | known       | known                  | known
//	later, as before         | known       | known                  | out
//	later, while it is out   | known       | back when it is steady | quarantine: known when it is steady; until_ready: out
//
// A backend is guarded while it takes traffic, and on_change and no expected release speak of it.
func (svc *Service) identified(b *Backend, v healthcheck.Verdict) Identity {
	id := b.Identity
	switch {
	case !v.Passed:
	case !id.Known || !svc.guards(b):
		id.Known, id.Release, id.Stranger = true, v.Release, false
	case v.Release == id.Release:
		id.Stranger = id.Stranger && !v.Steady
	case v.Steady && v.State == healthcheck.Up && svc.File.Health.OnChange == quarantine:
		id.Release, id.Stranger = v.Release, false
	default:
		id.Stranger = true
	}
	return id
}

// The folder of a static release is nobody else's: a link to it that is moved is a deployment.
func (svc *Service) guards(b *Backend) bool {
	on := svc.File.Health.OnChange
	return b.Network != config.NetworkRoot && b.Want == "" && svc.takesTraffic(b) && (on == quarantine || on == untilReady)
}

// objection says why a server that is well gets no requests all the same, or None.
func (b *Backend) objection() healthcheck.Kind {
	switch {
	case b.Retired.has(b.Health.Release):
		return healthcheck.Retired
	case b.Want != "" && b.Health.Release != b.Want:
		return healthcheck.WrongBuild
	case b.Identity.Stranger:
		return healthcheck.Changed
	}
	return healthcheck.None
}

// condition is what is shown of a backend's health: an objection counts as down.
func (b *Backend) condition() (state healthcheck.State, kind healthcheck.Kind, reason string) {
	state, kind, reason = b.Health.State, b.Health.Kind, b.Health.Reason
	if state == healthcheck.Unknown || state == healthcheck.Down && kind != healthcheck.None {
		return state, kind, reason
	}
	switch objection := b.objection(); objection {
	case healthcheck.Retired:
		return healthcheck.Down, objection, fmt.Sprintf("release %s is retired", b.Health.Release)
	case healthcheck.WrongBuild:
		return healthcheck.Down, objection, fmt.Sprintf("wrong build: reports %s, %s is expected", orNone(b.Health.Release), b.Want)
	case healthcheck.Changed:
		return healthcheck.Down, objection, b.change()
	}
	if state == healthcheck.Up {
		kind, reason = healthcheck.None, ""
	}
	return state, kind, reason
}

func (b *Backend) change() string {
	if b.Health.Release == b.Identity.Release {
		return "changed identity, and reports " + orNone(b.Identity.Release) + " again"
	}
	return fmt.Sprintf("changed identity: %s → %s", orNone(b.Identity.Release), orNone(b.Health.Release))
}

// since is when what condition tells began.
func (b *Backend) since() time.Time {
	if _, kind, _ := b.condition(); kind != b.Health.Kind && kind != healthcheck.None && b.Identity.Since.After(b.Health.Since) {
		return b.Identity.Since
	}
	return b.Health.Since
}

// expected is the release that the backend has to report. The file's word comes first; else it is that of the flip that
// made the pool live, for the backends it spoke of: one that an operator took out or put back later was his to look at, and
// has to report what he said with that, if anything. What is in a folder later was put there by him too.
func (svc *Service) expected(b *Backend) string {
	for _, p := range svc.File.Pools {
		if p.Name == b.Pool() && p.Release != "" {
			return p.Release
		}
	}
	release, since := svc.asked(b.Pool())
	if own := b.Decided; own != nil && (since.IsZero() || own.At.After(since)) {
		return own.Release
	}
	if b.Network == config.NetworkRoot {
		return ""
	}
	return release
}

// asked is the release that a flip or a split asked of the pool, and when.
func (svc *Service) asked(pool string) (release string, since time.Time) {
	if a := svc.arm(pool); a != nil {
		return a.Release, a.Since
	}
	d := svc.Decided
	switch {
	case d == nil:
		return "", time.Time{}
	case pool != svc.Live:
		return "", d.At
	}
	return d.Release, d.At
}

// judged looks anew at what each backend has to be and is taken for, after a decision.
func (svc *Service) judged() *Service {
	next := *svc
	next.Pools = make([]*Pool, 0, len(svc.Pools))
	for _, p := range svc.Pools {
		one := *p
		one.Backends = make([]*Backend, 0, len(p.Backends))
		for _, b := range p.Backends {
			one.Backends = append(one.Backends, svc.regard(b))
		}
		next.Pools = append(next.Pools, &one)
	}
	return &next
}

func (svc *Service) regard(b *Backend) *Backend {
	next := *b
	next.Want, next.Retired = svc.expected(b), svc.Retired
	if !svc.guards(&next) {
		next.Identity = svc.identified(&next, next.Health)
	}
	if next.Want == b.Want && next.Identity == b.Identity && next.Retired == b.Retired {
		return b
	}
	return &next
}

// urgent says whether a service waits for the next check of a backend: it reports another release, and nobody else is left.
func (c *Controller) urgent(ch *check) bool {
	s := c.State()
	svc, b := s.Services[ch.key.Service], s.Backend(ch.key)
	return b != nil && b.Identity.Stranger && svc.guards(b) && svc.File.Health.OnChange == quarantine &&
		svc.Pool(svc.Live).eligible() == 0
}
