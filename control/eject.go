package control

import (
	"cmp"
	"slices"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/upstream"
)

// Ejection is whether a backend was taken out because of how it serves requests. It is a fact of its own beside
// administration and health, and neither is ever changed by it:
//
//	            ready           drain, maint
//	up          out while       takes nothing
//	            ejected
//	down        takes nothing, but for fail_open
//
// It is never for good and not saved: a Sluice that starts has met no failures.
type Ejection struct {
	Until time.Time // it is out until then at least; zero: it is in
	Since time.Time // when it went out, or came in
	Why   string    // it is out, or was
	Times int       // how often in a row it went out, less what was forgotten since
	Total int       // how often it went out in all
	early bool      // passing checks end it before its time
}

// Out reports whether the backend is ejected now.
func (e Ejection) Out() bool { return !e.Until.IsZero() }

// span is how long the nth ejection in a row lasts: twice as long as the one before.
func span(limits *config.Eject, n int) time.Duration {
	d := limits.Time
	for ; n > 1 && d < limits.Longest; n-- {
		d *= 2
	}
	return min(d, limits.Longest)
}

// faded is the ejection with what is forgotten by now: one for each stay in that was as long as the last one out.
func (e Ejection) faded(limits *config.Eject, at time.Time) Ejection {
	if e.Out() {
		return e
	}
	for e.Times > 0 && at.Sub(e.Since) >= span(limits, e.Times) {
		e.Since = e.Since.Add(span(limits, e.Times))
		e.Times--
	}
	return e
}

// again is one more ejection. The first one for connections may be ended by checks, which make connections too; one that
// comes again has to wait, for the checks were wrong.
func (e Ejection) again(limits *config.Eject, s suspect, at time.Time) Ejection {
	e = e.faded(limits, at)
	if e.Times == 0 || span(limits, e.Times) < limits.Longest {
		e.Times++ // more would only be more to forget
	}
	e.Total++
	e.Since, e.Until, e.Why = at, at.Add(span(limits, e.Times)), s.why
	e.early = s.reason == refusing && e.Times == 1
	return e
}

// reason is why a backend is suspect; the gravest first.
type reason uint8

const (
	refusing reason = iota // connections
	failing                // answers
	lagging                // latency
)

// suspect is a backend that should be taken out.
type suspect struct {
	Key
	watch  *upstream.Watch // of the stay in which it failed
	reason reason
	weight float64 // how bad it is, beside others of the same reason
	why    string
}

// gravest orders suspects: where not all can be taken out, those should be that cost most.
func gravest(a, b suspect) int {
	return cmp.Or(cmp.Compare(a.reason, b.reason), -cmp.Compare(a.weight, b.weight), cmp.Compare(a.Key.String(), b.Key.String()))
}

// eject takes out those of the suspects that may be. It is pure.
func (s State) eject(suspects []suspect, at time.Time) State {
	for _, one := range slices.SortedFunc(slices.Values(suspects), gravest) {
		svc, b := s.Services[one.Service], s.Backend(one.Key)
		if b == nil || !svc.mayEject(b, one.reason) {
			continue
		}
		next := *b
		next.Ejection = b.Ejection.again(&svc.File.Eject, one, at)
		s = s.with(svc.with(&next))
	}
	return s
}

// mayEject holds the cap. A backend that takes requests only because the checks are not believed is spared by no cap: what
// refuses connections does not serve, whatever is believed.
func (svc *Service) mayEject(b *Backend, why reason) bool {
	if b.Pool() != svc.Live || b.Admin != Ready || b.Ejection.Out() {
		return false
	}
	if b.Health.State != healthcheck.Up {
		return why == refusing && svc.failOpen() && b.Risen
	}
	n := svc.headcount()
	return n.out < n.mayBeOut(svc.File) && n.in > 1
}

// headcount is of the backends of the live pool that have a weight and that the operator wants to serve.
type headcount struct {
	ready int // all of them
	in    int // up, and not ejected
	out   int // up, and ejected
}

func (svc *Service) headcount() (n headcount) {
	for _, b := range svc.Pool(svc.Live).Backends {
		switch {
		case b.Weight == 0 || b.Admin != Ready:
			continue
		case b.Health.State == healthcheck.Up && b.Ejection.Out():
			n.out++
		case b.Eligible():
			n.in++
		}
		n.ready++
	}
	return n
}

// mayBeOut is how many may be ejected: the share of those that are up, and one of two however small the share is, for
// else nothing could be done in a small pool; never the last; and never so many that the pool would fail open for it.
func (n headcount) mayBeOut(file *config.Service) int {
	up := n.in + n.out
	most := max(up*file.Eject.Most/100, 1)
	return max(0, min(most, up-1, up-n.needed(file.FailOpen)))
}

// needed is how many have to be in for the checks to be believed.
func (n headcount) needed(percent int) int { return (n.ready*percent + 99) / 100 }

// readmitted takes a backend in again.
func (s State) readmitted(k Key, at time.Time) State {
	b := s.Backend(k)
	if b == nil || !b.Ejection.Out() {
		return s
	}
	next := *b
	next.Ejection.Since, next.Ejection.Until, next.Ejection.early = at, time.Time{}, false
	return s.with(s.Services[k.Service].with(&next))
}

// relieved takes ejected backends in again where more are out than may be, because others went down or were drained: an
// ejected one is better than none. Those that have been out for longest come first. A pool that is not live has none out:
// no requests come to it, and the checks alone say how it is. It is pure, and part of each step.
func (s State) relieved(at time.Time) State {
	for svc, b := range s.backends {
		if b.Ejection.Out() && b.Pool() != svc.Live {
			s = s.readmitted(b.Key, at)
		}
	}
	for _, name := range s.Order {
		svc := s.Services[name]
		if svc.Pool(svc.Live) == nil {
			continue
		}
		for n := svc.headcount(); n.out > n.mayBeOut(svc.File); n = svc.headcount() {
			s = s.readmitted(svc.longestOut(), at)
			svc = s.Services[name]
		}
	}
	return s
}

// longestOut is the one of the ejected backends that were up all the time which has been out for longest.
func (svc *Service) longestOut() (k Key) {
	var since time.Time
	for _, b := range svc.Pool(svc.Live).Backends {
		if b.Ejection.Out() && b.Weight > 0 && b.Admin == Ready && b.Health.State == healthcheck.Up && (k == Key{} || b.Ejection.Since.Before(since)) {
			k, since = b.Key, b.Ejection.Since
		}
	}
	return k
}
