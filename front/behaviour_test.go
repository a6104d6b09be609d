package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/drain"
)

func (s *setup) get(path string) (*http.Response, string) {
	s.t.Helper()
	res, err := s.client.Get(s.url + path)
	if err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
	return res, s.read(res)
}

func (s *setup) read(res *http.Response) string {
	s.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("body: %v", err)
	}
	return string(body)
}

func TestGetIsAnswered(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Multi", "a")
		w.Header().Add("X-Multi", "b")
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, r.Host)
	}, func(s *setup) {
		for range 3 {
			res, body := s.get("/a%20b/c?x=1&y=%2F")
			if want := "GET /a%20b/c?x=1&y=%2F " + s.addr; res.StatusCode != 200 || body != want {
				s.t.Fatalf("%d %q, want %q", res.StatusCode, body, want)
			}
			if got := res.Header.Values("X-Multi"); len(got) != 2 {
				s.t.Errorf("X-Multi: %q: a field line was lost", got)
			}
		}
	})
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func digestHandler(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
	fmt.Fprintf(w, "%x %d", h.Sum(nil), n)
}

func TestBodiesArriveWhole(t *testing.T) {
	sizes := []int{0, 1, 100, 4 << 10, 8<<10 - 300, 8 << 10, 64 << 10, 1<<20 + 7, 9 << 20}
	overEach(t, digestHandler, func(s *setup) {
		for _, size := range sizes {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(rand.Uint32())
			}
			for _, chunked := range []bool{false, true} {
				var from io.Reader = bytes.NewReader(body)
				if chunked {
					from = struct{ io.Reader }{from}
				}
				res, err := s.client.Post(s.url+"/", "application/octet-stream", from)
				if err != nil {
					s.t.Fatalf("size %d chunked %v: %v", size, chunked, err)
				}
				if got, want := s.read(res), fmt.Sprintf("%s %d", digest(body), size); got != want {
					s.t.Errorf("size %d chunked %v: %s, want %s", size, chunked, got, want)
				}
			}
		}
	})
}

func TestDownloadsArriveWhole(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(70000))
				w.Write(rest[:n])
				w.(http.Flusher).Flush()
				rest = rest[n:]
			}
		default:
			http.ServeContent(w, r, "x.bin", time.Time{}, bytes.NewReader(content))
		}
	}, func(s *setup) {
		for _, path := range []string{"/length", "/chunked"} {
			if _, body := s.get(path); digest([]byte(body)) != digest(content) {
				s.t.Errorf("%s: %d bytes, not those that were sent", path, len(body))
			}
		}
		req, _ := http.NewRequest("GET", s.url+"/length", nil)
		req.Header.Set("Range", "bytes=100-199")
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		if body := s.read(res); res.StatusCode != 206 || body != string(content[100:200]) {
			s.t.Errorf("range: %d, %d bytes", res.StatusCode, len(body))
		}
	})
}

func TestResponsesWithoutBody(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "12345")
			if r.Method != "HEAD" {
				io.WriteString(w, strings.Repeat("x", 12345))
			}
		}
	}, func(s *setup) {
		for path, status := range map[string]int{"/204": 204, "/304": 304} {
			if res, body := s.get(path); res.StatusCode != status || body != "" {
				s.t.Errorf("%s: %d %q", path, res.StatusCode, body)
			}
		}
		res, err := s.client.Head(s.url + "/")
		if err != nil {
			s.t.Fatal(err)
		}
		res.Body.Close()
		if res.ContentLength != 12345 {
			s.t.Errorf("HEAD: Content-Length %d, want what a GET would bring", res.ContentLength)
		}
		if _, body := s.get("/"); len(body) != 12345 {
			s.t.Errorf("GET after HEAD: %d bytes", len(body))
		}
	})
}

func TestTrailersGoBothWays(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "got "+r.Trailer.Get("X-Up"))
		w.Header().Set("X-Sum", "down")
	}, func(s *setup) {
		req, _ := http.NewRequest("POST", s.url+"/", struct{ io.Reader }{strings.NewReader("body")})
		req.Trailer = http.Header{"X-Up": {"up"}}
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		if body := s.read(res); body != "got up" || res.Trailer.Get("X-Sum") != "down" {
			s.t.Errorf("body %q, trailer %v", body, res.Trailer)
		}
	})
}

func TestInterimResponsesArePassedOn(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "done")
	}, func(s *setup) {
		var hints atomic.Int32
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code == 103 && header.Get("Link") != "" {
				hints.Add(1)
			}
			return nil
		}}
		req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", s.url+"/", nil)
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		if body := s.read(res); hints.Load() != 1 || body != "done" || res.Header.Get("Link") != "" {
			s.t.Errorf("%d hints, body %q, Link %q", hints.Load(), body, res.Header.Get("Link"))
		}
	})
}

func TestExpectContinueIsAnswered(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		body := bytes.Repeat([]byte("x"), 100<<10)
		req, _ := http.NewRequest("POST", s.url+"/", bytes.NewReader(body))
		req.Header.Set("Expect", "100-continue")
		began := time.Now()
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		if got := s.read(res); !strings.HasPrefix(got, digest(body)) {
			s.t.Errorf("body: %s", got)
		}
		if took := time.Since(began); took > 2*time.Second {
			s.t.Errorf("took %s: the client was not told to go on", took)
		}
	})
}

