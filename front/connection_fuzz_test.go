package front

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/http1"
	"sluice/internal/attacks"
	"sluice/internal/strictread"
	"sluice/message"
	"sluice/proxy"
	"sluice/upstream"
)

// recorder is a backend that reads by the letter and keeps what came. Each whole request is answered.
type recorder struct {
	net.Listener
	mu        sync.Mutex
	whole     []*strictread.Request
	malformed []string
	half      map[net.Conn]bool // a request has begun there
}

func newRecorder(t testing.TB) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, half: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(nc)
		}
	}()
	return r
}

func (r *recorder) serve(nc net.Conn) {
	defer nc.Close()
	defer r.note(nc, nil)
	var got []byte
	for buf := make([]byte, 64<<10); ; {
		n, err := nc.Read(buf)
		got = append(got, buf[:n]...)
		if got = r.take(nc, got); err != nil || got == nil {
			return
		}
		r.note(nc, got)
	}
}

func (r *recorder) note(nc net.Conn, got []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.half, nc)
	if len(got) > 0 {
		r.half[nc] = true
	}
}

// take answers the whole requests that are here. It returns what is left, or nil when that can be no request.
func (r *recorder) take(nc net.Conn, got []byte) []byte {
	for {
		q, rest, err := strictread.ReadRequest(got)
		r.mu.Lock()
		switch {
		case err == nil:
			r.whole = append(r.whole, q)
		case !errors.Is(err, strictread.ErrIncomplete):
			r.malformed = append(r.malformed, fmt.Sprintf("%v: %q", err, got))
		}
		r.mu.Unlock()
		switch {
		case errors.Is(err, strictread.ErrIncomplete):
			return append([]byte{}, got...)
		case err != nil:
			return nil
		}
		got = rest
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nFrom: backend\r\nContent-Length: 0\r\n\r\n")
	}
}

// since returns what came since the call before. A request that has begun is given up by then, or becomes whole.
func (r *recorder) since(t *testing.T) (whole []*strictread.Request) {
	t.Helper()
	for end := time.Now().Add(8 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		settled := len(r.half) == 0
		if settled || time.Now().After(end) {
			break
		}
		r.mu.Unlock()
	}
	defer r.mu.Unlock()
	if len(r.half) > 0 {
		t.Error("a request that went wrong was left open at the backend")
	}
	for _, m := range r.malformed {
		t.Errorf("the backend was sent %s", m)
	}
	whole, r.whole, r.malformed = r.whole, nil, nil
	return whole
}

// newJudged is a front before a recorder.
func newJudged(t testing.TB) (address string, r *recorder) {
	r = newRecorder(t)
	return newFrontBefore(t, r.Addr().String()), r
}

