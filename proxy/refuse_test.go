package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/http1"
	"sluice/upstream"
)

// discard reads the body that a head announces.
func discard(p *peer, head string) string {
	p.t.Helper()
	var n int64
	_, after, _ := strings.Cut(head, "Content-Length: ")
	fmt.Sscan(after, &n)
	b, err := io.ReadAll(io.LimitReader(p.br, n))
	if err != nil || int64(len(b)) != n {
		p.t.Fatalf("%q, %v", b, err)
	}
	return string(b)
}

func TestRefusals(t *testing.T) {
	none := func(w *world) { w.origins = nil; w.route(2) }
	tests := []struct {
		reason, request string
		before          func(*world)
		status, text    string
		fields          []string
	}{
		{"no route", get, func(w *world) { s, _ := NewSnapshot(2, nil); w.proxy.Swap(s) }, "404 Not Found", "no service has this host and path", nil},
		{"no backend", get, none, "503 Service Unavailable", "no backend is ready", []string{"Retry-After: 1"}},
		{"as the service wants it", get, func(w *world) { w.retry = 7 * time.Second; none(w) }, "503 Service Unavailable", "no backend is ready", []string{"Retry-After: 7"}},
		{"all are full", get, func(w *world) { w.origins[0].Max = 1; w.route(2); w.lease() }, "503 Service Unavailable", "each backend is at its max_connections", []string{"Retry-After: 1"}},
		{"its gate is closed and nothing is newer", get, func(w *world) { w.origins[0].Gate.Close() }, "503 Service Unavailable", "no backend is ready", nil},
		{"nobody listens", get, func(w *world) { w.origins[0].l.Close() }, "502 Bad Gateway", "the backend failed", nil},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		test.before(w)
		c := w.dial()
		for range 2 { // the client's connection goes on
			c.send(test.request)
			head := c.has(append(test.fields, "HTTP/1.1 "+test.status, "Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store", "X-Request-Id: ")...)
			body := discard(c, head)
			o := w.over()
			if want := fmt.Sprintf("%s: %s\nrequest %s\n", test.status, test.text, o.ID); body != want || !strings.Contains(head, "X-Request-Id: "+o.ID) {
				t.Errorf("%s: %q, want %q", test.reason, body, want)
			}
			if o.Lost || o.Err.Fault == ByClient {
				t.Errorf("%s: %+v: it was answered, and whole", test.reason, o)
			}
		}
	}
}

// TestRefusalOnAQuietConnection: the deadline of an earlier write has passed. It must not swallow the refusal.
func TestRefusalOnAQuietConnection(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Write: 40 * time.Millisecond, Response: time.Second})
	c, b := warm(w)
	b.Close()
	w.origins[0].l.Close()
	time.Sleep(80 * time.Millisecond)
	c.send(get)
	c.has("HTTP/1.1 502")
}

func TestRefusedUploadEndsTheConnection(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.origins[0].l.Close()
	c := w.ask(post, long, enough)
	c.has("HTTP/1.1 502", "Connection: close")
	c.closeWrite()
	whole := w.ask(post, "Content-Length: 4\r\n\r\nbody")
	discard(whole, whole.has("HTTP/1.1 502"))
	whole.send(get)
	whole.has("HTTP/1.1 502")
}

func TestRefusedHEADHasNoBody(t *testing.T) {
	w := newWorld(t, 0, generous)
	c := w.ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", get)
	c.has("HTTP/1.1 503")
	c.has("HTTP/1.1 503")
}

func TestFailures(t *testing.T) {
	up := &upstream.Error{Phase: upstream.Waiting, Err: io.EOF}
	late := &upstream.Error{Phase: upstream.Waiting, Timeout: true, Err: os.ErrDeadlineExceeded}
	tests := []struct {
		reason string
		set    func(*Exchange)
		err    error
		status int
		fault  Fault
	}{
		{"a backend that failed", nil, up, 502, ByBackend},
		{"one that was too slow", nil, late, 504, ByBackend},
		{"the client left", func(ex *Exchange) { ex.gone.Store(true) }, up, 499, ByClient},
		{"a drain cut it", func(ex *Exchange) { ex.cut.Store(true) }, late, 503, ByOperator},
		{"an error of our own", nil, errUpgrade, 502, ByBackend},
		{"the body was malformed", body(&http1.Error{Status: 413, What: "x"}), late, 413, ByClient},
		{"the body stopped", body(os.ErrDeadlineExceeded), late, 408, ByClient},
		{"the body broke off", body(http1.ErrTruncated), up, 400, ByClient},
	}
	for _, test := range tests {
		ex := &Exchange{}
		if test.set != nil {
			test.set(ex)
		}
		got := ex.failure(test.err)
		if got.Status != test.status || got.Fault != test.fault {
			t.Errorf("%s: %d by the %s", test.reason, got.Status, got.Fault)
		}
	}
	e := &Error{What: "it failed", Err: up}
	if !errors.Is(e, io.EOF) || e.Error() != "it failed: the connection was closed before a response" || errGone.Error() != "the client left" {
		t.Errorf("%q", e)
	}
}

func body(err error) func(*Exchange) { return func(ex *Exchange) { ex.pump.err.Store(&err) } }

func TestFaultNames(t *testing.T) {
	for fault, name := range map[Fault]string{ByClient: "client", ByBackend: "backend", ByOperator: "operator", ByUs: "sluice"} {
		if text, _ := fault.MarshalText(); string(text) != name {
			t.Errorf("%s, want %s", text, name)
		}
	}
}

func TestCounters(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.dial()
	var b *peer
	for i, status := range []string{"200 OK", "204 No Content", "302 Found", "404 Not Found", "500 Oops"} {
		c.send(post, "Content-Length: 3\r\n\r\nabc")
		if i == 0 {
			b = w.origins[0].conn()
		}
		b.head()
		b.expect("abc")
		if status[:3] == "204" {
			b.send("HTTP/1.1 ", status, "\r\n\r\n")
			c.head()
		} else {
			b.send("HTTP/1.1 ", status, "\r\nContent-Length: 5\r\n\r\nhello")
			discard(c, c.head())
		}
		w.over()
	}
	s := w.service.Counters
	for class, want := range []int64{0, 0, 2, 1, 1, 1} {
		if got := s.Status[class].Load(); got != want {
			t.Errorf("%d answers of %dxx, want %d", got, class, want)
		}
	}
	if s.BytesIn.Load() != 15 || s.BytesOut.Load() != 20 || s.Lost.Load() != 0 || s.TookSum.Load() <= 0 {
		t.Errorf("in %d, out %d, lost %d", s.BytesIn.Load(), s.BytesOut.Load(), s.Lost.Load())
	}
	took := int64(0)
	for i := range s.Took {
		took += s.Took[i].Load()
	}
	if took != 5 {
		t.Errorf("%d durations of 5 requests", took)
	}
}

func TestDurationBuckets(t *testing.T) {
	for took, want := range map[time.Duration]int{0: 0, time.Millisecond: 0, time.Millisecond + 1: 1, 10 * time.Second: 12, time.Hour: 13} {
		if got := bucket(took); got != want {
			t.Errorf("%s is in bucket %d, want %d", took, got, want)
		}
	}
}
