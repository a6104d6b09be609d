package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sitter is a client that sits on a WebSocket, and opens another when it is told that this one goes away.
type sitter struct {
	address string
	nc      net.Conn
	from    *bufio.Reader
	release string // that it sits at
}

func (c *sitter) sit() error {
	nc, err := net.DialTimeout("tcp", c.address, 5*time.Second)
	if err != nil {
		return err
	}
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	io.WriteString(nc, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	c.nc, c.from = nc, bufio.NewReaderSize(nc, 256)
	res, err := http.ReadResponse(c.from, nil)
	if err != nil {
		return err
	}
	if c.release = res.Header.Get("X-Release"); res.StatusCode != 101 {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// told reads what comes first, which has to be a Close with 1001, and answers it as a client should (RFC 6455 §5.5.1).
func (c *sitter) told() error {
	got := make([]byte, 4)
	if n, err := io.ReadFull(c.from, got); err != nil || string(got) != "\x88\x02\x03\xe9" {
		return fmt.Errorf("told %x, %v; want a Close with 1001", got[:n], err)
	}
	if _, err := c.nc.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9}); err != nil {
		return err
	}
	return nil
}

// move is one client's way from the old pool to the new one.
type move struct {
	told, back time.Time
	err        error
}

func (c *sitter) move(release string) (m move) {
	old := *c
	if m.err = c.told(); m.err != nil {
		return m
	}
	m.told = time.Now()
	if m.err = c.sit(); m.err == nil && c.release != release {
		m.err = fmt.Errorf("came back to %s", c.release)
	}
	m.back = time.Now()
	if rest, err := io.ReadAll(old.from); m.err == nil && (err != nil || len(rest) > 0) {
		m.err = fmt.Errorf("behind the Close came %x, %v", rest, err)
	}
	old.nc.Close()
	return m
}

// sitters opens n WebSockets.
func (s *sluice) sitters(n int) []*sitter {
	s.t.Helper()
	all := make([]*sitter, n)
	for i := range all {
		all[i] = &sitter{address: s.listen}
		if err := all[i].sit(); err != nil {
			s.t.Fatalf("number %d: %v", i, err)
		}
		s.t.Cleanup(func() { all[i].nc.Close() })
	}
	return all
}

func howMany() (n int, window time.Duration) {
	switch {
	case os.Getenv("SLUICE_SOAK") != "":
		return 1000, 10 * time.Second
	case testing.Short():
		return 100, 2 * time.Second
	}
	return 300, 4 * time.Second
}

// TestManyWebSocketsMove: a flip with many WebSockets inside of the old pool. Each client is told by a Close, is at the new
// pool soon after, and they do not come as a herd. SLUICE_SOAK makes it 1,000 in 10 s.
func TestManyWebSocketsMove(t *testing.T) {
	n, window := howMany()
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, strings.Replace(twoPools(blue.address, green.address), "websocket: 1s", "websocket: "+window.String(), 1)).start()
	s.awaitRelease("v1")
	all := s.sitters(n)
	moves := make([]move, n)
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { moves[i] = c.move("v2") })
	}
	began := time.Now()
	status, receipt := s.post("/v1/services/web/flip?pool=green&wait=true")
	took := time.Since(began)
	wg.Wait()
	var gaps []time.Duration
	var backs []time.Time
	for i, m := range moves {
		if m.err != nil {
			t.Fatalf("client %d: %v", i, m.err)
		}
		gaps, backs = append(gaps, m.back.Sub(m.told)), append(backs, m.back)
	}
	slices.Sort(gaps)
	most := mostInASecond(backs)
	t.Logf("%d WebSockets in %s: all told, longest gap %s, median %s, at most %d back in a second; the flip took %s",
		n, window, gaps[n-1].Round(10*time.Microsecond), gaps[n/2].Round(10*time.Microsecond), most, took.Round(time.Millisecond))
	if cut := dig(receipt, "drain", "classes", "websocket", "cut"); status != 200 || cut != float64(n) {
		t.Errorf("%d, the receipt counts %v cut: %v", status, cut, receipt)
	}
	if even := max(50, float64(n)/window.Seconds()); float64(most) > 1.5*even || took > window+time.Second {
		t.Errorf("%d came back within a second, where %.0f would be even; the flip took %s", most, even, took)
	}
	if gaps[n-1] > time.Second {
		t.Errorf("a client was without a connection for %s", gaps[n-1])
	}
}

func mostInASecond(at []time.Time) (most int) {
	slices.SortFunc(at, time.Time.Compare)
	from := 0
	for i := range at {
		for at[i].Sub(at[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// dig finds a value in an answer.
func dig(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// TestOneOfEachClass: a flip with one of each inside. Each has until its own deadline and its own ending, and what is new
// meanwhile goes to the new pool.
func TestOneOfEachClass(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, strings.Replace(twoPools(blue.address, green.address), "timeout: 30s, stream: 1s, websocket: 1s",
		"timeout: 3s, stream: 600ms, websocket: 1200ms", 1)).start()
	s.awaitRelease("v1")
	began := time.Now()
	ended := map[string]time.Duration{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	note := func(class string) {
		mu.Lock()
		defer mu.Unlock()
		ended[class] = time.Since(began)
	}
	begun := make(chan string, 2)
	wg.Go(func() {
		status, body, _ := s.fetch("/slow?ms=2000")
		if note("request"); status != 200 || body == "" {
			t.Errorf("request: %d", status)
		}
	})
	wg.Go(func() {
		body, release, err := s.events(begun)
		if note("stream"); err != nil || release != "v1" || !strings.Contains(body, "\n\nretry: ") || !strings.HasSuffix(body, "\n\n") {
			t.Errorf("stream of %s: %v, …%q", release, err, tail(body, 60))
		}
	})
	ws := &sitter{address: s.listen}
	if err := ws.sit(); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		m := ws.move("v2")
		if note("websocket"); m.err != nil {
			t.Errorf("websocket: %v", m.err)
		}
		ws.nc.Close()
	})
	<-begun
	s.await("all are inside", func() bool { return blue.inside() >= 3 })
	began = time.Now()
	s.must("flip", "web", "green", "--no-wait")
	go func() { <-begun }()
	wg.Go(func() {
		if _, release, _ := s.eventsFor(300*time.Millisecond, begun); release != "v2" {
			t.Errorf("a stream that began during the drain is at %s", release)
		}
	})
	wg.Wait()
	for class, want := range map[string]time.Duration{"stream": 600 * time.Millisecond, "websocket": 1200 * time.Millisecond} {
		if got := ended[class]; got < want-50*time.Millisecond || got > want+700*time.Millisecond {
			t.Errorf("%s ended after %s, want %s", class, got, want)
		}
	}
	t.Logf("%v", ended)
}

// events reads an event stream to its end.
func (s *sluice) events(begun chan<- string) (body, release string, err error) {
	return s.eventsFor(20*time.Second, begun)
}

func (s *sluice) eventsFor(most time.Duration, begun chan<- string) (body, release string, err error) {
	client := &http.Client{Timeout: most, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + s.listen + "/events?ms=20")
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	begun <- res.Header.Get("X-Release")
	b, err := io.ReadAll(res.Body)
	return string(b), res.Header.Get("X-Release"), err
}
