package proxy

import (
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// Queueing says how many requests of a service wait while each backend is at its max_connections.
type Queueing struct {
	Requests int // at most; 0: none waits
	Wait     time.Duration
}

var (
	errQueueFull = &Error{Status: 503, Fault: ByOperator, Type: connectionLimitReached, What: "each backend is at its max_connections, and so is the queue for them"}
	errQueueLong = &Error{Status: 503, Fault: ByOperator, Type: connectionLimitReached, What: "each backend is at its max_connections, and was for as long as a request waits"}
)

// queued is a request that waits for a place at a backend.
type queued struct {
	place *upstream.Place // nil: it does not
	over  *time.Timer     // its patience
	since time.Time
}

// Interrupt has it look whether it is still wanted.
func (q *queued) Interrupt() { q.place.Wake() }

// claimInTurn claims, unless others were here before.
func (ex *Exchange) claimInTurn() (upstream.Lease, error) {
	svc := ex.Service
	switch {
	case ex.pool != svc.Live: // those who wait do so for the live pool
	case ex.queued.place == nil && svc.Line.Waiting() > 0 && svc.Queue.Requests > 0,
		ex.queued.place != nil && !ex.queued.place.First(ex.pool):
		return upstream.Lease{}, upstream.ErrFull
	}
	return ex.pool.ClaimFor(&ex.tried, ex.wish())
}

// queue has a request that found all backends full wait until it is worth looking again. It takes a place in the queue
// first, and looks again at once: one may have become free meanwhile, and nobody was told.
func (p *Proxy) queue(ex *Exchange) *Error {
	if ex.queued.place == nil {
		return p.joinQueue(ex)
	}
	long := p.sleep(ex)
	switch {
	case ex.gone.Load() || ex.cut.Load():
		return ex.failure(errGone)
	case long:
		ex.Service.QueueLong.Add(1)
		return ex.refusedFor(errQueueLong)
	}
	return nil
}

// sleep waits to be woken, or for the patience to end. It is in the ledger meanwhile, where a client that left and Sluice's
// own exit find it.
func (p *Proxy) sleep(ex *Exchange) (long bool) {
	ex.setClass(drain.Held)
	ex.enter(p.waiting)
	ex.carry(&ex.queued)
	select {
	case <-ex.queued.place.Woken():
	case <-ex.queued.over.C:
		long = true
	}
	ex.leave()
	ex.setClass(drain.Request)
	return long
}

func (p *Proxy) joinQueue(ex *Exchange) *Error {
	svc := ex.Service
	if svc.Queue.Requests == 0 {
		return ex.refusedFor(errFull)
	}
	place, ok := svc.Line.Join(svc.Queue.Requests)
	if !ok {
		svc.QueueFull.Add(1)
		return ex.refusedFor(errQueueFull)
	}
	svc.Queued.Add(1)
	ex.tried.Reset() // who waits takes what comes
	ex.queued = queued{place: place, over: time.NewTimer(svc.Queue.Wait), since: time.Now()}
	return nil
}

// unqueue ends the wait, if there was one.
func (ex *Exchange) unqueue() {
	if ex.queued.place == nil {
		return
	}
	ex.queued.place.Leave()
	ex.queued.over.Stop()
	ex.Held += time.Since(ex.queued.since)
	ex.queued.place = nil
}

// keepPlace gives up a place in the queue of a service that a newer snapshot does not route the request to any more.
func (ex *Exchange) keepPlace() {
	if q := ex.queued.place; q != nil && (ex.Service == nil || q.Queue() != ex.Service.Line) {
		ex.unqueue()
	}
}

// refusedFor is what a request is refused with that may have failed somewhere already: that tells more.
func (ex *Exchange) refusedFor(err *Error) *Error {
	if ex.last != nil {
		return ex.last
	}
	return err
}
