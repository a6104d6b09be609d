package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// gate swaps a snapshot in that holds the requests of the service, or none any more.
func (w *world) gate(hold bool, change func(*Service)) {
	w.t.Helper()
	next := *w.service
	next.Hold, next.Planned = hold, hold
	if next.Holds == (Holds{}) {
		next.Holds = Holds{Age: 30 * time.Second, Requests: 100, Bytes: 1 << 20, Ramp: 1000}
	}
	if change != nil {
		change(&next)
	}
	w.service = &next
	s, err := NewSnapshot(w.proxy.Snapshot().Generation+1, []*Service{&next})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.Swap(s)
}

func (w *world) held(n int) Waiting {
	w.t.Helper()
	var now Waiting
	waitFor(w.t, fmt.Sprintf("%d wait", n), func() bool { now = w.service.Room.Waiting(); return now.Inside == n })
	return now
}

const simpleAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestHeldAndServed(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, nil)
	c := w.ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	now := w.held(1)
	if now.Bytes < 40 || now.Bytes > 1000 {
		t.Errorf("%d bytes wait, of a head and five bytes", now.Bytes)
	}
	items := w.inside(1)
	if it := items[0]; it.Class != drain.Held || it.Path != "/a" || it.Method != "POST" {
		t.Errorf("the ledger lists %+v", it)
	}
	c.silent(50 * time.Millisecond)
	w.origins[0].unused()
	w.gate(false, nil)
	o := w.origins[0].conn()
	o.has("POST /a HTTP/1.1")
	o.expect("hello")
	o.send(simpleAnswer)
	c.has("HTTP/1.1 200 OK")
	c.expect("ok")
	if out := w.over(); out.Err != nil || out.Status != 200 || out.BytesIn != 5 {
		t.Errorf("%+v", out)
	}
	if now := w.held(0); now.Entered != 1 || now.Released != 1 || now.Bytes != 0 {
		t.Errorf("%+v", now)
	}
	w.inside(0)
	// The connection goes on.
	c.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
	o.has("GET /b HTTP/1.1")
	o.send(simpleAnswer)
	c.has("HTTP/1.1 200 OK")
}

// TestHeldForNobody: an empty pool holds as a pause does, and a backend that appears ends it.
func TestHeldForNobody(t *testing.T) {
	w := newWorld(t, 1, generous)
	full := w.service.Live
	w.gate(true, func(s *Service) { s.Live = upstream.NewPool("blue", upstream.RoundRobin, nil) })
	c := w.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	w.held(1)
	// It is an outage now: who waits goes on, who comes is refused.
	w.gate(false, nil)
	w.ask("GET /late HTTP/1.1\r\nHost: h\r\n\r\n").has("HTTP/1.1 503", "Retry-After: 1")
	w.held(1)
	w.gate(false, func(s *Service) { s.Live = full })
	o := w.origins[0].conn()
	o.has("GET / HTTP/1.1")
	o.send(simpleAnswer)
	c.has("HTTP/1.1 200 OK")
}

// TestShedSaysWhy: each cap has its answer, which says when to come again.
func TestShedSaysWhy(t *testing.T) {
	for _, test := range []struct {
		name  string
		holds Holds
		says  string
	}{
		{"age", Holds{50 * time.Millisecond, 9, 1 << 20, 1}, "for as long as this service lets a request wait"},
		{"requests", Holds{time.Minute, 1, 1 << 20, 1}, "newer requests needed the room"},
		{"bytes", Holds{time.Minute, 9, 1000, 1}, "newer requests needed the memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 1, generous)
			w.gate(true, func(s *Service) { s.Holds, s.Retry = test.holds, 7*time.Second })
			c := w.ask("GET /first HTTP/1.1\r\nHost: h\r\n\r\n")
			if now := w.held(1); test.name == "bytes" {
				w.gate(true, func(s *Service) { s.Holds.Bytes = now.Bytes + 600 }) // less than both, more than the second
			}
			if test.name != "age" {
				w.ask("GET /second HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 500) + "\r\n\r\n")
			}
			c.has("HTTP/1.1 503 Service Unavailable", "Retry-After: 7")
			out := w.over()
			if out.Request != "GET /first" || out.Err == nil || out.Err.Fault != ByOperator || !strings.Contains(out.Err.What, test.says) {
				t.Errorf("%s: %v", out.Request, out.Err)
			}
			if now := w.service.Room.Waiting(); now.Shed() != 1 {
				t.Errorf("%+v", now)
			}
			w.gate(false, nil)
			if test.name != "age" {
				o := w.origins[0].conn()
				o.has("GET /second")
				o.send(simpleAnswer)
				w.over()
			}
		})
	}
}

