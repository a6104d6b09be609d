// Package proxy takes one exchange to one backend and its response back: it finds the service in the snapshot, claims a
// backend, forwards, retries where that is safe, and tells an Observer. It refuses to know listeners, protocols of the
// client's side, and why the snapshot is as it is.
package proxy

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sluice/drain"
	"sluice/message"
	"sluice/upstream"
)

// Timeouts bound the waits of an exchange. Zero is no limit.
type Timeouts struct {
	Response time.Duration // for a response head, once the request is on its way
	Body     time.Duration // for the next bytes of a body, either way
	Write    time.Duration // for a write that makes no progress
	Tunnel   time.Duration // for the next bytes of an event stream or an upgraded connection
}

// Observer is told of each exchange when it is over. It must not keep the exchange, nor wait.
type Observer interface {
	Done(ex *Exchange, took time.Duration)
}

// Proxy serves exchanges by the snapshot of the moment.
type Proxy struct {
	Ledger  Ledger
	Interim int            // how many interim responses a backend may send before its final one; New sets 10. Set before Serve
	Intake  int64          // bytes of memory that bodies are taken in with before a backend is claimed; New sets 64 MiB. Set before Serve
	Pace    Pace           // what request bodies must keep. Set before Serve
	Rand    func() float64 // in [0,1), safe for concurrent use; New sets math/rand's. Set before Serve
	// AppDrain is told of each response in which a backend asks that it gets nothing new (Sluice-Drain: 1). It must not
	// wait. nil: nobody is told. Set before Serve.
	AppDrain func(*upstream.Backend)
	held     atomic.Int64
	Memory   Memory
	Queues   upstream.Queues // of all services; endpoints are to know it
	taking   *drain.Gate     // what a body is taken in for stands here: Sluice's own exit finds it, the drain of a backend does not
	waiting  *drain.Gate     // and what waits for a backend here
	buffers  sync.Pool       // of *fileBuffer
	timeouts Timeouts
	observer Observer // nil: nobody
	via      []byte
	live     atomic.Pointer[Snapshot]
}

// New returns a proxy that knows no service yet.
func New(timeouts Timeouts, observer Observer) *Proxy {
	p := &Proxy{Interim: defaultInterim, Intake: defaultIntake, Rand: rand.Float64, timeouts: timeouts, observer: observer}
	id := rand.Uint32()
	p.via = []byte("1.1 sluice-" + hex.EncodeToString([]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}))
	p.taking, p.waiting = drain.NewGate(), drain.NewGate()
	p.live.Store(&Snapshot{any: &paths{}})
	return p
}

// Snapshot returns the snapshot of the moment.
func (p *Proxy) Snapshot() *Snapshot { return p.live.Load() }

// Serve takes the exchange to a backend and the response to the client, and returns when both are over.
func (p *Proxy) Serve(ex *Exchange) {
	if err := p.serve(ex); err != nil {
		ex.fail(err)
	}
	p.release(&ex.intake)
	took := time.Since(ex.Began)
	if ex.Service != nil {
		ex.Service.add(ex, took)
		ex.countForPool()
	}
	if p.observer != nil && ex.probed == nil {
		p.observer.Done(ex, took)
	}
}

// Reject answers an exchange whose request was refused before it could be served.
func (p *Proxy) Reject(ex *Exchange, err *Error) {
	ex.Refuse(err)
	if p.observer != nil {
		p.observer.Done(ex, time.Since(ex.Began))
	}
}

func (p *Proxy) serve(ex *Exchange) *Error {
	if p.Memory.full.Load() {
		return p.Memory.refuse(ex)
	}
	if err := p.prepare(ex); err != nil {
		return err
	}
	if ex.recipient {
		return ex.answerOptions()
	}
	if err := p.takeIn(ex); err != nil {
		return err
	}
	for {
		lease, err := p.claim(ex)
		switch {
		case err == errHeldCheck:
			return ex.answerCheck()
		case err == errLink:
			return ex.answerLink(p.Snapshot())
		case err != nil:
			return err
		}
		switch failure := p.attempt(ex, &lease); {
		case failure == nil && ex.miss == nil:
			return nil
		case failure == nil:
			if err := p.askBefore(ex); err != errMoved {
				return err
			}
		case !ex.again:
			return ex.failure(failure)
		default:
			ex.Retries++
		}
	}
}

// attempt sends the request to the leased backend and the response to the client.
func (p *Proxy) attempt(ex *Exchange, lease *upstream.Lease) error {
	ex.enter(lease.Backend.Gate)
	defer lease.Release()
	defer ex.leave()
	if lease.Backend.Files != nil {
		return p.fromFolder(ex, lease)
	}
	for {
		conn, err := ex.connect(lease)
		if err == nil {
			err = p.use(ex, lease, conn)
		}
		if err == nil || !stale(err) {
			ex.leave()
			return p.ended(ex, lease, err)
		}
	}
}

// connect gets a connection. The time of a request that may be sent again is not asked for anew: what it risks is small.
func (ex *Exchange) connect(lease *upstream.Lease) (*upstream.Conn, error) {
	now, sure := ex.Began, !ex.repeatable()
	if sure || ex.begunLater() {
		now = time.Now()
	}
	return lease.Connect(context.Background(), now, sure)
}

