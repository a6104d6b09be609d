package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func singlePool(address string) string {
	return fmt.Sprintf("services:\n  web:\n    backends: [%s]\n    health: {path: /health, interval: 500ms, timeout: 400ms}\n    drain: {timeout: 20s, stream: 1s, websocket: 1s}\n", address)
}

// TestSlowRequestOutlivesTheSignal: what is inside when SIGTERM comes is answered, however long it takes within the
// deadline; and kept connections are told to close, not cut.
func TestSlowRequestOutlivesTheSignal(t *testing.T) {
	t.Parallel()
	a := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, singlePool(a.address)).start()
	s.awaitRelease("v1")
	kept := s.keptConnection()
	slow := make(chan string, 1)
	go func() {
		status, body, _ := s.fetch("/slow?ms=3000")
		slow <- fmt.Sprint(status, len(body) > 0)
	}()
	s.await("the slow request is inside", func() bool { return a.inside() > 0 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	if res := kept.ask(t); !res.Close {
		t.Error("a kept connection was not told that it ends")
	}
	if got := <-slow; got != "200 true" {
		t.Errorf("the slow request: %s", got)
	}
	if code := s.waitExit(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

type kept struct {
	nc   net.Conn
	from *bufio.Reader
}

func (s *sluice) keptConnection() *kept {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.listen)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	k := &kept{nc, bufio.NewReader(nc)}
	if res := k.ask(s.t); res.Close {
		s.t.Error("the connection was not kept")
	}
	return k
}

func (k *kept) ask(t *testing.T) *http.Response {
	t.Helper()
	fmt.Fprintf(k.nc, "GET /bytes/100 HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(k.from, nil)
	if err != nil {
		t.Fatalf("on a kept connection: %v", err)
	}
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != 100 {
		t.Fatalf("on a kept connection: %d bytes, %v", n, err)
	}
	return res
}

// TestSecondSignalEndsAtOnce does not wait for what is inside.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	a := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, singlePool(a.address)).start()
	s.awaitRelease("v1")
	go s.fetch("/slow?ms=10000")
	s.await("the slow request is inside", func() bool { return a.inside() > 0 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(300 * time.Millisecond)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.waitExit(2 * time.Second)
}

// TestStopCommandWaitsForTheEnd under load: nothing that was accepted is lost.
func TestStopCommandWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	a := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, singlePool(a.address)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	time.Sleep(time.Second)
	t.Log(s.must("stop"))
	s.waitExit(2 * time.Second)
	traffic.Stop()
	for _, r := range traffic.Lost() {
		// A new connection is refused once nobody listens; that is the operator's wish. Anything else was accepted and lost.
		if !strings.Contains(r.Err.Error(), "refused") {
			t.Errorf("lost: %s %s: %v", r.Class, r.RequestID, r.Err)
		}
	}
}
