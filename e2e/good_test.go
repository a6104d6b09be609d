package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// goodTraffic sends requests at a fixed rate, whether those before are answered or not: a server that stalls is seen by
// all that were meant to come meanwhile. Each latency counts from the intended moment.
type goodTraffic struct {
	address string
	stop    chan struct{}
	done    chan struct{}
	next    atomic.Int64

	mu     sync.Mutex
	idle   []*goodConn
	took   []time.Duration
	failed []error
}

type goodConn struct {
	net.Conn
	br *bufio.Reader
}

// goodRate is how many requests a second are sent.
const goodRate = 300

func startGood(t *testing.T, address string) *goodTraffic {
	g := &goodTraffic{address: address, stop: make(chan struct{}), done: make(chan struct{})}
	go g.run()
	t.Cleanup(func() { g.end() })
	return g
}

func (g *goodTraffic) run() {
	defer close(g.done)
	var sent sync.WaitGroup
	defer sent.Wait()
	began := time.Now()
	for i := 0; ; i++ {
		intended := began.Add(time.Duration(i) * time.Second / goodRate)
		select {
		case <-g.stop:
			return
		case <-time.After(time.Until(intended)):
		}
		sent.Go(func() { g.one(intended) })
	}
}

// end stops it and returns the latencies, sorted, and what failed.
func (g *goodTraffic) end() ([]time.Duration, []error) {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	<-g.done
	for _, c := range g.idle {
		c.Close()
	}
	g.idle = nil
	slices.Sort(g.took)
	return g.took, g.failed
}

func (g *goodTraffic) one(intended time.Time) {
	c, err := g.conn()
	if err == nil {
		err = c.ask(g.next.Add(1), g.address)
	}
	took := time.Since(intended)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = append(g.took, took)
	if err == nil {
		g.idle = append(g.idle, c)
		return
	}
	g.failed = append(g.failed, err)
	if c != nil {
		c.Close()
	}
}

func (g *goodTraffic) conn() (*goodConn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.idle); n > 0 {
		c := g.idle[n-1]
		g.idle = g.idle[:n-1]
		return c, nil
	}
	nc, err := net.DialTimeout("tcp", g.address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &goodConn{Conn: nc, br: bufio.NewReaderSize(nc, 1024)}, nil
}

// ask sends one request and checks that the answer is the one to it.
func (c *goodConn) ask(id int64, address string) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "GET /good?%d HTTP/1.1\r\nHost: %s\r\n\r\n", id, address); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || string(body) != strconv.FormatInt(id, 10) {
		return fmt.Errorf("%d, %q, %v for request %d", res.StatusCode, body, err, id)
	}
	return nil
}

// percentile of sorted latencies.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p))]
}

func figures(sorted []time.Duration) string {
	return fmt.Sprintf("%d requests, p50 %v p99 %v p99.9 %v max %v", len(sorted), percentile(sorted, 0.5).Round(time.Microsecond),
		percentile(sorted, 0.99).Round(time.Microsecond), percentile(sorted, 0.999).Round(time.Microsecond), percentile(sorted, 1).Round(time.Microsecond))
}
