package upstream

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// claimPinned takes the backend that a pin names. Whatever is wrong with it but a closed gate, the caller picks another.
func (p *Pool) claimPinned(tried *Tried, id uint64) (Lease, error) {
	b := p.pinned[id]
	if b == nil || tried.has(b.Endpoint) {
		return Lease{}, ErrNoBackend
	}
	return b.enter()
}

// Pinned reports whether the pool has a backend that a pin may name so.
func (p *Pool) Pinned(id uint64) bool { return p.pinned[id] != nil }

// Lately is for how long a client counts that was seen pinned to a backend: at least this, and at most twice as long.
const Lately = 5 * time.Minute

// pinBits is how many marks a count of pins has. With 8,192 a count of 1,000 is right to about 2 %, one of 10,000 to 3 %.
const pinBits = 8192

// Pins counts about how many clients were lately seen pinned to a backend. A client is one mark among many, and the count
// is worked out from how many there are (linear counting): no client is remembered. All methods may be called concurrently.
type Pins struct {
	began time.Time
	last  atomic.Int64 // when one was seen, in Unix nanoseconds
	spans [2]span      // one is that of now and the other the one before, by turns
}

// span holds the marks of one stretch of time.
type span struct {
	number atomic.Int64 // which stretch
	marks  [pinBits / 64]atomic.Uint64
}

// NewPins returns a count that begins now.
func NewPins(now time.Time) *Pins { return &Pins{began: now} }

func stretch(now time.Time) int64 { return now.UnixNano() / int64(Lately) }

// See marks a client by a number that is its own. Marks that come while a new stretch begins may get lost.
func (p *Pins) See(client uint64, now time.Time) {
	n := stretch(now)
	s := &p.spans[n&1]
	if was := s.number.Load(); was < n && s.number.CompareAndSwap(was, n) {
		for i := range s.marks {
			s.marks[i].Store(0)
		}
	}
	at := scramble(client) % pinBits
	mark := uint64(1) << (at % 64)
	if word := &s.marks[at/64]; word.Load()&mark == 0 {
		word.Or(mark)
	}
	p.last.Store(now.UnixNano())
}

// Count is about how many clients were lately seen. A nil Pins has none.
func (p *Pins) Count(now time.Time) int {
	if p == nil {
		return 0
	}
	set, n := 0, stretch(now)
	for i := range p.spans[0].marks {
		var marks uint64
		for j := range p.spans {
			if s := &p.spans[j]; s.number.Load() >= n-1 {
				marks |= s.marks[i].Load()
			}
		}
		set += bits.OnesCount64(marks)
	}
	set = min(set, pinBits-1) // all marks set only say that there are very many
	return int(math.Round(-pinBits * math.Log1p(-float64(set)/pinBits)))
}

// Quiet reports that nobody pinned was lately seen, and that there was somebody to look for as long.
func (p *Pins) Quiet(now time.Time) bool {
	return p == nil || now.Sub(p.began) > Lately && now.UnixNano()-p.last.Load() > int64(Lately)
}
