package control

import (
	"math"

	"sluice/config"
	"sluice/upstream"
)

// stay is one stay of a backend among those that new requests go to: from when it came, by a flip, a passing check or the
// end of an ejection, until it leaves in whatever way. What was counted in an earlier one no longer says anything.
type stay struct {
	watch   *upstream.Watch
	warming *upstream.Warming // nil: it has its whole weight from the beginning
}

// stays goes on with those of old, and begins those of the backends that come.
func (bd *builder) stays(svc *Service, old *builtService) map[Key]stay {
	next := map[Key]stay{}
	for _, b := range append(svc.chosen(), svc.inArms()...) {
		s, stayed := old.stay(b.Key)
		switch {
		case !stayed:
			s = bd.newStay(svc, b)
		case old.from.File != svc.File:
			s.watch = upstream.NewWatch(thresholds(&svc.File.Eject), bd.suspect)
		}
		next[b.Key] = s
	}
	return next
}

func (one *builtService) stay(k Key) (stay, bool) {
	if one == nil {
		return stay{}, false
	}
	s, ok := one.stays[k]
	return s, ok
}

// newStay begins a stay. One that comes because the checks are not believed is needed whole and at once.
func (bd *builder) newStay(svc *Service, b *Backend) stay {
	s := stay{watch: upstream.NewWatch(thresholds(&svc.File.Eject), bd.suspect)}
	if span := svc.File.SlowStart; span > 0 && b.Eligible() {
		clock := bd.options.Clock
		s.warming = &upstream.Warming{From: clock.Now(), Span: span, Now: clock.Now}
	}
	return s
}

func thresholds(e *config.Eject) upstream.Thresholds {
	t := upstream.Thresholds{Errors: e.Errors, Latency: e.Latency > 0}
	for _, r := range e.Answers {
		t.Answers.Add(r.Low, r.High)
	}
	return t
}

// stay shows how the backend stands among those that requests go to.
func (v *view) stay(b *Backend, out *BackendStatus) {
	out.Ejections = b.Ejection.Total
	if e := b.Ejection; e.Out() {
		out.Ejected = &EjectedStatus{Since: e.Since, Until: e.Until, Why: e.Why, Times: e.Times}
	}
	s, _ := v.built.services[b.Service].stay(b.Key)
	if s.warming == nil {
		return
	}
	if share := s.warming.Share(s.warming.Now()); share < 1 {
		out.Warming = math.Round(100*share) / 100
	}
}
