package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These are experiments that were made on kamal-proxy, and what came out there; Sluice has to do better at each. Those on
// the keep-alive race and on a damaged state file stand beside what they are about.

// TestFlipIsAtOnce: 0.10 to 0.13 s there, the start of the command included.
func TestFlipIsAtOnce(t *testing.T) {
	s, _, _ := blueAndGreen(t)
	var slowest time.Duration
	for i := range 10 {
		began := time.Now()
		s.must("flip", "web", [2]string{"green", "blue"}[i%2])
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("the slowest of 10 flips took %s", slowest.Round(time.Millisecond))
	if slowest > time.Second {
		t.Error("that is not at once")
	}
}

func blueAndGreen(t *testing.T) (s *sluice, blue, green *app) {
	t.Helper()
	blue, green = startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s = newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	return s, blue, green
}

// TestStreamHoldsNoDeploy: one reader of an event stream made a deployment last for the whole timeout of 5 s, and was left
// with half a body. Here the timeout is 30 s, and a stream may take 1 s.
func TestStreamHoldsNoDeploy(t *testing.T) {
	s, blue, _ := blueAndGreen(t)
	nc, err := net.Dial("tcp", s.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(nc, "GET /events?ms=20 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	var readErr error
	go func() {
		var body []byte
		body, readErr = io.ReadAll(res.Body)
		read <- body
	}()
	s.await("the stream is inside", func() bool { return blue.inside() > 0 })
	began := time.Now()
	t.Log(s.must("flip", "web", "green"))
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the flip took %s", took)
	}
	body := <-read
	if readErr != nil || !bytes.HasSuffix(body, []byte("\n\n")) || bytes.Count(body, []byte("data:")) < 5 {
		t.Errorf("the stream ended with %v, after %d bytes: …%q", readErr, len(body), tail(string(body), 100))
	}
}

// TestWebSocketIsTold: it was cut after 24 ms, without a Close.
func TestWebSocketIsTold(t *testing.T) {
	s, blue, _ := blueAndGreen(t)
	nc, err := net.Dial("tcp", s.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(nc, "GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	from := bufio.NewReader(nc)
	res, err := http.ReadResponse(from, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%+v, %v", res, err)
	}
	s.await("the WebSocket is inside", func() bool { return blue.inside() > 0 })
	flipped := make(chan string, 1)
	began := time.Now()
	go func() { flipped <- s.must("flip", "web", "green") }()
	var head [4]byte
	_, err = io.ReadFull(from, head[:])
	if told := time.Since(began); err != nil || head != [4]byte{0x88, 2, 0x03, 0xe9} || told < 500*time.Millisecond {
		t.Errorf("% x, %v after %s", head, err, told)
	}
	nc.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9}) // the answer, as a browser gives it
	if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
		t.Errorf("after the Close came % x, %v", rest, err)
	}
	t.Log(<-flipped)
}

// TestLongRequestOutlivesTheSignal: a request of 14 s did not, for an exit took no longer than 10 s.
func TestLongRequestOutlivesTheSignal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes 14 s")
	}
	a := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, singlePool(a.address)).start()
	s.awaitRelease("v1")
	got := make(chan string, 1)
	go func() {
		client := http.Client{Timeout: time.Minute}
		res, err := client.Get("http://" + s.listen + "/slow?ms=14000")
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		got <- fmt.Sprint(res.StatusCode, len(body) > 0, err)
	}()
	s.await("the request is inside", func() bool { return a.inside() > 0 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	if answer := <-got; answer != "200 true <nil>" {
		t.Errorf("answer: %s", answer)
	}
	if code := s.waitExit(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestRestartSendsNothingToTheUnchecked: after a restart a dead server was called running, was never checked, and got all
// requests. Here it is one that accepts and says nothing, to see what it is sent.
func TestRestartSendsNothingToTheUnchecked(t *testing.T) {
	s, _, green := blueAndGreen(t)
	s.must("flip", "web", "green")
	s.kill()
	green.kill()
	mute := listenMute(t, green.address)
	s.start()
	for range 50 {
		if status, body, _ := s.fetch("/api"); status != 503 {
			t.Fatalf("%d %s", status, body)
		}
	}
	s.await("it is checked, and found down", func() bool { return s.backendHealth(green.address) == "down" })
	if n := mute.checks.Load(); n == 0 {
		t.Error("it was never checked")
	}
	if other := mute.others(); len(other) > 0 {
		t.Errorf("it was sent %q", other)
	}
}

// muteServer accepts connections, reads, and never says a word.
type muteServer struct {
	checks atomic.Int64
	mu     sync.Mutex
	rest   []string
}

func listenMute(t *testing.T, address string) *muteServer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	m := &muteServer{}
	ended := make(chan struct{})
	go m.run(l, ended)
	t.Cleanup(func() { l.Close(); <-ended })
	return m
}

func (m *muteServer) run(l net.Listener, ended chan<- struct{}) {
	defer close(ended)
	var open sync.WaitGroup
	defer open.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		open.Go(func() { m.listen(nc) })
	}
}

func (m *muteServer) listen(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	line, _ := bufio.NewReader(nc).ReadString('\n')
	if strings.HasPrefix(line, "GET /health ") {
		m.checks.Add(1)
		io.Copy(io.Discard, nc)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rest = append(m.rest, line)
}

func (m *muteServer) others() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rest
}
