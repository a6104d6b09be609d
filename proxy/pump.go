package proxy

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/upstream"
)

// pump carries a request's body to the backend while the response is awaited. It is used again for each attempt.
type pump struct {
	done    chan error            // its end, with what ended it
	err     atomic.Pointer[error] // what went wrong on the client's side
	read    bool                  // bytes of the body may have been taken off the client; owned as running is
	whole   atomic.Bool           // all of the body was
	running bool                  // owned by the goroutine that serves the exchange
}

func (u *pump) reset() {
	if u.read {
		u.read = false
		u.whole.Store(false)
		u.err.Store(nil)
	}
}

func (u *pump) start(p *Proxy, ex *Exchange, conn *upstream.Conn) {
	if u.done == nil {
		u.done = make(chan error, 1)
	}
	conn.HTTP().ForgetReads() // the response may take as long as the body; bodySent starts its time
	u.err.Store(nil)
	u.running, u.read = true, true
	u.whole.Store(ex.Client.BodyDone())
	go u.run(p, ex, conn)
}

// run is its goroutine; stop waits for its end.
func (u *pump) run(p *Proxy, ex *Exchange, conn *upstream.Conn) {
	err := u.carry(p, ex, conn)
	switch {
	case err == nil:
		ex.class.CompareAndSwap(uint32(drain.Upload), uint32(drain.Request))
		ex.bodySent(conn.HTTP(), p.timeouts.Response)
	case u.clientError() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		conn.HTTP().Interrupt()
	default:
		// The backend stopped reading. Its answer may be on the way, and is waited for as if it had all of the body.
		ex.bodySent(conn.HTTP(), p.timeouts.Response)
	}
	u.done <- err
}

func (u *pump) carry(p *Proxy, ex *Exchange, conn *upstream.Conn) error {
	to := conn.HTTP()
	to.ArmWrite(p.timeouts.Write)
	if err := to.WriteBody(ex.intake.bytes()); err != nil {
		return err
	}
	ex.BytesIn = int64(ex.intake.n)
	p.release(&ex.intake) // what follows is read off the client, so the request cannot be sent again
	for !ex.Client.BodyDone() {
		b, err := u.next(p, ex, to)
		if err == io.EOF {
			u.whole.Store(true)
			break
		}
		if err != nil {
			return err
		}
		u.whole.Store(ex.Client.BodyDone())
		to.ArmWrite(p.timeouts.Write)
		if err := to.WriteBody(b); err != nil {
			return err
		}
		ex.BytesIn += int64(len(b))
	}
	if err := to.EndBody(keepTrailers(ex.Client.Trailers())); err != nil {
		return err
	}
	return to.Flush()
}

// next reads on. Before a wait it sends what it has.
func (u *pump) next(p *Proxy, ex *Exchange, to *http1.Conn) ([]byte, error) {
	if !ex.Client.BodyBuffered() {
		p.countIn(ex)
		if err := to.Flush(); err != nil {
			return nil, err
		}
	}
	began := p.await(ex)
	b, err := ex.Client.Next()
	err = p.came(ex, len(b), began, err)
	if err != nil && err != io.EOF {
		failure := err
		u.err.Store(&failure)
	}
	return b, err
}

// lastWrite is how long the last piece of a body may still take to write once the backend has answered.
const lastWrite = time.Second

// stop waits for the pump's end and reports whether the whole body was sent. One that still waits for the client is
// interrupted: the answer is given, so the rest of the body is nobody's, and the client's connection cannot go on after
// it. One that has all of the body is about to end: a backend that answered read it.
func (u *pump) stop(ex *Exchange, conn *upstream.Conn) (sent bool) {
	if !u.running {
		return true
	}
	u.running = false
	if u.whole.Load() {
		stuck := time.AfterFunc(lastWrite, conn.HTTP().Interrupt)
		defer stuck.Stop()
		return <-u.done == nil
	}
	ex.Close = true
	before := u.err.Load()
	conn.HTTP().Interrupt()
	ex.Client.InterruptReads()
	<-u.done
	u.err.Store(before) // what the interruption did is no fault of the client
	return false
}

// early reports that the client still sends while the answer is here.
func (u *pump) early() bool { return u.running && !u.whole.Load() }

// taken reports whether bytes of the body may have been read off the client: they are gone for another attempt.
func (u *pump) taken() bool { return u.read }

// clientError is what went wrong on the client's side of the body, or nil.
func (u *pump) clientError() error {
	if err := u.err.Load(); err != nil {
		return *err
	}
	return nil
}
