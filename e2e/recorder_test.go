package e2e

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
)

// recorder is a backend that keeps each message it receives, told apart by the client it is from: clients use a source
// address each, and X-Forwarded-For, which they cannot forge, names it. What it reads that is not in the one form that
// Sluice may write is a problem.
type recorder struct {
	address string

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	arrived  map[string][]arrival
	serial   int
	problems []string
}

// arrival is a message with the number that its answer carries.
type arrival struct {
	*wireMessage
	serial int
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: l.Addr().String(), arrived: map[string][]arrival{}, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { l.Close(); r.hangUp() })
	go r.accept(l)
	return r
}

func (r *recorder) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns[nc] = struct{}{}
		r.mu.Unlock()
		go r.serve(nc)
	}
}

func (r *recorder) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for nc := range r.conns {
		nc.Close()
	}
}

func (r *recorder) serve(nc net.Conn) {
	defer nc.Close()
	var have []byte
	for block := make([]byte, 64<<10); ; {
		n, err := nc.Read(block)
		have = append(have, block[:n]...)
		var broken bool
		have, broken = r.take(nc, have)
		if broken {
			return
		}
		if err != nil {
			r.left(have)
			r.mu.Lock()
			delete(r.conns, nc)
			r.mu.Unlock()
			return
		}
	}
}

// take answers the requests that are whole.
func (r *recorder) take(nc net.Conn, have []byte) (rest []byte, broken bool) {
	for len(have) > 0 {
		m, rest, err := readWireRequest(have)
		if errors.Is(err, errShort) {
			return have, false
		}
		if err != nil {
			r.problem("%v in %q", err, have)
			return nil, true
		}
		m.raw = have[:len(have)-len(rest)]
		nc.Write(r.record(m))
		have = append([]byte(nil), rest...)
	}
	return have, false
}

// left records what a connection ended within.
func (r *recorder) left(have []byte) {
	if len(have) == 0 {
		return
	}
	m, _, err := readWireRequest(have)
	if m.first == "" || !errors.Is(err, errShort) {
		r.problem("a connection ended behind %q", have)
		return
	}
	r.record(m)
}

func (r *recorder) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// record keeps a message and returns the answer to it.
func (r *recorder) record(m *wireMessage) (answer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	from := m.get("X-Forwarded-For")
	r.arrived[from] = append(r.arrived[from], arrival{m, r.serial})
	body := fmt.Sprintf("%d for %s: %s\n", r.serial, from, m.first)
	answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Serial: %d\r\nX-For: %s\r\nContent-Length: %d\r\n\r\n", r.serial, from, len(body))
	if m.method() != "HEAD" {
		answer = append(answer, body...)
	}
	return answer
}

// of takes what has arrived from a client.
func (r *recorder) of(client string) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.arrived[client]
	delete(r.arrived, client)
	return got
}
