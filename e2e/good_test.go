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
	"testing"
	"time"
)

// goodTraffic sends requests at a fixed rate, whether those before are answered or not: a server that stalls is seen by
// all that were meant to come meanwhile. Each latency counts from the intended moment.
type goodTraffic struct {
	address string
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	idle   []*goodConn
	took   []time.Duration // one for each request, in their order
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
		g.mu.Lock()
		g.took = append(g.took, 0)
		g.mu.Unlock()
		sent.Go(func() { g.one(i, intended) })
	}
}

// end stops it and returns the latencies and what failed.
func (g *goodTraffic) end() (latencies, []error) {
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
	return latencies{g.took, slices.Sorted(slices.Values(g.took))}, g.failed
}

func (g *goodTraffic) one(i int, intended time.Time) {
	c, err := g.conn()
	if err == nil {
		err = c.ask(i, g.address)
	}
	took := time.Since(intended)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took[i] = took
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
func (c *goodConn) ask(id int, address string) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "GET /good?%d HTTP/1.1\r\nHost: %s\r\n\r\n", id, address); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || string(body) != strconv.Itoa(id) {
		return fmt.Errorf("%d, %q, %v for request %d", res.StatusCode, body, err, id)
	}
	return nil
}

// latencies are those of a run, in the order of the requests and sorted.
type latencies struct{ asSent, sorted []time.Duration }

func (l latencies) percentile(p float64) time.Duration { return percentile(l.sorted, p) }

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p))]
}

// usual is the median of the 99th percentiles of each second: what others do to the machine now and then is not in it.
func (l latencies) usual() time.Duration {
	var each []time.Duration
	for second := range slices.Chunk(l.asSent, goodRate) {
		each = append(each, percentile(slices.Sorted(slices.Values(second)), 0.99))
	}
	slices.Sort(each)
	return percentile(each, 0.5)
}

func (l latencies) String() string {
	us := func(p float64) time.Duration { return l.percentile(p).Round(time.Microsecond) }
	return fmt.Sprintf("%d requests, p50 %v p99 %v p99.9 %v max %v; p99 of a usual second %v", len(l.sorted), us(0.5), us(0.99), us(0.999), us(1), l.usual().Round(time.Microsecond))
}