// TestHeldClientLeaves: its place and its bytes are free at once, and no backend is asked.
func TestHeldClientLeaves(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, nil)
	w.ask("GET /gone HTTP/1.1\r\nHost: h\r\n\r\n")
	w.held(1)
	(<-w.exchanges).ClientGone()
	if now := w.held(0); now.Left != 1 || now.Bytes != 0 {
		t.Errorf("%+v", now)
	}
	if out := w.over(); out.Err != errGone || out.Status != statusClientGone {
		t.Errorf("%+v", out)
	}
	w.gate(false, nil)
	w.origins[0].unused()
}

// TestHeldAtTheEndOfSluice: what waits is cut as all else, and answered.
func TestHeldAtTheEndOfSluice(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, nil)
	c := w.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	w.held(1)
	if !w.inside(1)[0].Cut(0) {
		t.Fatal("it is not there any more")
	}
	c.has("HTTP/1.1 503", "Retry-After: ")
	if out := w.over(); out.Err != errCut {
		t.Errorf("%+v", out)
	}
	w.held(0)
}

// TestHeldUpgrade: a WebSocket that is asked for during a hold is opened after it.
func TestHeldUpgrade(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, nil)
	c := w.ask("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	w.held(1)
	w.gate(false, nil)
	o := w.origins[0].conn()
	o.has("GET /ws HTTP/1.1", "Upgrade: websocket")
	o.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	c.has("HTTP/1.1 101")
	o.send("\x81\x02hi")
	c.expect("\x81\x02hi")
	if it := w.inside(1)[0]; it.Class != drain.WebSocket {
		t.Errorf("it is a %s now", it.Class)
	}
	c.reset()
	o.Close()
	w.over()
}

// TestHeldAfterARetry: a request whose backend failed before it was sent anything waits for the next one.
func TestHeldAfterARetry(t *testing.T) {
	w := newWorld(t, 1, generous)
	good := w.service.Live
	w.gate(true, nil)
	c := w.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	since := w.held(1).Oldest
	w.gate(false, func(s *Service) { s.Live = good })
	o := w.origins[0].conn()
	o.has("GET / HTTP/1.1")
	// The backend ends without an answer while the next gap begins: a GET may be sent again, and waits for that.
	w.gate(true, func(s *Service) { s.Live = upstream.NewPool("blue", upstream.RoundRobin, nil) })
	o.reset()
	if now := w.held(1); !now.Oldest.Equal(since) || now.Entered != 1 || now.Released != 0 {
		t.Errorf("%+v, since %s", now, since)
	}
	w.gate(false, func(s *Service) { s.Live = good })
	o = w.origins[0].conn()
	o.has("GET / HTTP/1.1")
	o.send(simpleAnswer)
	c.has("HTTP/1.1 200 OK")
	if out := w.over(); out.Err != nil || out.Retries != 1 {
		t.Errorf("%+v", out)
	}
}

// TestChecksAreAnsweredWhileHeld: a load balancer in front does not take Sluice out for a gap that was planned.
func TestChecksAreAnsweredWhileHeld(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, func(s *Service) { s.Check = "/health" })
	c := w.ask("GET /health?full HTTP/1.1\r\nHost: h\r\n\r\n")
	c.has("HTTP/1.1 200 OK", "Cache-Control: no-store", "Content-Length: 36")
	c.expect("200 OK: requests wait for a backend\n")
	if out := w.over(); out.Err != nil || out.Status != 200 {
		t.Errorf("%+v", out)
	}
	w.ask("HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n").has("HTTP/1.1 200 OK")
	w.gate(true, func(s *Service) { s.Check, s.Planned = "/health", false })
	w.ask("GET /health HTTP/1.1\r\nHost: h\r\n\r\n").has("HTTP/1.1 503")
	w.ask("POST /health HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	w.held(1)
	w.gate(false, nil)
	o := w.origins[0].conn()
	o.has("POST /health")
	o.send(simpleAnswer)
	for range 3 {
		w.over()
	}
	c.send("GET /health HTTP/1.1\r\nHost: h\r\n\r\n") // and nobody but a backend answers it then
	o.has("GET /health")
	o.send(simpleAnswer)
	c.has("HTTP/1.1 200 OK")
}

