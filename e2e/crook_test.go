package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/attacks"
	"sluice/internal/strictread"
)

// crook is a backend that answers /crooked/N with mutation number N of the table of responses, and everything else as an
// honest one does. It watches that no connection is used again on which it has been unclean.
type crook struct {
	address string
	wires   *wires
	seed    uint64

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	problems []string
}

func startCrook(t *testing.T, seed uint64) *crook {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &crook{address: l.Addr().String(), wires: responseWires(), seed: seed, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { l.Close(); c.hangUp() })
	go c.accept(l)
	return c
}

func responseWires() *wires {
	w := new(wires)
	for i := range attacks.Responses {
		r := &attacks.Responses[i]
		w.add(r.Wire, !r.Refused)
	}
	return w
}

// answer is the mutation of a number, with a field that names it: whatever else two answers have in common, their clients
// can tell them apart.
func (c *crook) answer(n uint64) mutant {
	m := c.wires.mutate(c.seed, n)
	first, rest, ok := bytes.Cut(m.wire, []byte("\r\n"))
	if ok {
		m.wire = fmt.Appendf(nil, "%s\r\nX-Tag: %d\r\n%s", first, n, rest)
	}
	return m
}

func (c *crook) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.conns[nc] = struct{}{}
		c.mu.Unlock()
		go c.serve(nc)
	}
}

func (c *crook) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for nc := range c.conns {
		nc.Close()
	}
}

func (c *crook) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// serve answers until it has been unclean, and then only looks on: the one thing that may come is the end.
func (c *crook) serve(nc net.Conn) {
	defer func() {
		nc.Close()
		c.mu.Lock()
		delete(c.conns, nc)
		c.mu.Unlock()
	}()
	var unclean []byte
	var have []byte
	for block := make([]byte, 64<<10); ; {
		n, err := nc.Read(block)
		if unclean != nil && n > 0 {
			c.problem("%q came on a connection behind the answer %q", block[:n], shortened(unclean))
			return
		}
		if err != nil {
			if errors.Is(err, errTimeout) {
				c.problem("the connection was kept behind the answer %q", shortened(unclean))
			}
			return
		}
		if have = append(have, block[:n]...); unclean != nil {
			continue
		}
		m, rest, err := readWireRequest(have)
		if errors.Is(err, errShort) {
			continue
		}
		if err != nil || len(rest) > 0 {
			c.problem("%v, %q behind it, in %q", err, rest, have)
			return
		}
		have = nil
		if unclean = c.say(nc, m); unclean != nil {
			nc.SetReadDeadline(time.Now().Add(uncleanFor))
		}
	}
}

// uncleanFor is longer than Sluice waits for anything in this test.
const uncleanFor = 5 * time.Second

// say answers a request, and returns what it said if the connection must not be used again.
func (c *crook) say(nc net.Conn, m *wireMessage) (unclean []byte) {
	number, crooked := strings.CutPrefix(m.target(), "/crooked/")
	if !crooked {
		from := m.get("X-Forwarded-For")
		body := fmt.Sprintf("for %s: %s\n", from, m.first)
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nX-For: %s\r\nContent-Length: %d\r\n\r\n%s", from, len(body), body)
		return nil
	}
	var n uint64
	fmt.Sscan(number, &n)
	a := c.answer(n)
	r := readAnswer(a.wire, m.method())
	if r.final != nil && !r.clean {
		a.cuts = nil // what stands behind an answer has to be there with it: later it is too late for anyone to see
	}
	a.send(nc)
	if r.clean {
		return nil
	}
	if r.final == nil || r.final.UntilClose {
		nc.(*net.TCPConn).CloseWrite()
	}
	return append(a.wire, "."...)
}

// strictAnswer is what the strict reader makes of what a backend sent.
type strictAnswer struct {
	interim []*strictread.Response
	final   *strictread.Response // nil: none that is whole and well-formed
	clean   bool                 // the connection may be used again
}

func readAnswer(wire []byte, method string) (a strictAnswer) {
	for {
		r, rest, err := strictread.ReadResponse(wire, method)
		if err != nil {
			return a
		}
		if r.Status >= 200 || r.Status == 101 {
			a.final, a.clean = r, len(rest) == 0 && !r.Close && !r.UntilClose && r.Status != 101
			return a
		}
		a.interim, wire = append(a.interim, r), rest
	}
}
