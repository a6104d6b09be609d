package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"sluice/http1"
	"sluice/message"
)

// Conn is one connection to an endpoint. It carries one request at a time and is owned by whoever holds the lease.
type Conn struct {
	endpoint *Endpoint
	h1       *http1.Conn
	fresh    bool // no request was carried before this one
	asks     bool // a whole request waits to be written together with the wait for its answer

	since     time.Time // when it became idle; the server may have begun to count before
	answered  time.Time // when the last response began; the server cannot have begun to count before
	useBefore time.Time // the request at hand must not be written later than this; zero: at any time
}

// HTTP is the connection's reader and writer.
func (c *Conn) HTTP() *http1.Conn { return c.h1 }

// Fresh reports whether this is the connection's first request. A failure on one that was idle before may only mean
// that the server ended it.
func (c *Conn) Fresh() bool { return c.fresh }

// Answered says when the final response head came, which the connection reads now.
func (c *Conn) Answered(h *message.Head, at time.Time) {
	c.answered, c.since = at, time.Time{}
	if _, whole := c.h1.WholeBody(); whole {
		c.since = at
	}
	if value := h.Get(message.KeepAlive); value != nil {
		c.endpoint.announce(value)
	}
}

// overdue reports that the request at hand would be written too late to be sure that the server keeps the connection.
func (c *Conn) overdue() bool { return !c.useBefore.IsZero() && time.Now().After(c.useBefore) }

func (c *Conn) close() {
	c.h1.Close()
	c.h1.Release()
}

// Phase says how far a round trip came before it failed, and so what the backend may have seen of the request.
type Phase uint8

const (
	Dialling Phase = iota // nothing was sent: there was no connection
	Sending               // the request was being written
	Waiting               // the request was written, or its body was on its way, and no byte of a response came
	Reading               // the response had begun
)

// Error is a round trip that failed.
type Error struct {
	Phase   Phase
	Sent    bool // at least one byte of the request was given to the kernel
	Stale   bool // a kept connection that had been ended, or grown too old: it proves nothing, and another one is to be taken
	Untaken bool // bytes were sent, and provably none of them was read; see Refused of Conn
	Fresh   bool // on a connection that had carried no request before
	Timeout bool
	Err     error
}

