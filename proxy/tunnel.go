package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
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
	stop            sync.Once             // wakes both directions
	cut             *atomic.Bool          // a drain ended it
}

// way is one direction of a tunnel, with where its WebSocket messages stand.
type way struct {
	to, from *http1.Conn
	count    *flow
	goodbye  []byte // a Close as to reads it
	frames
}

// tunnel hands the 101 on and then carries bytes.
func (p *Proxy) tunnel(ex *Exchange, conn *upstream.Conn) error {
	t := &tunnel{client: ex.Client.Tunnel(), backend: conn.HTTP(), idle: p.timeouts.Tunnel, write: p.timeouts.Write}
	t.in, t.out, t.clock, t.cut = &ex.in, &ex.out, p.Ledger.Clock, &ex.cut
	h := &ex.response
	t.websocket = message.EqualFold(ex.Request.Upgrade, "websocket")
	h.Add(message.Connection, nameConnection, valueUpgrade)
	h.Add(message.Upgrade, nameUpgrade, ex.Request.Upgrade)
	ex.ownHead()
	ex.setClass(drain.Tunnel)
	if t.websocket {
		ex.setClass(drain.WebSocket)
	}
	ex.carry(t) // before the client knows: a cut from now on ends a tunnel as its protocol wants it
	if t.cut.Load() {
		return errCut // no tunnel yet: the client can be told in HTTP
	}
	ex.Tunneled, ex.Close, ex.begun = true, true, true
	if err := t.open(h); err != nil {
		return errGone
	}
	ex.Service.Lasting.opened(ex.Waited)
	t.run()
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

// Interrupt wakes both directions, which then end as their protocol wants it. What is being written has a last moment. It
// does so once: a direction that has been woken gives its peer a last moment too, which nobody may take away again.
func (t *tunnel) Interrupt() { t.stop.Do(t.wake) }

func (t *tunnel) wake() {
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
func (t *tunnel) run() {
	up := way{to: t.backend, from: t.client, count: t.in, goodbye: closeGoingAwayMasked}
	down := way{to: t.client, from: t.backend, count: t.out, goodbye: closeGoingAway}
	done := make(chan struct{})
	go t.upward(&up, done)
	t.carry(&down)
	<-done
	if t.websocket && (t.cut.Load() || up.closed && down.closed) {
		t.torn.Store(false) // goodbye was said; how the sockets end says nothing more (RFC 6455 §7.1.4)
	}
}

// upward carries what the client sends.
func (t *tunnel) upward(w *way, done chan<- struct{}) {
	defer close(done)
	t.carry(w)
}

// carry moves bytes one way until their source ends; the end is passed on as a half-close, and the other way goes on.
// A failure ends both ways: what is left could only arrive incomplete.
func (t *tunnel) carry(w *way) {
	for {
		w.from.ParkInput()
		w.from.ArmRead(t.idle)
		p, err := w.from.Next()
		failed := w.from
		switch {
		case err == io.EOF && t.parting(w):
			failed = nil
		case err == io.EOF && w.to.CloseWrite() == nil:
			return
		case t.busy(w.from, err):
			continue
		case err == nil:
			if err = t.pass(w, p); err == nil {
				continue
			}
			failed = w.to
		case err == io.EOF:
			failed = w.to
		case errors.Is(err, os.ErrDeadlineExceeded):
			failed = nil
		}
		t.tear(failed)
		if t.websocket && t.cut.Load() {
			t.sayGoodbye(w)
		}
		return
	}
}

// parting reports that a side which has ended its own did so when it was being cut: it may have had the Close that the
// other side is still to get.
func (t *tunnel) parting(w *way) bool { return t.websocket && t.cut.Load() && !w.closed }

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

func (t *tunnel) pass(w *way, p []byte) error {
	t.moved.Store(time.Now().UnixNano())
	if t.websocket {
		w.follow(p)
	}
	w.count.add(t.clock.Now(), int64(len(p)))
	t.armWrite(w.to)
	err := errors.Join(w.to.WriteBody(p), w.to.Flush())
	w.lost = err != nil
	return err
}
