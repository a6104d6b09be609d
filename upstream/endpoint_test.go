package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"sluice/drain"
	"sluice/message"
)

// server is a listener whose connections the test drives by hand.
type server struct {
	t     *testing.T
	l     net.Listener
	conns chan net.Conn
}

func listen(t *testing.T, network string) (*server, *Backend) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, l: l, conns: make(chan net.Conn, 16)}
	go s.accept()
	e := NewEndpoint(network, l.Addr().String(), Options{MaxIdle: 4})
	t.Cleanup(func() { l.Close(); e.CloseIdle() })
	return s, &Backend{Endpoint: e, Weight: 1, Gate: drain.NewGate()}
}

func (s *server) accept() {
	for {
		nc, err := s.l.Accept()
		if err != nil {
			return
		}
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		s.t.Cleanup(func() { nc.Close() })
		s.conns <- nc
	}
}

// peer is the next connection that was accepted.
func (s *server) peer() net.Conn {
	s.t.Helper()
	select {
	case nc := <-s.conns:
		return nc
	case <-time.After(5 * time.Second):
		s.t.Fatal("nobody connected")
		return nil
	}
}

// claim takes a lease that the test's end gives back.
func claim(t *testing.T, b *Backend) *Lease {
	t.Helper()
	l, err := NewPool("blue", RoundRobin, []*Backend{b}).Claim(&Tried{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.Held() {
			l.Release()
		}
	})
	return &l
}

func connect(t *testing.T, l *Lease) *Conn {
	t.Helper()
	c, err := l.Connect(context.Background(), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ended(nc net.Conn) bool {
	nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := nc.Read(make([]byte, 1))
	return err != nil && !isTimeout(err)
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

func getHead() *message.Head {
	h := &message.Head{Method: []byte("GET"), Target: []byte("/"), Authority: []byte("x"), Minor: 1}
	return h
}

// answer reads a request head off a connection and writes an answer.
func answer(peer net.Conn, text string) {
	br := bufio.NewReader(peer)
	for line, err := br.ReadString('\n'); err == nil && line != "\r\n"; line, err = br.ReadString('\n') {
	}
	io.WriteString(peer, text)
}

func TestRoundTripAndReuse(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			s, b := listen(t, network)
			l := claim(t, b)
			var peer net.Conn
			for i := range 3 {
				c := connect(t, l)
				if i == 0 {
					peer = s.peer()
				}
				if c.Fresh() != (i == 0) {
					t.Errorf("request %d: fresh %v", i, c.Fresh())
				}
				if err := c.Send(getHead(), nil, time.Second); err != nil {
					t.Fatal(err)
				}
				go answer(peer, "HTTP/1.1 204 No Content\r\n\r\n")
				var h message.Head
				if err := c.Receive(&h, false, time.Second); err != nil || h.Status != 204 {
					t.Fatalf("%d, %v", h.Status, err)
				}
				l.Reuse(c)
			}
			st := &b.Endpoint.Stats
			if st.Dials.Load() != 1 || st.Reused.Load() != 2 || st.Requests.Load() != 3 || st.Failures.Load() != 0 {
				t.Errorf("dials %d, reused %d", st.Dials.Load(), st.Reused.Load())
			}
		})
	}
}

func TestLastPutIsFirstTaken(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	first, second := connect(t, l), connect(t, l)
	s.peer()
	s.peer()
	l.Reuse(first)
	l.Reuse(second)
	if connect(t, l) != second || connect(t, l) != first {
		t.Error("not the warm one first")
	}
	first.close()
	second.close()
}

func TestIdleIsBounded(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	var conns []*Conn
	for range 6 {
		conns = append(conns, connect(t, l))
	}
	for _, c := range conns {
		l.Reuse(c)
	}
	if n := b.Endpoint.Idle(); n != 4 {
		t.Errorf("%d idle, want the 4 that are allowed", n)
	}
	closed := 0
	for range 6 {
		nc := s.peer()
		nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			closed++
		}
	}
	if closed != 2 {
		t.Errorf("%d of the surplus 2 were closed", closed)
	}
}

