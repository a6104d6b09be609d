package upstream

import (
	"sync/atomic"
	"time"
)

// Warming is a backend's way from a small share of its weight to the whole of it. It is that of one stay among those that
// may be chosen, and goes by time alone, so that nothing has to be built anew on the way. A nil one is at its end.
type Warming struct {
	From   time.Time // when the stay began
	Span   time.Duration
	Now    func() time.Time // may be coarse
	offers atomic.Uint32    // turns that came to it meanwhile
}

const (
	wholeShare = 1 << 10
	// coldShare is what it begins with. Less than a tenth would warm nothing, and more would be no slow start.
	coldShare = wholeShare / 10
)

// share is how much of its weight the backend has at a moment, of wholeShare.
func (w *Warming) share(now time.Time) int64 {
	if w == nil {
		return wholeShare
	}
	age := max(0, now.Sub(w.From))
	if age >= w.Span {
		return wholeShare
	}
	return coldShare + int64(float64(wholeShare-coldShare)*float64(age)/float64(w.Span))
}

// Share is how much of its weight the backend has at a moment, from 0.1 to 1.
func (w *Warming) Share(now time.Time) float64 { return float64(w.share(now)) / wholeShare }

// warmth is that some backends of a pool are warming.
type warmth struct {
	now    func() time.Time
	until  time.Time
	oldest *Warming // the one furthest on its way; nil: a backend is at its end
}

// newWarmth returns nil where nobody is warming.
func newWarmth(backends []*Backend) *warmth {
	w := &warmth{}
	all := true
	for _, b := range backends {
		one := b.Warming
		if one == nil {
			all = false
			continue
		}
		w.now = one.Now
		if end := one.From.Add(one.Span); end.After(w.until) {
			w.until = end
		}
		if w.oldest == nil || one.From.Before(w.oldest.From) {
			w.oldest = one
		}
	}
	if w.now == nil {
		return nil
	}
	if !all {
		w.oldest = nil
	}
	return w
}

// warming returns what there is to know of those that are warming, or nil once all are at their end.
func (p *Pool) warming() *warmth {
	w := p.warm.Load()
	if w != nil && !w.now().Before(w.until) {
		p.warm.Store(nil)
		return nil
	}
	return w
}

// weight is what the backend weighs now. Weights of one pool compare with each other and with nothing else.
func (w *warmth) weight(b *Backend) int64 {
	if w == nil {
		return int64(b.Weight)
	}
	return int64(b.Weight) * b.Warming.share(w.now())
}

// accepts decides whether a backend takes the turn that came to it. It is measured by the backend that is furthest: where
// all began together, as after a flip, nobody leaves a turn out.
//
// The multiples of the golden ratio are spread evenly over their range, however many of them are taken and however the
// share rises meanwhile. Random numbers would do the same with more noise.
func (w *warmth) accepts(b *Backend) bool {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	if b.Warming == nil {
		return true
	}
	now := w.now()
	share, most := uint64(b.Warming.share(now)), uint64(w.oldest.share(now))
	return share >= most || uint64(b.Warming.offers.Add(1)*golden) < share<<32/most
}

// mostTurns bounds how often one claim asks for another turn. With one backend in ten at its whole weight and the others at
// the beginning, one claim in a thousand comes to the bound; it then takes whose turn it is.
const mostTurns = 32

// warmTurn is inTurn while backends are warming. Who leaves a turn out leaves it to all others, so it is the next turn of
// the pool that is taken and not the neighbour.
func (p *Pool) warmTurn(w *warmth, skip *Tried) *Backend {
	for range mostTurns {
		if b := p.nextTurn(skip); b == nil || w.accepts(b) {
			return b
		}
	}
	return p.nextTurn(skip)
}
