package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Queues are all queues of a process. Endpoints share it, for the place that one request leaves may be what another
// service's request waits for.
type Queues struct {
	waiting atomic.Int64 // requests, in all queues; what a release looks at
	mu      sync.Mutex
	busy    []*Queue // those that somebody waits in
}

// Queue is where the requests of one service wait while each of its backends is full, first come first served. It outlives
// snapshots. Only who is first in it claims; all others wait to become that, so that a place which becomes free wakes one
// request and not all.
//
// No wake-up is lost, because each side first does its part and then looks at the other's:
//
//	who waits:   joins the queue; then claims, if it is the first
//	who releases: frees the place; then looks whether somebody waits, and wakes the first
//
// and because who leaves the queue, for whatever reason, wakes the one who is first now.
type Queue struct {
	all     *Queues
	waiting atomic.Int64
	mu      sync.Mutex
	line    []*Place // the first in it is the first to claim
	pool    *Pool    // where the first one claimed last, in vain; nil: nowhere yet
}

// Place is a request's place in a queue.
type Place struct {
	queue *Queue
	woken chan struct{}
}

// NewQueue returns an empty queue.
func (qs *Queues) NewQueue() *Queue { return &Queue{all: qs} }

// Waiting is how many requests wait in the queue; a nil one is empty.
func (q *Queue) Waiting() int {
	if q == nil {
		return 0
	}
	return int(q.waiting.Load())
}

// Join takes the last place, unless there are most already.
func (q *Queue) Join(most int) (*Place, bool) {
	q.all.mu.Lock()
	defer q.all.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.line) >= most {
		return nil, false
	}
	pl := &Place{queue: q, woken: make(chan struct{}, 1)}
	if q.line = append(q.line, pl); len(q.line) == 1 {
		q.all.busy = append(q.all.busy, q)
		pl.Wake()
	}
	q.waiting.Add(1)
	q.all.waiting.Add(1)
	return pl, true
}

// Leave gives the place up. It is called once.
func (pl *Place) Leave() {
	q := pl.queue
	q.all.mu.Lock()
	defer q.all.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.line, pl)
	q.line = slices.Delete(q.line, i, i+1)
	q.waiting.Add(-1)
	q.all.waiting.Add(-1)
	if len(q.line) > 0 {
		q.line[0].Wake()
		return
	}
	q.pool = nil
	q.all.busy = slices.DeleteFunc(q.all.busy, func(other *Queue) bool { return other == q })
}

// Queue is the one that the place is in.
func (pl *Place) Queue() *Queue { return pl.queue }

// First reports whether the place is the first one, who is then about to claim from a pool.
func (pl *Place) First(pool *Pool) bool {
	q := pl.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line[0] != pl {
		return false
	}
	q.pool = pool
	return true
}

// Woken is what the place waits for: something has changed, and it is to look whether it is the first, and to claim.
func (pl *Place) Woken() <-chan struct{} { return pl.woken }

// Wake wakes the place. Once is as good as often.
func (pl *Place) Wake() {
	select {
	case pl.woken <- struct{}{}:
	default:
	}
}

// WakeAll wakes the first of each queue: there is a new snapshot, and what it waited for may be here.
func (qs *Queues) WakeAll() {
	if qs.waiting.Load() > 0 {
		qs.wake(nil)
	}
}

// freed tells that a request has left an endpoint. It costs a look at one number where nobody waits.
func (qs *Queues) freed(e *Endpoint) {
	if qs != nil && qs.waiting.Load() > 0 {
		qs.wake(e)
	}
}

// wake wakes the first of each queue that could use the endpoint; nil is any.
func (qs *Queues) wake(e *Endpoint) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.busy {
		q.mu.Lock()
		if e == nil || q.pool == nil || q.pool.has(e) {
			q.line[0].Wake()
		}
		q.mu.Unlock()
	}
}

func (p *Pool) has(e *Endpoint) bool {
	return slices.ContainsFunc(p.backends, func(b *Backend) bool { return b.Endpoint == e })
}
