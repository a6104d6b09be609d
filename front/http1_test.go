package front

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// overHTTP1 runs what only HTTP/1.1 has, over plain text and TLS.
func overHTTP1(t *testing.T, handler http.HandlerFunc, behaviour func(*setup)) {
	for _, p := range protocols {
		if !p.h2 {
			t.Run(p.name, func(t *testing.T) { behaviour(newSetup(t, p, handler)) })
		}
	}
}

func echoHandler(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, body)
}

// exchange writes raw bytes and reads so many responses.
func (s *setup) exchange(raw string, responses int) (bodies []string, last *http.Response) {
	s.t.Helper()
	nc := s.dial()
	go io.WriteString(nc, raw)
	from := bufio.NewReader(nc)
	for range responses {
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			s.t.Fatalf("after %q: %v", bodies, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		bodies, last = append(bodies, string(body)), res
	}
	return bodies, last
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	overHTTP1(t, echoHandler, func(s *setup) {
		bodies, _ := s.exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"+
			"POST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc"+
			"POST /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nde\r\n1\r\nf\r\n0\r\n\r\n"+
			"\r\nGET /4 HTTP/1.1\r\nHost: d\r\n\r\n", 4)
		want := []string{"GET a /1 ", "POST b /2 abc", "POST c /3 def", "GET d /4 "}
		for i := range want {
			if bodies[i] != want[i] {
				s.t.Errorf("response %d: %q, want %q", i, bodies[i], want[i])
			}
		}
	})
}

func TestAbsoluteFormWinsOverHost(t *testing.T) {
	overHTTP1(t, echoHandler, func(s *setup) {
		bodies, _ := s.exchange("GET http://right.example/x?y HTTP/1.1\r\nHost: wrong.example\r\n\r\n", 1)
		if bodies[0] != "GET right.example /x?y " {
			s.t.Errorf("%q", bodies[0])
		}
	})
}

func TestHTTP10ClientIsUnderstood(t *testing.T) {
	overHTTP1(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part one, ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "part two")
	}, func(s *setup) {
		bodies, res := s.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1)
		if bodies[0] != "part one, part two" || len(res.TransferEncoding) != 0 || !res.Close {
			s.t.Errorf("%q, coding %v, close %v: an HTTP/1.0 client knows no chunks", bodies[0], res.TransferEncoding, res.Close)
		}
	})
}

func TestHTTP10ConnectionCanBeKept(t *testing.T) {
	overHTTP1(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }, func(s *setup) {
		bodies, res := s.exchange(strings.Repeat("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", 2), 2)
		if len(bodies) != 2 || res.Header.Get("Connection") != "keep-alive" {
			s.t.Errorf("%q, Connection %q", bodies, res.Header.Get("Connection"))
		}
	})
}

func TestBadRequestsAreToldAndClosed(t *testing.T) {
	rows := map[string]struct {
		raw    string
		status int
	}{
		"two lengths":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"length and chunked": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"no host":            {"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"bare LF":            {"GET / HTTP/1.1\nHost: a\n\n", 400},
		"CONNECT":            {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		"HTTP/2.0":           {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
		"long target":        {"GET /" + strings.Repeat("x", 17<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		"long head":          {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 4<<10)+"\r\n", 17) + "\r\n", 431},
		"expectation":        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417},
		"bad chunk":          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
	}
	overHTTP1(t, echoHandler, func(s *setup) {
		for name, row := range rows {
			s.t.Run(name, func(t *testing.T) {
				nc := s.dial()
				go io.WriteString(nc, row.raw)
				from := bufio.NewReader(nc)
				res, err := http.ReadResponse(from, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				if res.StatusCode != row.status || !res.Close {
					t.Errorf("status %d, close %v, want %d and closed: %s", res.StatusCode, res.Close, row.status, body)
				}
				if rest, _ := io.ReadAll(from); len(rest) > 0 {
					t.Errorf("answered again after a refusal: %q", rest)
				}
			})
		}
	})
}

func TestSlowHeadIsTold408(t *testing.T) {
	overHTTP1(t, echoHandler, func(s *setup) {
		nc := s.dial()
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost")
		began := time.Now()
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if res.StatusCode != 408 || time.Since(began) > 5*time.Second {
			s.t.Errorf("status %d after %s", res.StatusCode, time.Since(began))
		}
	})
}
