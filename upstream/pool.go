package upstream

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"sluice/drain"
)

// Backend is an endpoint's place in one pool. It never changes; a new weight or a new gate makes a new Backend.
type Backend struct {
	Endpoint *Endpoint
	Service  string
	Pool     string
	Name     string // the address as the configuration writes it
	Release  string // as last reported
	Weight   int
	Max      int // requests inside at most; 0 is no limit
	Gate     *drain.Gate
	Watch    *Watch   // nil: nobody counts how it serves
	Warming  *Warming // nil: it has its whole weight
}

// Balance is how a pool chooses among its backends.
type Balance uint8

const (
	LeastRequests Balance = iota // the one with the fewest requests now, by weight
	RoundRobin                   // each in turn, by weight
)

// Pool is an immutable choice of the backends that may take new requests.
type Pool struct {
	Name     string
	Balance  Balance
	backends []*Backend
	turns    []*Backend // one round: each as often as its weight says, well mixed
	turn     atomic.Uint32
	warm     atomic.Pointer[warmth] // nil as a rule: all have their whole weight
}

// Errors of a claim. Each says that nothing was sent anywhere.
var (
	ErrNoBackend = errors.New("upstream: no backend is ready")
	ErrFull      = errors.New("upstream: each backend is at max_connections")
	ErrClosed    = errors.New("upstream: the pool was left by a newer snapshot")
)

// NewPool returns a pool of the backends with a weight above zero.
func NewPool(name string, balance Balance, backends []*Backend) *Pool {
	p := &Pool{Name: name, Balance: balance}
	for _, b := range backends {
		if b.Weight > 0 {
			p.backends = append(p.backends, b)
		}
	}
	p.turns = mix(p.backends)
	p.warm.Store(newWarmth(p.backends))
	return p
}

// Backends returns the backends that may be chosen. The caller must not change the slice.
func (p *Pool) Backends() []*Backend { return p.backends }

// Lease is the right to send one request to one backend. It is released exactly once.
type Lease struct {
	Backend *Backend
	gate    *drain.Gate
}

// Held reports whether the lease is held: claimed, and not yet released.
func (l *Lease) Held() bool { return l.gate != nil }

// Release gives the right back. A second call panics: someone else would be counted out.
func (l *Lease) Release() {
	if l.gate == nil {
		panic("upstream: lease released twice")
	}
	gate := l.gate
	l.gate = nil
	l.Backend.Endpoint.active.Add(-1)
	gate.Leave()
}

// Tried are the backends that failed a request, which is not sent there again while another one is left. Its room is
// also the limit on how often a request is sent.
type Tried struct {
	list [4]*Endpoint
	n    int
}

// Add remembers an endpoint.
func (t *Tried) Add(e *Endpoint) {
	if t.n < len(t.list) {
		t.list[t.n] = e
		t.n++
	}
}

// Reset forgets all.
func (t *Tried) Reset() { *t = Tried{} }

func (t *Tried) has(e *Endpoint) bool {
	for _, o := range t.list[:t.n] {
		if o == e {
			return true
		}
	}
	return false
}

// Claim chooses a backend and enters its gate: to have picked is to be inside. It returns ErrNoBackend when there is
// none but those tried, ErrFull when all are at their cap, and ErrClosed when a gate was closed meanwhile: then there is
// a newer snapshot to claim from.
func (p *Pool) Claim(tried *Tried) (Lease, error) {
	refused := ErrNoBackend
	skip := *tried
	for range len(p.backends) {
		b := p.pick(&skip)
		if b == nil {
			break
		}
		lease, err := b.enter()
		if err == nil {
			return lease, nil
		}
		if err == ErrClosed {
			return Lease{}, err
		}
		refused = err
		if skip.n == len(skip.list) {
			return p.claimAny(tried)
		}
		skip.Add(b.Endpoint)
	}
	return Lease{}, refused
}

// claimAny looks at each backend in turn: the rare way when several are full.
func (p *Pool) claimAny(tried *Tried) (Lease, error) {
	for _, b := range p.backends {
		if tried.has(b.Endpoint) {
			continue
		}
		if lease, err := b.enter(); err != ErrFull {
			return lease, err
		}
	}
	return Lease{}, ErrFull
}

func (b *Backend) enter() (Lease, error) {
	if !b.Endpoint.begin(int64(b.Max)) {
		return Lease{}, ErrFull
	}
	if !b.Gate.Enter() {
		b.Endpoint.active.Add(-1)
		return Lease{}, ErrClosed
	}
	return Lease{Backend: b, gate: b.Gate}, nil
}

func (p *Pool) pick(skip *Tried) *Backend {
	if p.Balance == RoundRobin {
		return p.inTurn(skip)
	}
	return p.least(skip)
}

func (p *Pool) inTurn(skip *Tried) *Backend {
	if w := p.warming(); w != nil {
		return p.warmTurn(w, skip)
	}
	return p.nextTurn(skip)
}

// nextTurn takes one step on a counter that all claims share, and looks on from there by itself: claims that stepped
// past each other could all miss the one backend that is left.
func (p *Pool) nextTurn(skip *Tried) *Backend {
	n := uint32(len(p.turns))
	from := p.turn.Add(1) - 1
	for i := range n {
		b := p.turns[(from+i)%n]
		if skip.n == 0 || !skip.has(b.Endpoint) {
			return b
		}
	}
	return nil
}

// scanLimit is up to how many backends are all looked at. Beyond it the better of two random ones is taken, which
// balances nearly as well at a cost that does not grow.
const scanLimit = 16

// least begins with the backend whose turn it is. One that has nothing to do is taken at once: while there is little to
// do, requests then go round by weight, and not all to the heaviest.
func (p *Pool) least(skip *Tried) *Backend {
	best := p.inTurn(skip)
	if best == nil || best.Endpoint.active.Load() == 0 {
		return best
	}
	n, w := len(p.backends), p.warming()
	if n > scanLimit && skip.n == 0 {
		a, b := p.backends[rand.IntN(n)], p.backends[rand.IntN(n)]
		if lighter(b, a, w) {
			return b
		}
		return a
	}
	for _, b := range p.backends {
		if lighter(b, best, w) && (skip.n == 0 || !skip.has(b.Endpoint)) {
			best = b
		}
	}
	return best
}

// lighter compares requests per weight without dividing.
func lighter(a, b *Backend, w *warmth) bool {
	return (a.Endpoint.active.Load()+1)*w.weight(b) < (b.Endpoint.active.Load()+1)*w.weight(a)
}

// maxTurns bounds the length of a round, and so the memory of a pool and the work of making it. Weights that need a
// longer one to be exact are rounded.
const maxTurns = 4096

// shares are the weights in their smallest numbers, and their sum.
func shares(backends []*Backend) (list []int, total int) {
	unit, sum := 0, 0
	for _, b := range backends {
		sum += b.Weight
		unit = gcd(unit, b.Weight)
	}
	for _, b := range backends {
		share := b.Weight / unit
		if sum/unit > maxTurns {
			share = max(1, int(float64(b.Weight)/float64(sum)*maxTurns))
		}
		list = append(list, share)
		total += share
	}
	return list, total
}

// mix lays out one round so that heavy backends do not get their turns in a row: at each step the one furthest behind
// its share is next (smooth weighted round robin).
func mix(backends []*Backend) []*Backend {
	weights, total := shares(backends)
	credit := make([]int, len(backends))
	turns := make([]*Backend, 0, total)
	for len(turns) < total {
		best := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		turns = append(turns, backends[best])
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
