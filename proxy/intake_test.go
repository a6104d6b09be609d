package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/message"
)

// untouched checks that nothing comes to the origin for a moment.
func (o *origin) untouched() {
	o.t.Helper()
	select {
	case <-o.conns:
		o.t.Error("a backend connection was taken for a body that is not here")
	case <-time.After(30 * time.Millisecond):
	}
	if n := o.Gate.Inside(); n != 0 {
		o.t.Errorf("%d inside the gate", n)
	}
}

// released waits until no memory of bodies is counted any more.
func (w *world) released() {
	w.t.Helper()
	waitFor(w.t, "the memory is given back", func() bool { return w.proxy.held.Load() == 0 })
}

// TestSlowBodyHoldsNoBackend: a backend is claimed when the whole body is here, or its first 64 KiB.
func TestSlowBodyHoldsNoBackend(t *testing.T) {
	tests := []struct{ reason, head, first, second, arrives string }{
		{"no byte of it", "Content-Length: 4\r\n\r\n", "", "body", "body"},
		{"half of it", "Content-Length: 4\r\n\r\n", "bo", "dy", "body"},
		{"all but one byte", "Content-Length: 4\r\n\r\n", "bod", "y", "body"},
		{"nearly 64 KiB", long, enough[1:], "x", enough},
		{"a chunk", "Transfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n", last, "body"},
		{"half a chunk", "Transfer-Encoding: chunked\r\n\r\n", "4\r\nbo", "dy\r\n0\r\n\r\n", "body"},
		{"nearly 64 KiB in chunks", "Transfer-Encoding: chunked\r\n\r\n", "ffff\r\n" + enough[1:] + "\r\n", "1\r\nx\r\n", chunk},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.ask(post, test.head, test.first)
		w.origins[0].untouched()
		c.send(test.second)
		b := w.origins[0].conn()
		b.has("POST /up")
		b.expect(test.arrives)
		if len(test.arrives) < 64<<10 {
			b.send(ok0)
			c.has("HTTP/1.1 200")
			w.released()
			if o := w.over(); o.Err != nil || o.BytesIn != int64(len(test.arrives)) {
				t.Errorf("%s: %+v", test.reason, o)
			}
		}
	}
}

// TestBodyThatNeverComes ends before any backend knows of it.
func TestBodyThatNeverComes(t *testing.T) {
	tests := []struct {
		reason, head, body string
		leave              func(*peer)
		status             int
	}{
		{"the client closes", long, "half", func(c *peer) { c.Close() }, 400},
		{"the client resets", long, "half", (*peer).reset, 499},
		{"the client ends its side", long, "half", (*peer).closeWrite, 400},
		{"a malformed chunk", "Transfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n", func(c *peer) { c.send("zz\r\n"); c.has("HTTP/1.1 400", "Connection: close") }, 400},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.ask(post, test.head, test.body)
		test.leave(c)
		if o := w.over(); o.Status != test.status || o.Err.Fault != ByClient || o.Lost {
			t.Errorf("%s: %+v", test.reason, o)
		}
		w.origins[0].untouched()
		w.released()
	}
}

