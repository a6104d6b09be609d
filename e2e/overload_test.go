package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// forgetful is a backend that keeps an idle connection for a moment only. It counts how often it did each request.
type forgetful struct {
	address string
	keep    time.Duration
	mu      sync.Mutex
	done    map[string]int
}

func startForgetful(t *testing.T, keep time.Duration) *forgetful {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &forgetful{address: l.Addr().String(), keep: keep, done: map[string]int{}}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(nc)
		}
	}()
	return f
}

func (f *forgetful) serve(nc net.Conn) {
	defer nc.Close()
	for br := bufio.NewReader(nc); ; {
		nc.SetReadDeadline(time.Now().Add(f.keep))
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		f.done[r.Header.Get("X-Id")]++
		f.mu.Unlock()
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// TestPostsAtTheKeepAliveTime: the backends end idle connections after 50 ms, and POSTs come every 50 ± 1.5 ms, by HTTP/1.1
// and by HTTP/2, each client to a backend of its own, as one user of a small app would. Of 400 none fails, and none is
// done twice.
func TestPostsAtTheKeepAliveTime(t *testing.T) {
	const clients, each, keep = 10, 40, 50 * time.Millisecond
	var backends []*forgetful
	var services strings.Builder
	for i := range clients {
		backends = append(backends, startForgetful(t, keep))
		fmt.Fprintf(&services, "  s%d: {path: /s%d, backends: [%s], health: off}\n", i, i, backends[i].address)
	}
	s := newSluice(t, "services:\n"+services.String())
	roots := certificate(t, s.dir)
	secure := freePort(t)
	text, err := os.ReadFile(s.configFile())
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), "listen: http://"+s.listen, fmt.Sprintf("tls: {certificates: [{cert: site.pem, key: site.key}]}\nlisten: [http://%s, https://%s]", s.listen, secure), 1)
	if err := os.WriteFile(s.configFile(), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	var failed atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(i%2 == 0)
		tr.Protocols.SetHTTP2(i%2 == 1)
		defer tr.CloseIdleConnections()
		url := fmt.Sprintf("http://%s/s%d", s.listen, i)
		if i%2 == 1 {
			url = fmt.Sprintf("https://%s/s%d", secure, i)
		}
		all.Go(func() {
			failed.Add(postAtPace(t, &http.Client{Transport: tr, Timeout: 5 * time.Second}, url, each, keep))
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d POSTs failed", failed.Load(), clients*each)
	}
	for i, f := range backends {
		f.mu.Lock()
		for n := range each {
			if times := f.done[fmt.Sprint(n)]; times != 1 {
				t.Errorf("POST %d of client %d was done %d times", n, i, times)
			}
		}
		f.mu.Unlock()
	}
}

func postAtPace(t *testing.T, client *http.Client, url string, n int, pace time.Duration) (failed int64) {
	for i := range n {
		r, _ := http.NewRequest("POST", url, strings.NewReader("hello"))
		r.Header.Set("X-Id", fmt.Sprint(i))
		res, err := client.Do(r)
		if err != nil || res.StatusCode != 200 {
			failed++
			t.Logf("POST %d to %s: %v %+v", i, url, err, res)
		}
		if err == nil {
			res.Body.Close()
		}
		time.Sleep(pace - 1500*time.Microsecond + rand.N(3*time.Millisecond))
	}
	return failed
}

// TestQueueInFrontOfAFullApp: twenty at once for an app that takes two, each served in its turn; and what the status and a
// refusal say.
func TestQueueInFrontOfAFullApp(t *testing.T) {
	app := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, "services: {web: {backends: [{address: "+app.address+", max_connections: 2}], queue: {requests: 18, wait: 5s}, health: {path: /health}}}").start()
	s.awaitRelease("v1")
	var all sync.WaitGroup
	var ok, refused atomic.Int64
	for range 30 {
		all.Go(func() {
			status, _, header := s.fetch("/slow?ms=100")
			switch {
			case status == 200:
				ok.Add(1)
			case status == 503 && header.Get("Retry-After") != "" && header.Get("Proxy-Status") == `sluice; error=connection_limit_reached; details="sent=none"`:
				refused.Add(1)
			default:
				t.Errorf("%d %v", status, header)
			}
		})
	}
	all.Wait()
	if ok.Load() < 20 || ok.Load()+refused.Load() != 30 {
		t.Errorf("%d served, %d refused", ok.Load(), refused.Load())
	}
	_, status := s.get("/v1/status")
	queue := status["services"].([]any)[0].(map[string]any)["queue"].(map[string]any)
	if queue["queued"].(float64) < 18 || queue["waiting"].(float64) != 0 || queue["refused_full"].(float64) != float64(refused.Load()) {
		t.Errorf("the status says %v, and %d were refused", queue, refused.Load())
	}
}

// TestMemoryIsShedNotLost drives the memory of a real process up with bodies that come slowly. New requests are refused
// while there is too much, each that is inside finishes, and then there is room again.
func TestMemoryIsShedNotLost(t *testing.T) {
	app := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, "limits: {memory: 64MiB, intake_bytes: 1GiB}\nservices: {web: {backends: ["+app.address+"]}}").start()
	s.awaitRelease("v1")
	var inside []net.Conn
	defer func() {
		for _, nc := range inside {
			nc.Close()
		}
	}()
	almost := strings.Repeat("x", 65000)
	full := func() bool { return s.metric("sluice_shedding") == 1 }
	for end := time.Now().Add(20 * time.Second); !full(); {
		if time.Now().After(end) {
			t.Fatalf("with %d bodies inside it sheds nothing; it holds %v bytes", len(inside), s.metric("sluice_memory_held_bytes"))
		}
		for range 50 {
			nc, err := net.Dial("tcp", s.listen)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(nc, "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 65001\r\n\r\n%s", almost)
			inside = append(inside, nc)
		}
		time.Sleep(50 * time.Millisecond)
	}
	status, _, header := s.fetch("/bytes/10")
	if status != 503 || header.Get("Retry-After") == "" || header.Get("Proxy-Status") != `sluice; error=proxy_internal_response; details="sent=none"` {
		t.Errorf("a new request: %d %v", status, header)
	}
	finished, refused := 0, 0
	for _, nc := range inside {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		nc.Write([]byte("y"))
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		switch {
		case err == nil && res.StatusCode == 503:
			refused++ // it came when there was too much already
		case err == nil && res.StatusCode < 500:
			finished++
		default:
			t.Fatalf("one that was inside: %v %+v", err, res)
		}
		nc.Close()
	}
	t.Logf("%d inside finished, %d that came later were refused", finished, refused)
	if finished < 300 {
		t.Errorf("only %d were inside", finished)
	}
	s.await("there is room again", func() bool { status, _, _ := s.fetch("/bytes/10"); return status == 200 })
	if shed := s.metric("sluice_shed_total"); shed < 1 {
		t.Errorf("%v counted", shed)
	}
}
