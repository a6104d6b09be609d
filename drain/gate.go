package drain

import (
	"sync"
	"sync/atomic"
)

// closedBit marks a closed gate; the bits below it count what is inside.
const closedBit = int64(1) << 62

// Gate admits work until it is closed, and counts what is inside. It is one-shot: a closed gate never opens again;
// whoever wants to admit work anew makes a new one. All methods may be called concurrently. Make one with NewGate.
type Gate struct {
	state atomic.Int64
	empty chan struct{}

	mu      sync.Mutex
	endings []Ending // of what left after Close
}

// NewGate returns an open gate with nothing inside.
func NewGate() *Gate { return &Gate{empty: make(chan struct{})} }

// Enter admits one piece of work and reports whether it was admitted. Each true must be paired with one Leave.
//
// A compare-and-swap rather than add-and-look: a refused Enter then never shows up in the count, so "closed and
// empty" is reached exactly once and can be trusted by whoever ends a server on the strength of it.
func (g *Gate) Enter() bool {
	for {
		s := g.state.Load()
		if s&closedBit != 0 {
			return false
		}
		if g.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// Leave takes one piece of work out. It panics when nothing is inside: that is a lease released twice.
func (g *Gate) Leave() {
	s := g.state.Add(-1)
	if s < 0 || s == closedBit-1 {
		panic("drain: Leave without Enter")
	}
	if s == closedBit {
		close(g.empty)
	}
}

// Close refuses all work from now on and returns how much is inside. Only the first call closes; later ones just count.
func (g *Gate) Close() int {
	for {
		s := g.state.Load()
		if s&closedBit != 0 {
			return int(s &^ closedBit)
		}
		if g.state.CompareAndSwap(s, s|closedBit) {
			if s == 0 {
				close(g.empty)
			}
			return int(s)
		}
	}
}

// Inside returns how much work is inside.
func (g *Gate) Inside() int { return int(g.state.Load() &^ closedBit) }

// Closed reports whether Close was called.
func (g *Gate) Closed() bool { return g.state.Load()&closedBit != 0 }

// Empty returns a channel that is closed once the gate is closed and nothing is inside. It stays so for good.
func (g *Gate) Empty() <-chan struct{} { return g.empty }