// TestNoRouteIsToldBeforeTheBody: nor is the client invited to send it.
func TestNoRouteIsToldBeforeTheBody(t *testing.T) {
	w := newWorld(t, 1, generous)
	s, err := NewSnapshot(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy.Swap(s)
	w.ask(post, "Expect: 100-continue\r\n", long).has("HTTP/1.1 404", "Connection: close")
}

// TestHeldBodyIsSentAgain: a body that is held whole goes to another backend as a body that came with its head does.
func TestHeldBodyIsSentAgain(t *testing.T) {
	tests := []struct {
		reason, request, body string
		retries               int
	}{
		{"a PUT", "PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", "body", 1},
		{"a PUT in chunks", "PUT /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", 1},
		{"a POST with a key", post + "Idempotency-Key: 1\r\nContent-Length: 4\r\n\r\n", "body", 1},
		{"a POST may have been done", post + "Content-Length: 4\r\n\r\n", "body", 0},
		{"a PUT of which part is gone", "PUT /up HTTP/1.1\r\nHost: x\r\n" + long, enough, 0},
	}
	for _, test := range tests {
		w := newWorld(t, 2, generous)
		c := w.ask(test.request)
		c.send(test.body)
		a := w.origins[0].conn()
		a.head()
		a.Close()
		if test.retries == 1 {
			b := w.origins[1].conn()
			b.has("Content-Length: 4")
			b.expect("body")
			b.send(ok0)
			c.has("HTTP/1.1 200")
		} else {
			c.has("HTTP/1.1 502")
			w.origins[1].unused()
		}
		if o := w.over(); o.Retries != test.retries {
			t.Errorf("%s: %+v", test.reason, o)
		}
		w.released()
	}
}

// TestTrailersStayBehindAHeldBody: they need chunks.
func TestTrailersStayBehindAHeldBody(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nHost: evil\r\n")
	w.origins[0].untouched()
	c.send("X-Sum: 1\r\n\r\n")
	b := w.origins[0].conn()
	b.has("Transfer-Encoding: chunked")
	b.expect("4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
	b.send(ok0)
	if head := c.has("HTTP/1.1 200"); strings.Contains(head, "Connection: close") {
		t.Errorf("the client was told to go\n%s", head)
	}
}

// TestFullIntakeClaimsEarly: no request is refused because others hold the memory; its body goes on with what it has.
func TestFullIntakeClaimsEarly(t *testing.T) {
	for _, test := range []struct {
		most  int64
		early int
	}{{0, 1 << 10}, {8<<10 - 1, 1 << 10}, {8 << 10, 8 << 10}, {64<<10 - 1, 8 << 10}, {64 << 10, 64 << 10}} {
		w := newWorld(t, 1, generous)
		w.proxy.Intake = test.most
		w.route(2)
		c := w.ask(post, long, enough[:test.early-1])
		w.origins[0].untouched()
		c.send("x")
		b := w.origins[0].conn()
		b.head()
		b.expect(enough[:test.early])
		c.send(enough[test.early:], rest)
		b.expect(enough[test.early:] + rest)
		b.send(ok0)
		c.has("HTTP/1.1 200")
		w.released()
	}
}

// drip is a client of whose body some bytes are here.
type drip struct {
	Client
	here *bytes.Reader
	done bool
}

func (d *drip) BodyDone() bool        { return d.done }
func (d *drip) BodyBuffered() bool    { return d.here.Len() > 0 }
func (d *drip) ArmRead(time.Duration) {}
func (d *drip) ReadBody(p []byte) (int, error) {
	if d.here.Len() == 0 {
		return 0, errGone // stands for a wait that ended
	}
	return d.here.Read(p)
}

// TestIntakeGrowsWithWhatCame: memory is held for bytes that are here, not for those that were announced.
func TestIntakeGrowsWithWhatCame(t *testing.T) {
	tests := []struct{ bytes, memory, counted int }{
		{0, 1 << 10, 0}, {10, 1 << 10, 0}, {1 << 10, 8 << 10, 8 << 10}, {6 << 10, 8 << 10, 8 << 10}, {7 << 10, 64 << 10, 64 << 10},
		{8 << 10, 64 << 10, 64 << 10}, {60 << 10, 64 << 10, 64 << 10}, {70 << 10, 64 << 10, 64 << 10},
	}
	for _, test := range tests {
		p := New(Timeouts{}, nil)
		body := []byte(strings.Repeat("0123456789", test.bytes/10+1)[:test.bytes])
		ex := NewExchange(&drip{here: bytes.NewReader(body)}, &Peer{})
		ex.Service = &Service{}
		ex.Request.Framing = message.Framing{Kind: message.Length, Length: 1 << 20}
		p.fill(&ex.intake, ex)
		in := &ex.intake
		if len(in.buf.b) != test.memory || p.held.Load() != int64(test.counted) {
			t.Errorf("%d bytes are in %d, of which %d count", test.bytes, len(in.buf.b), p.held.Load())
		}
		if want := body[:min(len(body), 64<<10)]; !bytes.Equal(in.bytes(), want) {
			t.Errorf("%d bytes changed on their way", test.bytes)
		}
		p.release(in)
		p.release(in)
		if p.held.Load() != 0 {
			t.Errorf("%d bytes: %d still count", test.bytes, p.held.Load())
		}
	}
}

// TestExitCutsWhatIsTakenIn: and tells its client.
func TestExitCutsWhatIsTakenIn(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, long, "half")
	items := w.inside(1)
	if items[0].Class != drain.Upload || len(w.proxy.Ledger.Inside(w.origins[0].Gate)) != 0 {
		t.Errorf("listed as %+v", items[0])
	}
	if !items[0].Cut(0) {
		t.Error("it could not be cut")
	}
	c.has("HTTP/1.1 503", "Connection: close")
	if o := w.over(); o.Err != errCut || o.Retries != 0 {
		t.Errorf("%+v", o)
	}
	w.origins[0].untouched()
	w.released()
}
