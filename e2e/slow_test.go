package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// drip is how often a slow client sends or takes a byte.
const drip = 4 * time.Second

// slowKinds are what slow clients do with a connection. Each returns when the server has ended it, or the swarm is over.
var slowKinds = []struct {
	name string
	do   func(*slowConn)
}{
	{"slow head", func(c *slowConn) {
		c.say("GET /slow-head HTTP/1.1\r\nHost: a\r\nX: ")
		c.drip("a")
	}},
	{"slow target", func(c *slowConn) {
		c.say("G")
		c.drip("E")
	}},
	{"slow body", func(c *slowConn) {
		c.say("POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
		c.drip("b")
	}},
	{"slow chunks", func(c *slowConn) {
		c.say("POST /slow-chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		c.drip("1\r\nb\r\n")
	}},
	{"slow read", func(c *slowConn) {
		c.say("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
		c.sip()
	}},
	{"slow read later", func(c *slowConn) {
		c.say("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
		c.pause(2 * drip)
		c.sip()
	}},
	{"idle after a request", func(c *slowConn) {
		c.say("GET /good?7 HTTP/1.1\r\nHost: a\r\n\r\n")
		c.hear()
	}},
	{"idle after four", func(c *slowConn) {
		for range 4 {
			c.say("GET /good?7 HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		c.hear()
	}},
	{"nothing at all", func(c *slowConn) { c.hear() }},
	{"half-open", func(c *slowConn) {
		c.say("POST /slow-half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nb")
		c.CloseWrite()
		c.hear()
	}},
}

// swarm is many slow clients that come back whenever they are sent away.
type swarm struct {
	address string
	over    context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	open    atomic.Int64
	dials   atomic.Int64
	failed  atomic.Int64

	mu    sync.Mutex
	heard map[string]int // how each kind ended
}

// slowConn is one connection of a slow client.
type slowConn struct {
	*net.TCPConn
	swarm *swarm
	err   error
	first []byte // the beginning of what the server said last
}

// rampRate is how many clients a second come at first.
const rampRate = 500

func startSwarm(t *testing.T, address string, size int) *swarm {
	s := &swarm{address: address, heard: map[string]int{}}
	s.over, s.stop = context.WithCancel(t.Context())
	t.Cleanup(s.end)
	for i := range size {
		kind := slowKinds[i%len(slowKinds)]
		s.wg.Go(func() { s.client(time.Duration(i)*time.Second/rampRate, kind.name, kind.do) })
	}
	return s
}

func (s *swarm) end() {
	s.stop()
	s.wg.Wait()
}

// rest reports false when the swarm is over.
func (s *swarm) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.over.Done():
		return false
	}
}

func (s *swarm) client(start time.Duration, kind string, do func(*slowConn)) {
	for on := s.rest(start); on; on = s.rest(drip/2 + rand.N(drip)) {
		s.dials.Add(1)
		c, err := s.dial()
		if err != nil {
			s.failed.Add(1)
			continue
		}
		s.open.Add(1)
		stop := context.AfterFunc(s.over, func() { c.SetDeadline(time.Now()) })
		do(c)
		stop()
		c.Close()
		s.open.Add(-1)
		s.note(kind, c)
	}
}

// dial keeps the receive buffer small, so that a slow reader is slow for the server too.
func (s *swarm) dial() (*slowConn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	nc, err := d.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return &slowConn{TCPConn: nc.(*net.TCPConn), swarm: s}, nil
}

// note keeps what became of a client that the server sent away.
func (s *swarm) note(kind string, c *slowConn) {
	if s.over.Err() != nil {
		return
	}
	line, _, _ := bytes.Cut(c.first, []byte("\r\n"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[fmt.Sprintf("%s: %s", kind, line)]++
}

func (s *swarm) endings() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for what, n := range s.heard {
		lines = append(lines, fmt.Sprintf("%7d × %s", n, what))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (c *slowConn) pause(d time.Duration) bool { return c.err == nil && c.swarm.rest(d) }

func (c *slowConn) say(text string) {
	if c.err == nil {
		_, c.err = io.WriteString(c, text)
	}
}

// drip says a little at a time until the server has had enough, and hears what it says to that.
func (c *slowConn) drip(text string) {
	for c.pause(drip/2 + rand.N(drip)) {
		c.say(text)
	}
	c.err = nil
	c.SetReadDeadline(time.Now().Add(time.Second))
	c.hear()
}

// sip takes a little at a time.
func (c *slowConn) sip() {
	for c.pause(drip/2 + rand.N(drip)) {
		c.take(1)
	}
}

// hear takes all there is until the server ends the connection.
func (c *slowConn) hear() {
	for c.err == nil {
		c.take(512)
	}
}

func (c *slowConn) take(most int) {
	var b [512]byte
	n, err := c.Read(b[:most])
	if c.err = err; n > 0 && len(c.first) < 40 {
		c.first = append(c.first, b[:n]...)
	}
}

const (
	goodBound   = 5 * time.Millisecond // for the 99th percentile of the good requests
	memoryBound = 200 << 10            // KiB, at the peak
	// backendBound is the most connections at the backend beside those that carry a large answer, and beside the good
	// requests that can have been under way at one time: those of the clients that make one request and then idle.
	backendBound = 64
	// quiet is what a good request takes without Sluice at most, at the 99th percentile, on a machine that has nothing else
	// to do. Where others work too, the good requests may wait for them at each of the two hops, beyond their bound.
	quiet = 2 * time.Millisecond
)

func boundBeside(straight time.Duration) time.Duration {
	if straight <= quiet {
		return goodBound
	}
	return goodBound + 2*straight
}

// TestSlowClientsHoldNothing has a swarm of slow clients beside good ones: no good request fails or waits for the slow
// ones, memory stays small, and a body that does not come holds no backend connection.
func TestSlowClientsHoldNothing(t *testing.T) {
	size, hold := 10_000, 20*time.Second
	if testing.Short() {
		size, hold = 1_000, 5*time.Second
	}
	raiseOpenFiles(t, size)
	b := startCounting(t)
	s := newSluice(t, fmt.Sprintf("limits: {connections: %d}\nservices:\n  web:\n    backends: [%s]\n", size*3/2, b.address)).start()
	s.await("the backend is up", func() bool { return s.backendHealth(b.address) == "up" })
	straight, good := startGood(t, startCounting(t).address), startGood(t, s.listen)
	slow := startSwarm(t, s.listen, size)
	time.Sleep(time.Duration(size)*time.Second/rampRate + hold)
	open, took := slow.open.Load(), s.metric("sluice_connections")
	most, reading, bodies := b.counts()
	through, failed := good.end()
	without, _ := straight.end()
	slow.end()

	t.Logf("%d slow clients, %d open at the end (%v at Sluice), %d dials, %d of them failed; sent away:\n%s", size, open, took, slow.dials.Load(), slow.failed.Load(), slow.endings())
	t.Logf("good:     %v, %d failed", through, len(failed))
	t.Logf("straight: %v", without)
	t.Logf("memory at its peak %d KiB; at the backend %d connections at most, beside %d with a large answer; %d slow bodies came to it", s.rss(), most, reading, bodies)
	if open < int64(size)*7/10 {
		t.Errorf("only %d slow connections were open at the end: this run proves little", open)
	}
	if len(failed) > 0 {
		t.Errorf("%d good requests failed, the first: %v", len(failed), failed[0])
	}
	if p99, bound := through.percentile(0.99), boundBeside(without.percentile(0.99)); p99 > bound {
		t.Errorf("the good requests' p99 is %v, more than %v", p99, bound)
	}
	if p99, bound := through.usual(), boundBeside(without.usual()); p99 > bound {
		t.Errorf("the good requests' p99 in a usual second is %v, more than %v", p99, bound)
	}
	if rss := s.rss(); rss > memoryBound {
		t.Errorf("memory grew to %d KiB", rss)
	}
	if under := int(through.percentile(1) * goodRate / time.Second); most > backendBound+under {
		t.Errorf("%d connections at the backend, and never more than %d good requests were under way", most, under)
	}
	if bodies > 0 {
		t.Errorf("%d requests whose body never comes were sent to the backend", bodies)
	}
}

// raiseOpenFiles gives this process, and Sluice, which inherits it, enough descriptors: at Sluice a slow reader takes a
// second one for the backend, and may take a pipe.
func raiseOpenFiles(t *testing.T, clients int) {
	t.Helper()
	need := uint64(clients)*19/10 + 500
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	want := syscall.Rlimit{Cur: max(need, now.Max), Max: max(need, now.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		t.Fatalf("%d slow clients need %d open files and %d are allowed: raise `ulimit -Hn`, or run with -short", clients, need, now.Max)
	}
}
