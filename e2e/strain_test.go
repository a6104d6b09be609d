package e2e

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowTaker is a server that takes long for each handshake.
func slowTaker(t *testing.T, takes time.Duration) (address string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Set("X-Release", "v2"); r.URL.Path != "/ws" {
			return
		}
		time.Sleep(takes)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Release: v2\r\n\r\n")
		go func() {
			bufio.NewReader(c).ReadByte() // until the other side goes
			c.Close()
		}()
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestStrainedTakersGetFewerAtATime: handshakes at the new pool take a hundred times as long as answers did before. Fewer
// WebSockets are ended then than an even spread would have, by a third at least, and none behind the deadline.
func TestStrainedTakersGetFewerAtATime(t *testing.T) {
	const n, window = 300, 4 * time.Second
	blue := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, strings.Replace(twoPools(blue.address, slowTaker(t, 300*time.Millisecond)), "websocket: 1s", "websocket: "+window.String(), 1)).start()
	s.awaitRelease("v1")
	for range 150 { // enough to know what is usual
		s.fetch("/bytes/10")
	}
	moves := make([]move, n)
	var wg sync.WaitGroup
	for i, c := range s.sitters(n) {
		wg.Go(func() { moves[i] = c.move("v2") })
	}
	began := time.Now()
	s.post("/v1/services/web/flip?pool=green&wait=true")
	wg.Wait()
	strained := 0
	for i, m := range moves {
		at := m.told.Sub(began)
		if m.err != nil || at > window+700*time.Millisecond {
			t.Fatalf("client %d: %v, told after %s", i, m.err, at)
		}
		if at >= time.Second && at < 3*time.Second {
			strained++
		}
	}
	if t.Logf("%d ended in the two seconds of strain", strained); strained >= n/3 {
		t.Errorf("%d were ended from the first second to the third, half of all time; %d would be even", strained, n/2)
	}
}