func TestEarlyResponseReachesTheUploader(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}, func(s *setup) {
		res, err := s.client.Post(s.url+"/", "application/octet-stream", io.LimitReader(zeroes{}, 1<<30))
		if err != nil {
			s.t.Fatalf("the answer did not arrive: %v", err)
		}
		if res.Body.Close(); res.StatusCode != 413 {
			s.t.Errorf("status %d", res.StatusCode)
		}
		if res, _ := s.get("/"); res.StatusCode != 413 {
			s.t.Errorf("the next request: %d", res.StatusCode)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestEventsArriveAsTheyHappen(t *testing.T) {
	next := make(chan struct{})
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}, func(s *setup) {
		res, err := s.client.Get(s.url + "/events")
		if err != nil {
			s.t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := lines.ReadString('\n')
			if want := fmt.Sprintf("id: %d\n", i); err != nil || line != want {
				s.t.Fatalf("%q %v, want %q before the next event happens", line, err, want)
			}
			lines.ReadString('\n')
			lines.ReadString('\n')
			next <- struct{}{}
		}
	})
}

func TestBackendSeesWhoAsks(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "X-Secret", "Via"} {
			fmt.Fprintf(w, "%s=%s\n", name, strings.Join(r.Header.Values(name), "|"))
		}
	}, func(s *setup) {
		req, _ := http.NewRequest("GET", s.url+"/", nil)
		req.Header.Set("X-Forwarded-For", "6.6.6.6")
		req.Header.Set("X-Forwarded-Proto", "gopher")
		req.Header.Set("X-Real-Ip", "6.6.6.6")
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		body := s.read(res)
		for _, want := range []string{"X-Forwarded-For=127.0.0.1\n", "X-Forwarded-Proto=" + s.scheme + "\n", "X-Forwarded-Host=" + s.addr + "\n", "X-Real-Ip=\n", "Via=1.1 sluice-"} {
			if !strings.Contains(body, want) {
				s.t.Errorf("no %q in\n%s", want, body)
			}
		}
	})
}

func TestBrokenResponseIsNotMadeWhole(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "1000000")
		}
		io.WriteString(w, strings.Repeat("x", 100<<10))
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}, func(s *setup) {
		for _, path := range []string{"/length", "/chunked"} {
			res, err := s.client.Get(s.url + path)
			if err != nil {
				continue
			}
			if _, err := io.ReadAll(res.Body); err == nil {
				s.t.Errorf("%s: a broken response looked complete", path)
			}
			res.Body.Close()
		}
	})
}

func TestRefusalsSayWhy(t *testing.T) {
	overEach(t, func(http.ResponseWriter, *http.Request) {}, func(s *setup) {
		s.route()
		res, body := s.get("/")
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "no backend is ready") {
			s.t.Errorf("%d, Retry-After %q, %q", res.StatusCode, res.Header.Get("Retry-After"), body)
		}
		s.route(backendAt("127.0.0.1:1"))
		if res, body := s.get("/"); res.StatusCode != 502 || !strings.Contains(body, res.Header.Get("X-Request-Id")) {
			s.t.Errorf("%d %q", res.StatusCode, body)
		}
	})
}

func TestDeadBackendCostsARetryNotARequest(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		s.route(backendAt("127.0.0.1:1"), s.backend)
		for range 10 {
			res, err := s.client.Post(s.url+"/", "text/plain", strings.NewReader("hello"))
			if err != nil {
				s.t.Fatal(err)
			}
			if body := s.read(res); res.StatusCode != 200 {
				s.t.Fatalf("%d %s", res.StatusCode, body)
			}
		}
	})
}

func TestClientThatLeavesEndsTheRequest(t *testing.T) {
	begun, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}, func(s *setup) {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		go func() {
			select {
			case <-begun:
			case <-ctx.Done():
			}
			cancel()
		}()
		req, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/", nil)
		if _, err := s.client.Do(req); !errors.Is(err, context.Canceled) {
			s.t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			s.t.Fatal("the backend was left at work for nobody")
		}
		s.waitFor("the gate is empty", func() bool { return s.backend.Gate.Inside() == 0 })
	})
}

// TestExitLosesNothing drains while requests are inside and clients go on sending on kept connections.
func TestExitLosesNothing(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(600 * time.Millisecond)
		io.WriteString(w, "ok")
	}, func(s *setup) {
		s.get("/")
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				res, err := s.client.Get(s.url + "/")
				if err == nil {
					_, err = io.ReadAll(res.Body)
				}
				results <- err
			}()
		}
		s.waitFor("requests are inside", func() bool { return s.backend.Gate.Inside() == cap(results) })
		report := s.front.Drain(context.Background(), 100*time.Millisecond, drain.Policy{Timeout: 5 * time.Second})
		for range cap(results) {
			if err := <-results; err != nil {
				s.t.Error(err)
			}
		}
		if report.Found != cap(results) || report.Finished != report.Found || report.Took > 3*time.Second {
			s.t.Errorf("receipt: %s", report)
		}
		if n := s.front.Connections(); n != 0 {
			s.t.Errorf("%d connections left", n)
		}
	})
}

// TestExitServesWhatHasConnected: what stands in a listener's queue when Sluice goes is answered, not reset.
func TestExitServesWhatHasConnected(t *testing.T) {
	s := newSetup(t, protocols[0], func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var queued [20]net.Conn
	for i := range queued {
		if queued[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer queued[i].Close()
		io.WriteString(queued[i], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	a, err := s.front.newAcceptor(l)
	if err != nil {
		t.Fatal(err)
	}
	a.SetDeadline(time.Unix(1, 0))
	s.front.accepts.Add(1)
	a.run()
	for i, nc := range queued {
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		if answer, err := io.ReadAll(nc); err != nil || !bytes.HasSuffix(answer, []byte("ok")) {
			t.Errorf("connection %d: %q, %v", i, answer, err)
		}
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener was left open")
	}
}
