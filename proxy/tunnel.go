package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/message"
	"sluice/upstream"
)

// tunnel is a connection that left HTTP: bytes go both ways until both sides have ended theirs.
type tunnel struct {
	client, backend *http1.Conn
	idle, write     time.Duration
	websocket       bool
	in, out         *flow // bytes towards the backend, and towards the client
	clock           *http1.Clock
	moved           atomic.Int64          // when bytes came last, from either side; Unix nanoseconds
	torn            atomic.Bool           // it did not come to its end by itself
	broke           atomic.Pointer[Error] // who tore it
}

// closeEcho is how long a WebSocket peer that was told to close may take to answer.
const closeEcho = 500 * time.Millisecond

// tunnel hands the 101 on and then carries bytes.
func (p *Proxy) tunnel(ex *Exchange, conn *upstream.Conn) error {
	t := &tunnel{client: ex.Client.Tunnel(), backend: conn.HTTP(), idle: p.timeouts.Tunnel, write: p.timeouts.Write}
	t.in, t.out, t.clock = &ex.in, &ex.out, p.Ledger.Clock
	h := &ex.response
	t.websocket = message.EqualFold(ex.Request.Upgrade, "websocket")
	h.Add(message.Connection, nameConnection, valueUpgrade)
	h.Add(message.Upgrade, nameUpgrade, ex.Request.Upgrade)
	ex.Tunneled, ex.Close, ex.begun = true, true, true
	ex.ownHead()
	ex.setClass(drain.Tunnel)
	if t.websocket {
		ex.setClass(drain.WebSocket)
	}
	ex.carry(t) // before the client knows: a cut from now on ends a tunnel as its protocol wants it
	if err := t.open(h); err != nil {
		return errGone
	}
	t.run(ex)
	ex.BytesIn, ex.BytesOut = t.in.total.Load(), t.out.total.Load()
	return t.outcome(ex)
}

func (t *tunnel) open(h *message.Head) error {
	if err := t.client.WriteResponse(h); err != nil {
		return err
	}
	t.backend.ReleaseHead()
	t.client.BecomeTunnel()
	t.backend.BecomeTunnel()
	return t.client.Flush()
}

// Interrupt wakes both directions, which then end as their protocol wants it. What is being written has a last moment.
func (t *tunnel) Interrupt() {
	for _, c := range []*http1.Conn{t.client, t.backend} {
		c.InterruptReads()
		c.NetConn().SetWriteDeadline(time.Now().Add(closeEcho))
	}
}

// armWrite bounds the next write. An interruption that came before it holds.
func (t *tunnel) armWrite(to *http1.Conn) {
	to.ArmWrite(t.write)
	if to.Interrupted() {
		to.NetConn().SetWriteDeadline(time.Now().Add(closeEcho))
	}
}

// busy reports that one direction was silent for too long, but not the other: the tunnel is in use.
func (t *tunnel) busy(from *http1.Conn, err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !from.Interrupted() && time.Since(time.Unix(0, t.moved.Load())) < t.idle
}

// run carries both directions; its own goroutine carries the one towards the backend.
func (t *tunnel) run(ex *Exchange) {
	var toBackend, toClient frames
	done := make(chan struct{})
	go t.upward(&toBackend, done)
	t.carry(t.client, t.backend, &toClient, t.out)
	<-done
	switch {
	case !t.websocket:
	case ex.cut.Load():
		t.torn.Store(false)
		t.sayGoodbye(&toClient, &toBackend)
	case toClient.closed && toBackend.closed:
		t.torn.Store(false) // both have said goodbye; how the sockets end says nothing more (RFC 6455 §7.1.4)
	}
}

// upward carries what the client sends.
func (t *tunnel) upward(follow *frames, done chan<- struct{}) {
	defer close(done)
	t.carry(t.backend, t.client, follow, t.in)
}

// carry moves bytes one way until their source ends; the end is passed on as a half-close, and the other way goes on.
// A failure ends both ways: what is left could only arrive incomplete.
func (t *tunnel) carry(to, from *http1.Conn, follow *frames, count *flow) {
	for {
		from.ParkInput()
		from.ArmRead(t.idle)
		p, err := from.Next()
		failed := from
		switch {
		case err == io.EOF && to.CloseWrite() == nil:
			return
		case t.busy(from, err):
			continue
		case err == nil:
			if err = t.pass(to, p, follow, count); err == nil {
				continue
			}
			failed = to
		case err == io.EOF:
			failed = to
		case errors.Is(err, os.ErrDeadlineExceeded):
			failed = nil
		}
		t.tear(failed)
		t.finish(to, from, follow, count)
		return
	}
}

// tear ends both ways. side is the one whose connection failed; nil: none did.
func (t *tunnel) tear(side *http1.Conn) {
	t.torn.Store(true)
	switch {
	case side == nil || side.Interrupted():
	case side == t.client:
		t.broke.CompareAndSwap(nil, errBroken)
	default:
		t.broke.CompareAndSwap(nil, errBrokenOff)
	}
	t.Interrupt()
}

// outcome ends what was torn with a reset on both sides: to most protocols a plain close is a whole message's end.
func (t *tunnel) outcome(ex *Exchange) error {
	if !t.torn.Load() {
		return nil
	}
	if nc, ok := t.backend.NetConn().(*net.TCPConn); ok {
		nc.SetLinger(0)
	}
	if broke := t.broke.Load(); broke != nil {
		return broke
	}
	ex.Client.Abort()
	return nil
}

// finish carries the rest of a WebSocket message that was under way when the tunnel was interrupted, so that a Close can
// stand behind it. A peer that takes longer than a moment for it is left with half a message.
func (t *tunnel) finish(to, from *http1.Conn, follow *frames, count *flow) {
	if !t.websocket || follow.lost || follow.between() || !from.Interrupted() {
		return
	}
	from.NetConn().SetReadDeadline(time.Now().Add(closeEcho))
	for !follow.between() {
		p, err := from.Next()
		if err != nil {
			return
		}
		ahead := *follow
		if t.pass(to, p[:ahead.end(p)], follow, count) != nil {
			return
		}
	}
}

func (t *tunnel) pass(to *http1.Conn, p []byte, follow *frames, count *flow) error {
	t.moved.Store(time.Now().UnixNano())
	if t.websocket {
		follow.follow(p)
	}
	count.add(t.clock.Now(), int64(len(p)))
	t.armWrite(to)
	err := errors.Join(to.WriteBody(p), to.Flush())
	follow.lost = err != nil
	return err
}

// sayGoodbye ends a WebSocket that a drain cut: Close 1001 to each side that stands between two messages (RFC 6455
// §7.4.1: "going away"), then a short wait for the answers, so that no reset overtakes the close.
func (t *tunnel) sayGoodbye(toClient, toBackend *frames) {
	t.armWrite(t.client)
	t.armWrite(t.backend)
	if toClient.between() && !toClient.closed {
		t.client.WriteRaw(closeGoingAway)
	}
	if toBackend.between() && !toBackend.closed {
		t.backend.WriteRaw(closeGoingAwayMasked)
	}
	t.backend.CloseWrite()
	t.client.Linger(closeEcho, lastBytes)
	t.backend.Linger(closeEcho, lastBytes)
}

// lastBytes is how much of what a peer still sends is read over while its answer to a close is awaited.
const lastBytes = 64 << 10
