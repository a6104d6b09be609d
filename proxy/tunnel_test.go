package proxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/http1"
)

const (
	upgrade  = "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Long: abcdefghijklmnop\r\n\r\n"
	switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
)

// open makes a tunnel for a protocol.
func open(w *world, protocol string) (client, backend *peer) {
	w.t.Helper()
	c := w.ask("GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: ", protocol, "\r\nX-Long: abcdefghijklmnop\r\n\r\n")
	b := w.origins[0].conn()
	b.has("GET /ws HTTP/1.1", "Connection: upgrade", "Upgrade: "+protocol)
	b.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ", protocol, "\r\nSec-WebSocket-Accept: x\r\n\r\n")
	c.has("HTTP/1.1 101", "Connection: upgrade", "Upgrade: "+protocol, "Sec-WebSocket-Accept: x")
	return c, b
}

func TestTunnelCarriesBothWays(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "echo")
	big := string(bytes.Repeat([]byte("0123456789"), 50000))
	for _, text := range []string{"x", "hello", big} {
		go io.WriteString(c.Conn, text)
		b.expect(text)
		go io.WriteString(b.Conn, text)
		c.expect(text)
	}
	c.closeWrite()
	b.ends() // the half-close is passed on
	b.send("still here")
	c.expect("still here") // and the other way goes on
	b.closeWrite()
	c.ends()
	o := w.over()
	if want := int64(len(big) + 6); o.Err != nil || o.Status != 101 || o.BytesIn != want || o.BytesOut != want+10 {
		t.Errorf("%+v", o)
	}
	if w.origins[0].Endpoint.Idle() != 0 {
		t.Error("the connection of a tunnel was kept")
	}
}

func TestTunnelEndedByTheBackendFirst(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "echo")
	b.send("bye")
	b.closeWrite()
	c.expect("bye")
	c.ends()
	c.send("and the last word")
	b.expect("and the last word")
	c.closeWrite()
	b.ends()
	w.over()
}

func TestBytesBesideTheHeads(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(upgrade, "early")
	b := w.origins[0].conn()
	b.head()
	b.silent(10 * time.Millisecond) // held until the backend has agreed
	b.send(switches, "greeting")
	c.head()
	c.expect("greeting")
	b.expect("early")
}

// TestBytesBehindARefusedUpgrade: they may be meant for the protocol that was asked for, or be a request that hides behind
// that one. No backend ever reads them.
func TestBytesBehindARefusedUpgrade(t *testing.T) {
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, answer := range []string{
		ok0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
		ok + "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		w := newWorld(t, 1, generous)
		c := w.ask(upgrade, smuggled)
		b := w.origins[0].conn()
		b.has("GET /ws HTTP/1.1")
		c.send(smuggled)
		b.send(answer)
		b.ends()
		c.closeWrite()
		if text, _ := c.rest(); strings.Count(text, "HTTP/1.1 ") != 1 || !strings.Contains(text, "Connection: close") {
			t.Errorf("%q was answered with %q", answer, text)
		}
		w.over()
		w.origins[0].unused()
		if w.origins[0].Endpoint.Idle() != 0 {
			t.Errorf("%q: the connection was kept", answer)
		}
	}
}

func TestTunnelThatBreaks(t *testing.T) {
	for name, broken := range map[string]func(c, b *peer) *peer{
		"the client's side":  func(c, b *peer) *peer { c.reset(); return b },
		"the backend's side": func(c, b *peer) *peer { b.reset(); return c },
	} {
		w := newWorld(t, 1, generous)
		c, b := open(w, "websocket")
		c.send("x")
		b.expect("x")
		if _, whole := broken(c, b).rest(); whole {
			t.Errorf("%s: the other saw a clean end", name)
		}
		o := w.over()
		if w.origins[0].Gate.Inside() != 0 {
			t.Errorf("%s: still inside", name)
		}
		if byBackend := name == "the backend's side"; o.Status != 101 || o.Err == nil || o.Lost != byBackend || (o.Err.Fault == ByBackend) != byBackend {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestResetBehindAGoodbye: a WebSocket whose ends have both sent a Close is over, however its sockets end.
func TestResetBehindAGoodbye(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	goodbye := string(frame(true, opClose, false, []byte{3, 0xe8}))
	c.send(goodbye)
	b.expect(goodbye)
	b.send(goodbye)
	c.expect(goodbye)
	b.reset()
	if _, whole := c.rest(); !whole {
		t.Error("the client saw a reset")
	}
	if o := w.over(); o.Err != nil || o.Lost {
		t.Errorf("%+v", o)
	}
}

// TestTunnelOutlivesTheWriteTimeout: it bounds one write, not the tunnel.
func TestTunnelOutlivesTheWriteTimeout(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Write: 60 * time.Millisecond, Tunnel: 5 * time.Second})
	c, b := open(w, "websocket")
	for range 4 {
		time.Sleep(40 * time.Millisecond)
		c.send("x")
		b.expect("x")
		b.send("y")
		c.expect("y")
	}
}

// TestTunnelInUseOneWay: a peer that only listens is no idle peer.
func TestTunnelInUseOneWay(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Tunnel: 150 * time.Millisecond})
	c, b := open(w, "websocket")
	var began time.Time
	for range 8 {
		time.Sleep(50 * time.Millisecond)
		began = time.Now()
		b.send("tick")
		c.expect("tick")
	}
	c.rest()
	if took := time.Since(began); took < 150*time.Millisecond || took > 3*time.Second {
		t.Errorf("an idle tunnel ended after %s", took)
	}
	w.over()
}

// TestTunnelKeepsItsRequest: the buffer that the request was read into goes back, but the ledger, the log and the receipt
// still tell of the request.
func TestTunnelKeepsItsRequest(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	for range 20 {
		c.send("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
		b.expect("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
		b.send("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")
		c.expect("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")
		it := w.inside(1)[0]
		if it.Method != "GET" || it.Path != "/ws" || it.Host != "example.com" || it.Class != drain.WebSocket {
			t.Fatalf("%+v", it)
		}
	}
	c.closeWrite()
	b.closeWrite()
	if o := w.over(); o.Request != "GET /ws" || o.Host != "example.com" {
		t.Errorf("%+v", o)
	}
}

func TestClassOfATunnel(t *testing.T) {
	for protocol, class := range map[string]drain.Class{"websocket": drain.WebSocket, "WebSocket": drain.WebSocket, "postgres": drain.Tunnel} {
		w := newWorld(t, 1, generous)
		open(w, protocol)
		waitFor(t, "it is listed", func() bool { return w.inside(1)[0].Class == class })
		w.inside(1)[0].Cut(0)
		w.over()
	}
}

// TestNothingFollowsAFailedWrite: part of a frame may have gone out, so a Close behind it would be read as its payload.
func TestNothingFollowsAFailedWrite(t *testing.T) {
	nc, err := net.Dial("tcp", newOrigin(t).l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	dead := http1.NewConn(nc, &http1.DefaultLimits)
	tn := &tunnel{client: dead, backend: dead, websocket: true}
	w := &way{to: dead, from: dead, count: &flow{}}
	if err := tn.pass(w, frame(true, 1, false, []byte("whole"))); err == nil {
		t.Fatal("written to a closed connection")
	}
	if w.between() || w.mayInterject() {
		t.Error("a Close may not stand here")
	}
	tn.finish(w) // and ends at once
}