// newFrontBefore is a front for plain HTTP/1.1 before one backend.
func newFrontBefore(t testing.TB, backend string) (address string) {
	p := proxy.New(proxy.Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 5 * time.Second}, nil)
	snapshot, err := proxy.NewSnapshot(1, []*proxy.Service{{
		Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{backendAt(backend)}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.Swap(snapshot)
	s := New(Options{Proxy: p, Timeouts: Timeouts{Idle: 10 * time.Second, Head: 5 * time.Second}})
	t.Cleanup(s.Close)
	addr, err := s.Listen("http", "tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// memory is a connection from which some bytes can be read, and their end.
type memory struct {
	net.Conn
	*bytes.Reader
}

func (m memory) Read(p []byte) (int, error)       { return m.Reader.Read(p) }
func (memory) SetReadDeadline(_ time.Time) error  { return nil }
func (memory) SetWriteDeadline(_ time.Time) error { return nil }

// accepted returns the methods of the requests that Sluice's reader accepts as whole, and of one that goes wrong behind
// them.
func accepted(data []byte) (methods []string, begun string) {
	c := http1.NewConn(memory{Reader: bytes.NewReader(data)}, &http1.DefaultLimits)
	defer c.Release()
	for {
		var h message.Head
		if c.ReadRequest(&h, http1.Waits{}) != nil {
			return methods, string(h.Method)
		}
		method, last := string(h.Method), h.Close
		for !c.BodyDone() {
			if _, err := c.Next(); err != nil && err != io.EOF {
				return methods, method
			}
		}
		if methods = append(methods, method); last {
			return methods, "GET"
		}
	}
}

// write sends data in pieces, each a segment of its own as far as the socket lets it be. 0: at once.
func write(nc net.Conn, data []byte, step int) {
	for step = max(step, 0); step > 0 && len(data) > step; data = data[step:] {
		if _, err := nc.Write(data[:step]); err != nil {
			return
		}
	}
	nc.Write(data)
}

// talk sends data and returns all that comes back. The client ends its side when it has its answers.
func talk(t *testing.T, address string, data []byte, step int, methods []string) (back []byte) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() { write(nc, data, step); close(sent) }()
	defer func() { <-sent }()
	ended := false
	for buf := make([]byte, 64<<10); ; {
		if finals, _ := answers(back, methods); !ended && len(finals) >= len(methods) {
			ended = true
			<-sent
			nc.(*net.TCPConn).CloseWrite()
		}
		n, err := nc.Read(buf)
		back = append(back, buf[:n]...)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Fatalf("%q: no end after %q", data, back)
		}
		if err != nil {
			return back
		}
	}
}

// answers reads the final responses to so many requests.
func answers(back []byte, methods []string) (finals []*strictread.Response, rest []byte) {
	for len(finals) < len(methods) {
		r, rest, err := strictread.ReadResponse(back, methods[len(finals)])
		if err != nil {
			return finals, back
		}
		if back = rest; r.Status >= 200 {
			finals = append(finals, r)
		}
	}
	return finals, back
}

// FuzzConnection sends any bytes to a real front before a backend that reads by the letter: the backend must be sent one
// request, the same, where one was accepted and passed on, none otherwise, and never what is malformed.
func FuzzConnection(f *testing.F) {
	for _, row := range attacks.Requests {
		if len(row.Wire) <= 4<<10 {
			f.Add([]byte(row.Wire))
		}
	}
	address, backend := newJudged(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= 32<<10 {
			judgeConnection(t, address, backend, data, 0)
		}
	})
}

var mutations = flag.Int("mutations", 2000, "how many mutations of the attack table to send")

// Mutations of the table go where the fuzzer seldom comes.
func TestMutationsThroughTheFront(t *testing.T) {
	address, backend := newJudged(t)
	rnd := rand.New(rand.NewPCG(3, uint64(*mutations)))
	for range *mutations {
		row, other := attacks.Requests[rnd.IntN(len(attacks.Requests))], attacks.Requests[rnd.IntN(len(attacks.Requests))]
		if len(row.Wire) < 4<<10 && len(other.Wire) < 4<<10 {
			judgeConnection(t, address, backend, []byte(attacks.Mutate(rnd, row.Wire, other.Wire)), 0)
		}
	}
}

// judgeConnection returns the refusal behind the answers, where there is one.
func judgeConnection(t *testing.T, address string, backend *recorder, data []byte, step int) (refusal *strictread.Response) {
	t.Helper()
	methods, begun := accepted(data)
	back := talk(t, address, data, step, methods)
	came := backend.since(t)
	finals, rest := answers(back, methods)
	refusals, rest := answers(rest, []string{begun})
	if len(rest) > 0 {
		t.Fatalf("%q\nwas answered with %q, of which %q is left", data, back, rest)
	}
	if len(refusals) > 0 {
		refusal = refusals[0]
	}
	samePassedOn(t, data, finals, came)
	return refusal
}

// Each row of the table is told its verdict, whatever the segments it comes in.
func TestAttackingRequestsThroughTheFront(t *testing.T) {
	address, backend := newJudged(t)
	for _, row := range attacks.Requests {
		for _, step := range []int{0, 1, 7} {
			if step > 0 && len(row.Wire) > 400 {
				continue
			}
			refusal := judgeConnection(t, address, backend, []byte(row.Wire), step)
			switch {
			case row.Status == 0 && refusal == nil:
			case row.Begun != "" && (refusal == nil || refusal.Close): // it may have been passed on in part
			case refusal == nil || refusal.Status != row.Status || !refusal.Close:
				t.Errorf("%s, in steps of %d: %+v, want status %d", row.Name, step, refusal, row.Status)
			}
		}
	}
}

// samePassedOn holds each answer of the backend to the request that it answers.
func samePassedOn(t *testing.T, data []byte, finals []*strictread.Response, came []*strictread.Request) {
	t.Helper()
	rest := data
	for _, final := range finals {
		q, after, err := strictread.ReadRequest(rest)
		if err != nil {
			t.Fatalf("%q\nwas answered, but by the letter: %v", data, err)
		}
		if rest = after; final.Values("From") == nil {
			continue
		}
		if len(came) == 0 {
			t.Fatalf("%q\nwas answered more often than the backend was asked", data)
		}
		if got, want := inShort(came[0]), inShort(canonical(q, came[0])); got != want {
			t.Errorf("%q\nreached the backend as\n%s\nwant\n%s", data, got, want)
		}
		ownFields(t, came[0])
		came = came[1:]
	}
	for _, q := range came {
		t.Errorf("%q\nbrought the backend an extra %s", data, inShort(q))
	}
}

// canonical is a request in the form that is routed on and forwarded. Sluice names the host where an HTTP/1.0 client named
// none.
func canonical(q, came *strictread.Request) *strictread.Request {
	form := *q
	if path, clarity := message.Canonical([]byte(q.Path)); clarity != message.Malformed {
		form.Path = string(path)
	}
	form.Host = string(message.CanonicalAuthority([]byte(q.Host)))
	if q.Host == "" && q.Minor == 0 {
		form.Host = came.Host
	}
	return &form
}

func inShort(q *strictread.Request) string {
	return fmt.Sprintf("%s %s @%s %q", q.Method, q.Path, q.Host, q.Body)
}

// ownFields holds what belongs to one connection (RFC 9110 §7.6.1).
func ownFields(t *testing.T, q *strictread.Request) {
	t.Helper()
	for _, f := range slices.Concat(q.Fields, q.Trailers) {
		switch strings.ToLower(f.Name) {
		case "keep-alive", "proxy-connection", "expect", "http2-settings":
			t.Errorf("%s was passed on", f.Name)
		case "connection":
			if f.Value != "upgrade" && f.Value != "TE" {
				t.Errorf("Connection: %s was passed on", f.Value)
			}
		}
	}
}