// TestRoomOfAServiceThatIsNoMore: who waits is told so.
func TestRoomOfAServiceThatIsNoMore(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.gate(true, nil)
	c := w.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	w.held(1)
	s, _ := NewSnapshot(99, nil)
	w.proxy.Swap(s)
	c.has("HTTP/1.1 404")
}

// TestNoHeldRequestIsLostOrServedTwice has many clients ask while pauses and gaps come and go in between.
func TestNoHeldRequestIsLostOrServedTwice(t *testing.T) {
	w := newWorld(t, 0, generous)
	served := countingBackend(t)
	live := upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{served.Backend})
	none := upstream.NewPool("blue", upstream.RoundRobin, nil)
	set := func(hold bool, pool *upstream.Pool) { w.gate(hold, func(s *Service) { s.Live = pool }) }
	set(true, live)
	const clients, each = 40, 15
	answers := make(chan string, clients*each)
	for i := range clients {
		go func() {
			p := w.dial()
			for j := range each {
				p.send(fmt.Sprintf("POST /%d.%d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", i, j))
				head := p.head()
				p.expect("ok")
				answers <- head[:len("HTTP/1.1 200")]
			}
		}()
	}
	w.held(clients)
	go func() {
		for range clients * each {
			<-w.done
		}
	}()
	ok := 0
	for round := 0; ok < clients*each; round++ {
		switch round % 4 {
		case 0:
			set(false, live)
		case 1:
			set(true, live)
		case 2:
			set(true, none)
		case 3:
			set(true, live)
		}
		for until := time.After(3 * time.Millisecond); until != nil; {
			select {
			case a := <-answers:
				if ok++; a != "HTTP/1.1 200" {
					t.Fatal(a)
				}
			case <-until:
				until = nil
			}
		}
	}
	if n := served.twice(); n != 0 || served.count() != clients*each {
		t.Errorf("%d of %d came twice", n, served.count())
	}
	if now := w.held(0); now.Entered != now.Released || now.Entered < clients {
		t.Errorf("%+v", now)
	}
}

// tally counts how often each path came.
type tally struct {
	*upstream.Backend
	slow time.Duration // how long each takes

	mu           sync.Mutex
	paths        map[string]int
	inside, most int
}

func countingBackend(t *testing.T) *tally {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &tally{Backend: backendOf(l), paths: map[string]int{}}
	server := &http.Server{Handler: c}
	go server.Serve(l)
	t.Cleanup(func() { server.Close(); c.Endpoint.CloseIdle() })
	return c
}

func (c *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.paths[r.URL.Path]++
	c.inside++
	c.most = max(c.most, c.inside)
	c.mu.Unlock()
	time.Sleep(c.slow)
	c.mu.Lock()
	c.inside--
	c.mu.Unlock()
	io.WriteString(w, "ok")
}

func (c *tally) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.paths)
}

func (c *tally) twice() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.paths {
		if times > 1 {
			n++
		}
	}
	return n
}

// TestReleasedToAFullBackend: more are let go than the backend takes at once, and it has no queue: each is served in the
// end, none is refused, and never more are inside than may.
func TestReleasedToAFullBackend(t *testing.T) {
	w := newWorld(t, 0, generous)
	served := countingBackend(t)
	served.Max, served.slow = 2, 5*time.Millisecond
	w.gate(true, func(s *Service) {
		s.Live = upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{served.Backend})
	})
	const all = 60
	var clients []*peer
	for i := range all {
		clients = append(clients, w.ask(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)))
	}
	w.held(all)
	w.gate(false, func(s *Service) { s.Holds.Ramp = 10_000 })
	for _, c := range clients {
		c.has("HTTP/1.1 200 OK")
	}
	if served.count() != all || served.twice() != 0 || served.most > 2 {
		t.Errorf("%d served, %d twice, %d at once", served.count(), served.twice(), served.most)
	}
	if now := w.held(0); now.Entered != all || now.Released != all {
		t.Errorf("%+v", now)
	}
}