func TestSweepEndsTheOld(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	conns := []*Conn{connect(t, l), connect(t, l), connect(t, l)}
	peers := []net.Conn{s.peer(), s.peer(), s.peer()}
	now := time.Now()
	for i, c := range conns {
		l.Reuse(c)
		c.since = now.Add(-time.Duration(70-10*i) * time.Second) // 70, 60 and 50 s ago
	}
	b.Endpoint.Sweep(now.Add(-time.Minute))
	if b.Endpoint.Idle() != 3 {
		t.Error("one was ended before its time")
	}
	b.Endpoint.Sweep(now.Add(time.Millisecond))
	if n := b.Endpoint.Idle(); n != 1 || !ended(peers[0]) || !ended(peers[1]) {
		t.Errorf("%d left, want the youngest", n)
	}
	b.Endpoint.Sweep(now.Add(time.Hour))
	if n := b.Endpoint.Idle(); n != 0 {
		t.Errorf("%d left", n)
	}
	b.Endpoint.Sweep(now.Add(2 * time.Hour))
}

func TestCloseIdle(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	l.Reuse(c)
	b.Endpoint.CloseIdle()
	if !ended(s.peer()) || b.Endpoint.Idle() != 0 {
		t.Error("it is still open")
	}
}

// TestUnquietConnectionsAreNeverUsed: an idle connection that has something to read was ended, or holds an answer that
// nobody asked for, which would be taken for that to the next request.
func TestUnquietConnectionsAreNeverUsed(t *testing.T) {
	tests := map[string]func(net.Conn){
		"the server closed":      func(nc net.Conn) { nc.Close() },
		"the server half-closed": func(nc net.Conn) { nc.(interface{ CloseWrite() error }).CloseWrite() },
		"the server reset":       func(nc net.Conn) { resetOnClose(nc); nc.Close() },
		"an unasked answer":      func(nc net.Conn) { nc.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) },
		"a single byte":          func(nc net.Conn) { nc.Write([]byte{'\n'}) },
	}
	for reason, misbehave := range tests {
		for _, network := range []string{"tcp", "unix"} {
			s, b := listen(t, network)
			l := claim(t, b)
			old := connect(t, l)
			peer := s.peer()
			l.Reuse(old)
			misbehave(peer)
			waitFor(t, "it shows", func() bool { return !old.h1.Quiet() })
			for body, begin := range map[string]func(*Conn) error{"all of it": sendWhole, "to come": beginOnly} {
				err := begin(connect(t, l))
				if up, ok := err.(*Error); !ok || !up.Stale || up.Sent {
					t.Errorf("%s over %s, a body %s: it was used again: %+v", reason, network, body, err)
				}
				l.Reuse(old)
			}
			l.Discard(connect(t, l))
		}
	}
}

func sendWhole(c *Conn) error {
	c.Send(getHead(), nil, time.Second)
	return c.Receive(&message.Head{}, false, time.Second)
}

func beginOnly(c *Conn) error { return c.Begin(getHead(), time.Second) }

func resetOnClose(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come about", what)
		}
	}
}

func TestReuseAtAClosedGateCloses(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	b.Gate.Close()
	l.Reuse(c)
	if b.Endpoint.Idle() != 0 || !ended(s.peer()) {
		t.Error("a connection to a server that is about to go was kept")
	}
}

// TestNoIdleConnectionOutlivesAClosedGate: the gate closes and the idle connections are closed while others are given
// back. Whatever the order, none is left when the gate is empty.
func TestNoIdleConnectionOutlivesAClosedGate(t *testing.T) {
	for range 50 {
		_, b := listen(t, "tcp")
		l := claim(t, b)
		c := connect(t, l)
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Gate.Close()
			b.Endpoint.CloseIdle()
		}()
		l.Reuse(c)
		l.Release()
		<-done
		<-b.Gate.Empty()
		if n := b.Endpoint.Idle(); n != 0 {
			t.Fatalf("%d idle connections to a drained server", n)
		}
	}
}

func TestReuseWithBytesLeftCloses(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	peer := s.peer()
	peer.Write([]byte("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
	var h message.Head
	if err := c.Receive(&h, false, time.Second); err != nil {
		t.Fatal(err)
	}
	l.Reuse(c)
	if b.Endpoint.Idle() != 0 || !ended(peer) {
		t.Error("a connection with bytes left was kept")
	}
}
