package proxy

import (
	"errors"
	"io"
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
	in, out         atomic.Int64 // bytes towards the backend, and towards the client
}

// closeEcho is how long a WebSocket peer that was told to close may take to answer.
const closeEcho = 500 * time.Millisecond

// tunnel hands the 101 on and then carries bytes.
func (p *Proxy) tunnel(ex *Exchange, conn *upstream.Conn) error {
	t := &tunnel{client: ex.Client.Tunnel(), backend: conn.HTTP(), idle: p.timeouts.Tunnel, write: p.timeouts.Write}
	h := &ex.response
	t.websocket = message.EqualFold(ex.Request.Upgrade, "websocket")
	h.Add(message.Connection, nameConnection, valueUpgrade)
	h.Add(message.Upgrade, nameUpgrade, ex.Request.Upgrade)
	ex.Tunneled, ex.Close, ex.begun = true, true, true
	if err := t.open(h); err != nil {
		return errGone
	}
	ex.setClass(drain.Tunnel)
	if t.websocket {
		ex.setClass(drain.WebSocket)
	}
	ex.carry(t)
	t.run(ex)
	ex.BytesIn, ex.BytesOut = t.in.Load(), t.out.Load()
	return nil
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

// Interrupt wakes both directions, which then end as their protocol wants it.
func (t *tunnel) Interrupt() {
	t.client.InterruptReads()
	t.backend.InterruptReads()
}

// run carries both directions; its own goroutine carries the one towards the client.
func (t *tunnel) run(ex *Exchange) {
	var toBackend, toClient frames
	done := make(chan struct{})
	go t.upward(&toBackend, done)
	t.carry(t.client, t.backend, &toClient, &t.out)
	<-done
	if ex.cut.Load() && t.websocket {
		t.sayGoodbye(&toClient, &toBackend)
	}
}

// upward carries what the client sends.
func (t *tunnel) upward(follow *frames, done chan<- struct{}) {
	defer close(done)
	t.carry(t.backend, t.client, follow, &t.in)
}

// carry moves bytes one way until their source ends; the end is passed on as a half-close, and the other way goes on.
// A failure ends both ways: what is left could only arrive incomplete.
func (t *tunnel) carry(to, from *http1.Conn, follow *frames, count *atomic.Int64) {
	for {
		from.ParkInput()
		from.ArmRead(t.idle)
		p, err := from.Next()
		if err == io.EOF && to.CloseWrite() == nil {
			return
		}
		if err == nil {
			if t.websocket {
				follow.follow(p)
			}
			count.Add(int64(len(p)))
			to.ArmWrite(t.write)
			err = errors.Join(to.WriteBody(p), to.Flush())
		}
		if err != nil {
			t.Interrupt()
			return
		}
	}
}

// sayGoodbye ends a WebSocket that a drain cut: Close 1001 to each side that stands between two frames (RFC 6455 §7.4.1:
// "going away"), then a short wait for the answers, so that no reset overtakes the close.
func (t *tunnel) sayGoodbye(toClient, toBackend *frames) {
	if toClient.between() && !toClient.closed {
		t.client.WriteRaw(closeGoingAway)
	}
	if toBackend.between() && !toBackend.closed {
		t.backend.WriteRaw(closeGoingAwayMasked)
	}
	t.backend.CloseWrite()
	t.client.Linger(closeEcho, 64<<10)
}
