package upstream

import (
	"errors"
	"sync/atomic"

	"sluice/drain"
	"sluice/static"
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

	Files *static.Folder // what it serves, in place of connections; nil: it is a server

	ID         uint64 // what a pin names it by; 0: nothing is pinned to it
	PinnedOnly bool   // it is in drain and kept for those who are pinned to it
	Pins       *Pins  // who is; nil: nobody counts

	Load *atomic.Int64 // requests inside of all backends of the pool; nil: it does not go by Hash
}

// Balance is how a pool chooses among its backends.
type Balance uint8

const (
	LeastRequests Balance = iota // the one with the fewest requests now, by weight
	RoundRobin                   // each in turn, by weight
	Hash                         // the one that the key of the request falls to, by weight
)

// Pool is an immutable choice of the backends that may take new requests.
type Pool struct {
	Name     string
	Balance  Balance
	backends []*Backend
	turns    []*Backend // one round: each as often as its weight says, well mixed
	turn     atomic.Uint32
	warm     atomic.Pointer[warmth] // nil as a rule: all have their whole weight
	pinned   map[uint64]*Backend    // by ID; those that are only for the pinned are here and nowhere else
	table    *table                 // of Hash
}

// Errors of a claim. Each says that nothing was sent anywhere.
var (
	ErrNoBackend = errors.New("upstream: no backend is ready")
	ErrFull      = errors.New("upstream: each backend is at max_connections")
	ErrClosed    = errors.New("upstream: the pool was left by a newer snapshot")
)

// NewPool returns a pool of the backends with a weight above zero.
func NewPool(name string, balance Balance, backends []*Backend) *Pool {
	return NewPoolAfter(nil, name, balance, backends)
}

// NewPoolAfter is NewPool for a pool that takes the place of old, which may be nil: what was worked out for old and still
// holds is not worked out again.
func NewPoolAfter(old *Pool, name string, balance Balance, backends []*Backend) *Pool {
	p := &Pool{Name: name, Balance: balance}
	for _, b := range backends {
		if b.Weight > 0 {
			p.admit(b)
		}
	}
	if balance == Hash {
		p.table = tableAfter(old, p.Name, p.backends)
	}
	p.turns = mix(p.backends)
	p.warm.Store(newWarmth(p.backends))
	return p
}

func (p *Pool) admit(b *Backend) {
	if !b.PinnedOnly {
		p.backends = append(p.backends, b)
	}
	if b.ID != 0 {
		if p.pinned == nil {
			p.pinned = map[uint64]*Backend{}
		}
		p.pinned[b.ID] = b
	}
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
	if load := l.Backend.Load; load != nil {
		load.Add(-1)
	}
	gate.Leave()
	l.Backend.Endpoint.opts.Queues.freed(l.Backend.Endpoint)
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

// Ask is what a request asks of a pool besides a backend that was not tried. The zero value asks for nothing.
type Ask struct {
	Pin uint64 // the ID of the backend that the client is pinned to
	Key uint64 // what Hash goes by
}

// Claim is ClaimFor without a wish.
func (p *Pool) Claim(tried *Tried) (Lease, error) { return p.claim(tried, 0) }

// ClaimFor chooses a backend and enters its gate: to have picked is to be inside. It takes the backend that the request is
// pinned to, where that one can take it, else another by the balance. It returns ErrNoBackend when there is none but
// those tried, ErrFull when all are at their cap, and ErrClosed when a gate was closed meanwhile: then there is a newer
// snapshot to claim from.
func (p *Pool) ClaimFor(tried *Tried, ask Ask) (Lease, error) {
	if ask.Pin != 0 {
		if lease, err := p.claimPinned(tried, ask.Pin); err == nil || err == ErrClosed {
			return lease, err
		}
	}
	return p.claim(tried, ask.Key)
}

func (p *Pool) claim(tried *Tried, key uint64) (Lease, error) {
	refused := ErrNoBackend
	skip := *tried
	for range len(p.backends) {
		b := p.pick(&skip, key)
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
	if b.Load != nil {
		b.Load.Add(1)
	}
	return Lease{Backend: b, gate: b.Gate}, nil
}
