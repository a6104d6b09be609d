package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/http1"
	"sluice/proxy"
)

var small = http1.Limits{Head: 16 << 10, Fields: 20, Target: 1000, Field: 2000, Trailers: 1000}

// TestRefusalReachesAClientThatGoesOnSending: a close with unread bytes would be a reset, and take the answer with it.
func TestRefusalReachesAClientThatGoesOnSending(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\n"
	more := strings.Repeat("x", 64<<10)
	tests := []struct{ reason, status, request, more string }{
		{"a target", "414", "GET /" + strings.Repeat("x", 2000) + " HTTP/1.1\r\nHost: x\r\n\r\n", more},
		{"a target without end", "414", "GET /", more},
		{"a field", "431", head + "X: " + strings.Repeat("x", 2000) + "\r\n\r\n", more},
		{"a field without end", "431", head + "X: ", more},
		{"a head", "431", head + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 18), more},
		{"a number of fields", "431", head + strings.Repeat("X: x\r\n", 30) + "\r\n", more},
		{"a body", "413", head + "Content-Length: 100000000\r\n\r\n", more},
		{"a body in chunks", "413", head + "Transfer-Encoding: chunked\r\n\r\n", "10000\r\n" + more + "\r\n"},
		{"trailers", "431", head + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", more},
		{"a malformed chunk", "400", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", more},
		{"a head that takes too long", "408", "GET / HTTP/1.1\r\n", ""},
		{"a body that takes too long", "408", head + "Content-Length: 100\r\n\r\n", ""},
	}
	for _, p := range protocols[:2] {
		s := newSetupWith(t, p, func(o *Options) { o.Limits, o.Timeouts.Head = small, 100*time.Millisecond }, digestHandler)
		s.most, s.proxy.Pace = 100<<10, proxy.Pace{Rate: 1 << 20, Grace: 100 * time.Millisecond}
		s.route(s.backend)
		for _, test := range tests {
			nc := s.dial()
			io.WriteString(nc, test.request)
			if test.more == "" {
				time.Sleep(150 * time.Millisecond)
				io.WriteString(nc, "x")
			}
			for range 8 {
				time.Sleep(2 * time.Millisecond) // the answer is there, and a close would be too
				if _, err := io.WriteString(nc, test.more); err != nil {
					t.Errorf("%s, %s: cut before it was told: %v", p.name, test.reason, err)
					break
				}
			}
			answer, err := io.ReadAll(nc)
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+test.status)) || !bytes.Contains(answer, []byte("\r\nConnection: close\r\n")) {
				t.Errorf("%s, %s: %v after %q", p.name, test.reason, err, answer)
			}
			nc.Close()
		}
	}
}

// TestTooLargeHeadsAreToldSo: the limits on a head are the same whatever carries it.
func TestTooLargeHeadsAreToldSo(t *testing.T) {
	limits := func(o *Options) { o.Limits = small }
	overEachWith(t, limits, digestHandler, func(s *setup) {
		tests := []struct {
			reason, path string
			field, more  int
			status       int
		}{
			{"a long target", "/" + strings.Repeat("x", 2000), 1, 0, 414},
			{"a long field", "/", 2000, 0, 431},
			{"many fields", "/", 1, 30, 431},
			{"the most of each", "/" + strings.Repeat("x", 999), 1990, 10, 200},
		}
		for _, test := range tests {
			req, _ := http.NewRequest("GET", s.url+test.path, nil)
			req.Header.Set("X-Long", strings.Repeat("x", test.field))
			for i := range test.more {
				req.Header.Set(fmt.Sprint("X-More-", i), "x")
			}
			res, err := s.client.Do(req)
			if err != nil {
				s.t.Fatalf("%s: %v", test.reason, err)
			}
			if body := s.read(res); res.StatusCode != test.status {
				s.t.Errorf("%s: %d %s", test.reason, res.StatusCode, body)
			}
		}
	})
}

// fetch makes a request and reports whether it came on a connection that had carried one before.
func (s *setup) fetch() (reused bool) {
	s.t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", s.url+"/", nil)
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.read(res); res.StatusCode != 200 {
		s.t.Fatalf("status %d", res.StatusCode)
	}
	return reused
}

func TestRequestsPerConnection(t *testing.T) {
	three := func(o *Options) { o.MaxRequests = 3 }
	overEachWith(t, three, digestHandler, func(s *setup) {
		for i := range 9 {
			if reused := s.fetch(); reused != (i%3 != 0) {
				s.t.Errorf("request %d: on a connection that was used before: %v", i, reused)
			}
			s.waitFor("the connection ends", func() bool { return i%3 != 2 || s.front.Connections() == 0 })
		}
	})
}

