package proxy

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// pump carries a request's body to the backend while the response is awaited. It is used again for each attempt.
type pump struct {
	done    chan error            // its end, with what ended it
	err     atomic.Pointer[error] // what went wrong on the client's side
	read    atomic.Bool           // bytes of the body were taken off the client
	whole   atomic.Bool           // all of the body was
	running bool                  // owned by the goroutine that serves the exchange
}

func (u *pump) reset() {
	if u.read.Load() {
		u.read.Store(false)
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
	u.running = true
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
	}
	// Another failed write means that the backend stopped reading. Its answer may be on the way, and is read on for.
	u.done <- err
}

func (u *pump) carry(p *Proxy, ex *Exchange, conn *upstream.Conn) error {
	to := conn.HTTP()
	to.ArmWrite(p.timeouts.Write)
	for !ex.Client.BodyDone() {
		if !ex.Client.BodyBuffered() {
			if err := to.Flush(); err != nil {
				return err
			}
			ex.Client.ArmRead(p.timeouts.Body)
		}
		u.read.Store(true)
		b, err := ex.Client.Next()
		if err == io.EOF {
			u.whole.Store(true)
			break
		}
		if err != nil {
			u.err.Store(&err)
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
	conn.HTTP().Interrupt()
	ex.Client.InterruptReads()
	<-u.done
	return false
}

// taken reports whether bytes of the body were read off the client: they are gone for another attempt.
func (u *pump) taken() bool { return u.read.Load() }

// clientError is what went wrong on the client's side of the body, or nil.
func (u *pump) clientError() error {
	if err := u.err.Load(); err != nil {
		return *err
	}
	return nil
}
