package proxy

import (
	"strings"
	"testing"
	"time"

	"sluice/upstream"
)

const (
	post0 = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	put   = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
)

// warm makes a connection through the world that has carried one request.
func warm(w *world) (client, backend *peer) {
	w.t.Helper()
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	return c, b
}

func TestBytesBehindAnAnswerEndTheConnection(t *testing.T) {
	for reason, extra := range map[string]string{
		"another answer":      ok0,
		"a byte":              "x",
		"more than announced": "\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
	} {
		w := newWorld(t, 1, generous)
		c := w.ask(get)
		b := w.origins[0].conn()
		b.head()
		b.send(ok, "Content-Length: 5\r\n\r\nhello", extra)
		c.head()
		c.expect("hello")
		c.send(get)
		b.rest()
		b = w.origins[0].conn()
		b.head()
		b.send(ok, "Content-Length: 3\r\n\r\nnew")
		c.head()
		if c.expect("new"); w.over().Err != nil {
			t.Error(reason)
		}
	}
}

// TestConnectionThatDiesUnderARequest: the backend ends a kept connection when the next request is on it already.
func TestConnectionThatDiesUnderARequest(t *testing.T) {
	tests := []struct {
		reason, request string
		again           bool
	}{
		{"a GET is sent again", get, true},
		{"a PUT whose body is here is sent again", put, true},
		{"a POST may have been done", post0, false},
		{"a POST with a key may be repeated", strings.Replace(post0, "\r\n", "\r\nIdempotency-Key: 1\r\n", 1), true},
	}
	for _, test := range tests {
		for name, die := range map[string]func(*peer){"closed": func(b *peer) { b.Close() }, "reset": (*peer).reset} {
			w := newWorld(t, 1, generous)
			c, b := warm(w)
			c.send(test.request)
			b.head()
			die(b)
			if !test.again {
				c.has("HTTP/1.1 502")
				if o := w.over(); o.Retries != 0 {
					t.Errorf("%s: %+v", test.reason, o)
				}
				w.origins[0].unused()
				continue
			}
			b = w.origins[0].conn()
			b.head()
			if test.request == put {
				b.expect("body")
			}
			b.send(ok0)
			c.has("HTTP/1.1 200")
			if o := w.over(); o.Retries != 1 || o.Err != nil {
				t.Errorf("%s, %s: %+v", test.reason, name, o)
			}
		}
	}
}

// TestConnectionThatDiedBefore is not used, so that even a POST is safe.
func TestConnectionThatDiedBefore(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := warm(w)
	b.Close()
	time.Sleep(10 * time.Millisecond)
	c.send(post0)
	b = w.origins[0].conn()
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
	if o := w.over(); o.Retries != 0 {
		t.Errorf("%+v", o)
	}
}

func TestRefusedConnectionCostsNoRequest(t *testing.T) {
	w := newWorld(t, 3, generous)
	w.origins[0].l.Close()
	w.origins[1].l.Close()
	for range 4 {
		c := w.ask(post0)
		b := w.origins[2].conn()
		b.head()
		b.send(ok, "Connection: close\r\nContent-Length: 0\r\n\r\n")
		c.has("HTTP/1.1 200")
		if o := w.over(); o.Err != nil {
			t.Errorf("%+v", o)
		}
	}
	if n := w.service.Retries.Load(); n == 0 {
		t.Error("retries are not counted")
	}
	failures := w.origins[0].Endpoint.Stats.Failures.Load() + w.origins[1].Endpoint.Stats.Failures.Load()
	if n := w.service.Retries.Load(); failures != n {
		t.Errorf("%d failures counted for %d failed attempts", failures, n)
	}
}

func TestAllBackendsRefuse(t *testing.T) {
	w := newWorld(t, 6, generous)
	for _, o := range w.origins {
		o.l.Close()
	}
	c := w.ask(get)
	c.has("HTTP/1.1 502")
	if o := w.over(); o.Retries != defaultResend.Attempts-1 || o.Err.Fault != ByBackend {
		t.Errorf("%+v: four attempts and no more", o)
	}
}

// TestBackendThatDiesInASmallAnswer: nothing of it was passed on, so another backend answers, and the client sees one
// whole answer.
func TestBackendThatDiesInASmallAnswer(t *testing.T) {
	w := newWorld(t, 2, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(ok, "X-From: first\r\nContent-Length: 10\r\n\r\nhello")
	c.silent(20 * time.Millisecond)
	b.reset()
	b = w.origins[1].conn()
	b.head()
	b.send(ok, "X-From: second\r\nContent-Length: 10\r\n\r\n01234")
	time.Sleep(5 * time.Millisecond)
	b.send("56789")
	if head := c.has("X-From: second", "Content-Length: 10"); strings.Contains(head, "first") {
		t.Errorf("two answers in one\n%s", head)
	}
	c.expect("0123456789")
	if o := w.over(); o.Retries != 1 || o.Err != nil || o.BytesOut != 10 {
		t.Errorf("%+v", o)
	}
	c.send(get) // and the client's connection goes on
	b = w.origins[0].conn()
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
}

// TestClosedGateWithANewerSnapshot: a request that meets a closed gate goes by the newer snapshot.
func TestClosedGateWithANewerSnapshot(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, old := warm(w)
	fresh := newOrigin(t)
	gone := w.origins[0]
	w.origins = []*origin{fresh}
	w.route(2)
	gone.Gate.Close()
	gone.Endpoint.CloseIdle()
	old.ends()
	c.send(get)
	b := fresh.conn()
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
	gone.unused()
}

// TestClaimFollowsTheSnapshot swaps and closes under load: no request may be refused.
func TestClaimFollowsTheSnapshot(t *testing.T) {
	p := New(Timeouts{}, nil)
	swap := func() *upstream.Backend {
		o := &upstream.Backend{Endpoint: upstream.NewEndpoint("tcp", "127.0.0.1:1", upstream.Options{}), Weight: 1, Gate: newGate()}
		s, err := NewSnapshot(1, []*Service{{Name: "web", Path: "/", Live: upstream.NewPool("p", upstream.LeastRequests, []*upstream.Backend{o})}})
		if err != nil {
			t.Fatal(err)
		}
		p.Swap(s)
		return o
	}
	live := swap()
	stop, done := make(chan struct{}), make(chan error, 2)
	for range cap(done) {
		go func() { done <- claimUntil(p, stop) }()
	}
	for range 2000 {
		next := swap()
		live.Gate.Close()
		live = next
	}
	close(stop)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func claimUntil(p *Proxy, stop chan struct{}) error {
	ex := incoming(false)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		lease, err := p.claim(ex)
		if err != nil {
			return err
		}
		lease.Release()
	}
}