// begunLater reports that the attempt at hand did not begin when the request's head was read.
func (ex *Exchange) begunLater() bool { return ex.Retries > 0 || ex.intake.used || ex.guest != nil }

// stale reports that a kept connection had ended before the request was written to it: the next one is taken, in the end
// a new one.
func stale(err error) bool {
	up, ok := err.(*upstream.Error)
	return ok && up.Stale
}

// use makes the round trip on a connection, and keeps or closes it.
func (p *Proxy) use(ex *Exchange, lease *upstream.Lease, conn *upstream.Conn) error {
	ex.carry(conn.HTTP())
	clean, err := p.roundTrip(ex, conn)
	if stale(err) {
		ex.uncarry()
		lease.DiscardStale(conn)
		return err
	}
	if err != nil && !ex.pump.taken() {
		conn.Refused(err)
	}
	ex.leave() // before the connection is another's: a drain that comes now cuts nothing, and must not say that it did
	ex.whole = err == nil && !ex.Tunneled && conn.HTTP().BodyDone()
	if clean && !conn.HTTP().Interrupted() { // an end may have been asked for when there was nothing left to end
		lease.Reuse(conn)
	} else {
		lease.Discard(conn)
	}
	return err
}

// missed remembers where the request failed, and why, for the next attempt. A connection that had been idle proves
// nothing against its backend, but its siblings are as old as it is.
func (ex *Exchange) missed(lease *upstream.Lease, err error) error {
	if err == nil {
		lease.Backend.Watch.Answered(ex.Status, ex.Began)
		return nil
	}
	ex.noteSent(err)
	ex.last = ex.failure(err)
	ex.blame(lease.Backend.Watch, err)
	if ex.last.Fault == ByBackend {
		lease.Backend.Endpoint.Stats.Failures.Add(1)
	}
	ex.tried.Add(lease.Backend.Endpoint)
	if up, ok := err.(*upstream.Error); ok && !up.Fresh {
		ex.worn = true
		lease.Backend.Endpoint.CloseIdle()
	}
	return err
}

// roundTrip sends the request, and passes on the response. clean reports that the connection may carry another request.
func (p *Proxy) roundTrip(ex *Exchange, conn *upstream.Conn) (clean bool, err error) {
	began := ex.Began
	if ex.begunLater() {
		began = time.Now()
	}
	ex.bodyCut = false
	if err := p.send(ex, conn); err != nil {
		return false, err
	}
	err = p.receive(ex, conn)
	ex.Waited = ex.answeredAfter(began)
	if err == nil {
		ex.timeAnswer()
		err = p.respond(ex, conn)
	}
	ex.bodyCut = !ex.pump.stop(ex, conn)
	return err == nil && !ex.bodyCut && ex.reusable(conn), err
}

// answeredAfter is how long the response head took; where none came, how long it was waited for.
func (ex *Exchange) answeredAfter(began time.Time) time.Duration {
	if ex.headAt.IsZero() {
		return time.Since(began)
	}
	return ex.headAt.Sub(began)
}

// reusable is the pool rule: both messages complete and cleanly framed, no upgrade asked, no bytes left.
func (ex *Exchange) reusable(conn *upstream.Conn) bool {
	return conn.HTTP().BodyDone() && !ex.response.Close && ex.Request.Upgrade == nil
}

// send writes the request. A body that is all here goes with it in one write; another is pumped beside the wait for the
// response, which may come early.
func (p *Proxy) send(ex *Exchange, conn *upstream.Conn) error {
	if body, whole := ex.bodyHere(); whole {
		ex.BytesIn = int64(len(body))
		p.countIn(ex)
		return conn.Send(&ex.Request, body, p.timeouts.Write)
	}
	ex.setClass(drain.Upload)
	if err := conn.Begin(&ex.Request, p.timeouts.Write); err != nil {
		return err
	}
	ex.pump.start(p, ex, conn)
	return nil
}

// defaultInterim is more than any server has a use for, and few enough to end an endless row of them.
const defaultInterim = 10

// receive reads the final response head, and passes interim ones on (RFC 9110 §15.2).
func (p *Proxy) receive(ex *Exchange, conn *upstream.Conn) error {
	h := &ex.response
	for range p.Interim + 1 {
		if err := conn.Receive(h, ex.Request.IsHead(), ex.patience(p)); err != nil {
			return err
		}
		if !h.Interim() {
			ex.headCame(conn)
			if h.Status == 101 && !ex.asked(h) {
				return errUpgrade
			}
			return nil
		}
		ex.Client.ArmWrite(p.timeouts.Write)
		if err := ex.passInterim(h); err != nil {
			return err
		}
	}
	return errInterim
}

// patience is how long the response may take from now on. While the body is on its way it may take as long as that.
func (ex *Exchange) patience(p *Proxy) time.Duration {
	if ex.pump.running {
		return 0
	}
	return p.timeouts.Response
}

// passInterim hands a 1xx on, except a 100: the body was invited here already.
func (ex *Exchange) passInterim(h *message.Head) error {
	if h.Status == 100 || ex.Request.Minor == 0 {
		return nil
	}
	if _, ok := filterResponse(h); !ok {
		return errNominates
	}
	if ex.Client.WriteResponse(h) != nil || ex.Client.Flush() != nil {
		return errGone
	}
	return nil
}