// TestConnectionsEndOfAge: with an answer, and so without a loss.
func TestConnectionsEndOfAge(t *testing.T) {
	const age = 200 * time.Millisecond
	overEachWith(t, func(o *Options) { o.Timeouts.Age = age }, digestHandler, func(s *setup) {
		began := time.Now()
		for i, opened := 0, 0; opened < 3; i++ {
			if !s.fetch() {
				opened++
			}
		}
		if took := time.Since(began); took < 2*age*9/10 {
			s.t.Errorf("two connections lived %s together", took)
		}
	})
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			random float64
			most   int
			after  time.Duration
			last   bool
		}{
			{0, 0, 54*time.Minute - 1, false}, {0, 0, 54*time.Minute + 1, true},
			{0.5, 0, time.Hour - 1, false}, {0.5, 0, time.Hour + 1, true},
			{0.75, 0, 63*time.Minute - 1, false}, {0.75, 0, 63*time.Minute + 1, true},
			{0.5, 2, 0, false}, {0.5, 1, 0, true}, {0.5, 2, 2 * time.Hour, true},
		} {
			s := &Server{opts: Options{MaxRequests: test.most, Timeouts: Timeouts{Age: time.Hour}, Random: func() float64 { return test.random }}}
			l := s.newLife()
			if got := l.last(time.Now().Add(test.after)); got != test.last {
				t.Errorf("%+v: last %v", test, got)
			}
		}
		if l := new(Server).newLife(); l.last(time.Now().Add(1000 * time.Hour)) {
			t.Error("without an age a connection ended by its age")
		}
	})
}

// TestFirstRequestIsWaitedForLess than the next one: who has sent nothing yet has not shown to be a client.
func TestFirstRequestIsWaitedForLess(t *testing.T) {
	for _, p := range protocols[:2] {
		s := newSetupWith(t, p, func(o *Options) { o.Timeouts.First = 100 * time.Millisecond }, digestHandler)
		silent := s.dial()
		if answer, err := io.ReadAll(silent); err != nil || len(answer) > 0 {
			t.Errorf("%s: %q, %v", p.name, answer, err)
		}
		s.fetch()
		time.Sleep(200 * time.Millisecond)
		if !s.fetch() {
			t.Errorf("%s: a connection between requests ended as a new one", p.name)
		}
	}
}

// TestConnectionsBeyondTheLimit are closed at once, and those inside do not notice.
func TestConnectionsBeyondTheLimit(t *testing.T) {
	s := newSetupWith(t, protocols[0], func(o *Options) { o.MaxConnections = 2 }, digestHandler)
	inside := [2]net.Conn{s.dial(), s.dial()}
	s.waitFor("both are inside", func() bool { return s.front.Connections() == 2 })
	if answer, err := io.ReadAll(s.dial()); len(answer) > 0 {
		t.Errorf("beyond the limit: %q, %v", answer, err)
	}
	inside[0].Close()
	s.waitFor("a place is free", func() bool { return s.front.Connections() == 1 })
	for _, nc := range []net.Conn{inside[1], s.dial()} {
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if answer, err := io.ReadAll(nc); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
			t.Errorf("inside: %q, %v", answer, err)
		}
	}
}

// TestDeepPipelineIsAnsweredInOrder, however many there are.
func TestDeepPipelineIsAnsweredInOrder(t *testing.T) {
	const depth = 2000
	s := newSetup(t, protocols[0], func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path+";") })
	nc := s.dial()
	go func() {
		for i := range depth {
			last := ""
			if i == depth-1 {
				last = "Connection: close\r\n"
			}
			fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: x\r\n%s\r\n", i, last)
		}
	}()
	answers, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for i := range depth {
		next := bytes.Index(answers[at:], fmt.Appendf(nil, "\r\n\r\n/%d;", i))
		if next < 0 || bytes.Count(answers[at:at+next], []byte("HTTP/1.1 200")) != 1 {
			t.Fatalf("answer %d is not the next", i)
		}
		at += next + 4
	}
}

// TestSlowReaderHoldsNoBackend: what it is written at once has to be taken within the time for a write, so that to take a
// byte now and then gains nothing.
func TestSlowReaderHoldsNoBackend(t *testing.T) {
	impatient := func(o *Options) {
		o.Proxy = proxy.New(proxy.Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 200 * time.Millisecond}, nil)
	}
	overEachWith(t, impatient, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.LimitReader(zeroes{}, 256<<20))
	}, func(s *setup) {
		res, err := s.client.Get(s.url + "/")
		if err != nil {
			s.t.Fatal(err)
		}
		defer res.Body.Close()
		one := make([]byte, 1)
		s.waitFor("the backend is free", func() bool {
			res.Body.Read(one)
			return s.backend.Gate.Inside() == 0
		})
		if n, err := io.Copy(io.Discard, res.Body); err == nil {
			s.t.Errorf("a whole body came: %d bytes", n)
		}
	})
}