func (e *Error) Error() string {
	switch {
	case e.Phase == Dialling && e.Timeout:
		return "no connection in time: " + e.Err.Error()
	case e.Phase == Dialling:
		return "cannot connect: " + e.Err.Error()
	case e.Phase == Waiting && e.Timeout:
		return "no response in time"
	case e.Phase == Waiting && (errors.Is(e.Err, io.EOF) || errors.Is(e.Err, http1.ErrTruncated)):
		return "the connection was closed before a response"
	case e.Phase == Reading && e.Timeout:
		return "the response stopped"
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Refused reports that no server listens there.
func (e *Error) Refused() bool {
	return errors.Is(e.Err, syscall.ECONNREFUSED) || errors.Is(e.Err, syscall.ENOENT)
}

// Refused looks whether a request that failed without an answer was provably read by nobody, and notes it in the error. It
// is for whoever wrote all of it, and waits for a moment where the proof may be on its way.
func (c *Conn) Refused(err error) {
	up, ok := err.(*Error)
	if !ok || !up.Sent || up.Timeout || up.Phase != Waiting || !c.h1.Untaken(up.Err, proofWithin) {
		return
	}
	up.Untaken = true
	c.endpoint.ended(c, time.Now())
}

// proofWithin is how long the reset behind a server's end is waited for: the way to it and back, with room to spare.
const proofWithin = 100 * time.Millisecond

// fail makes the error of a phase. Only while the head is being sent is it in question whether a byte was; later another
// goroutine may be writing the body.
func (c *Conn) fail(phase Phase, err error) *Error {
	var timeout net.Error
	return &Error{
		Phase: phase, Sent: phase > Sending || c.h1.Wrote(), Fresh: c.fresh, Err: err,
		Stale:   err == http1.ErrStale && !c.fresh,
		Timeout: errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout(),
	}
}

// Connect returns an idle connection of the leased backend, or dials one. sure says that the request cannot be sent
// again: it gets a connection that the server is known to keep for longer, or a new one.
func (l *Lease) Connect(ctx context.Context, now time.Time, sure bool) (*Conn, error) {
	e := l.Backend.Endpoint
	e.Stats.Requests.Add(1)
	if c := e.take(now, sure); c != nil {
		c.fresh = false
		e.Stats.Reused.Add(1)
		return c, nil
	}
	c, err := e.dial(ctx)
	l.Backend.Watch.connected(err)
	if err != nil {
		timeout, _ := err.(net.Error)
		return nil, &Error{Phase: Dialling, Fresh: true, Timeout: timeout != nil && timeout.Timeout(), Err: err}
	}
	return c, nil
}

// Begin writes a request head whose body follows by WriteBody.
func (c *Conn) Begin(h *message.Head, within time.Duration) error {
	c.h1.BeginMessage()
	if c.overdue() || !c.h1.Quiet() {
		return c.fail(Sending, http1.ErrStale)
	}
	c.h1.ArmWrite(within)
	err := c.h1.WriteRequest(h)
	if err == nil {
		err = c.h1.Flush()
	}
	if err != nil {
		return c.fail(Sending, err)
	}
	return nil
}

// Send makes a request with all of its body ready. It is written by the first Receive, in one visit to the poller with
// the wait for the answer; body must stay as it is until then.
func (c *Conn) Send(h *message.Head, body []byte, within time.Duration) error {
	c.h1.BeginMessage()
	c.h1.ArmWrite(within)
	err := c.h1.WriteRequest(h)
	if err == nil {
		err = c.h1.WriteWhole(body)
	}
	if err != nil {
		return c.fail(Sending, err)
	}
	c.asks = true
	return nil
}

// ask writes what Send made ready, and waits for the answer.
func (c *Conn) ask(within time.Duration) error {
	c.asks = false
	if c.overdue() {
		return c.fail(Sending, http1.ErrStale)
	}
	c.h1.ArmRead(within)
	err := c.h1.Ask()
	switch {
	case err == nil:
		return nil
	case c.h1.Asked():
		return c.fail(Waiting, err)
	}
	return c.fail(Sending, err)
}

// Receive reads the next response head, interim ones included.
func (c *Conn) Receive(h *message.Head, toHEAD bool, within time.Duration) error {
	if c.asks {
		if err := c.ask(within); err != nil {
			return err
		}
	}
	err := c.h1.ReadResponse(h, toHEAD, http1.Waits{First: within, Head: within})
	if err == nil {
		return nil
	}
	var malformed *http1.Error
	if errors.As(err, &malformed) || err == http1.ErrTruncated || c.h1.HeadBegun() {
		return c.fail(Reading, err)
	}
	return c.fail(Waiting, err)
}

// ReadFailed wraps an error met while the response was read on.
func (c *Conn) ReadFailed(err error) *Error { return c.fail(Reading, err) }

// Reuse gives the connection back for another request. The caller vouches that request and response were both complete
// and cleanly framed and that nothing was upgraded; bytes that wait unread are found here or before the next use.
// A connection of a closed gate is not kept: its server is about to go.
func (l *Lease) Reuse(c *Conn) {
	if l.Backend.Gate.Closed() || !c.h1.Park() {
		c.close()
		return
	}
	if c.since.IsZero() {
		c.since = time.Now()
	}
	if c.answered.IsZero() {
		c.answered = c.since
	}
	c.endpoint.put(c)
	if l.Backend.Gate.Closed() {
		// It was closed just now, and its idle connections may have been before this one became idle.
		c.endpoint.CloseIdle()
	}
}

// Discard closes the connection.
func (l *Lease) Discard(c *Conn) { c.close() }

// DiscardStale closes a kept connection that was not fit to be used, and learns from it where its server had ended it.
func (l *Lease) DiscardStale(c *Conn) {
	c.endpoint.ended(c, time.Now())
	c.close()
}
