package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// talker is a backend that answers each request with the same bytes, and then says no more.
func talker(t *testing.T, answer string) *upstream.Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
					io.WriteString(nc, answer)
					io.Copy(io.Discard, nc)
				}
			}()
		}
	}()
	return backendAt(l.Addr().String())
}

// download is how much of a body a client got, and how that ended.
type download struct {
	body string
	err  error
}

// download reads a response by the letter, while it comes.
func (s *setup) download(minor int, begun chan<- struct{}) download {
	if s.h2 {
		res, err := s.client.Get(s.url + "/")
		if err != nil {
			return download{err: err}
		}
		defer res.Body.Close()
		return drained(res.Body, begun)
	}
	nc := s.dial()
	defer nc.Close()
	fmt.Fprintf(nc, "GET / HTTP/1.%d\r\nHost: %s\r\n\r\n", minor, s.addr)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return download{err: err}
	}
	return drained(res.Body, begun)
}

func drained(r io.Reader, begun chan<- struct{}) (d download) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		d.body += string(buf[:n])
		if n > 0 && begun != nil {
			close(begun)
			begun = nil
		}
		if err == io.EOF {
			return d
		}
		if err != nil {
			d.err = err
			return d
		}
	}
}

// overEachVersion runs a check over each protocol, and over HTTP/1.0 with and without TLS.
func overEachVersion(t *testing.T, answer string, check func(s *setup, d download, rep drain.Report)) {
	for _, p := range protocols {
		for minor := range 2 {
			if p.h2 && minor == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s minor %d", p.name, minor), func(t *testing.T) {
				t.Parallel()
				s := newSetup(t, p, func(http.ResponseWriter, *http.Request) {})
				d, rep := s.cutWhileItComes(minor, answer)
				check(s, d, rep)
			})
		}
	}
}

func (s *setup) cutWhileItComes(minor int, answer string) (download, drain.Report) {
	b := talker(s.t, answer)
	s.route(b)
	begun, got := make(chan struct{}), make(chan download, 1)
	go func() { got <- s.download(minor, begun) }()
	select {
	case <-begun:
	case <-time.After(8 * time.Second):
		s.t.Fatal("no answer came")
	}
	rep := drain.Run(context.Background(), drain.Job{
		Gates: []*drain.Gate{b.Gate}, Inside: func() []drain.Item { return s.proxy.Ledger.Inside(b.Gate) },
	})
	return <-got, rep
}

// TestCutDownloadIsNeverMadeToLookWhole: whatever tells a body's end (a length, a last chunk, a close, END_STREAM) does not
// come, over any protocol. Under TLS a close without close_notify, or a reset below it, tells a body that ends with the
// connection from one that was cut (RFC 9112 §9.8).
func TestCutDownloadIsNeverMadeToLookWhole(t *testing.T) {
	part := strings.Repeat("x", 4000)
	for name, answer := range map[string]string{
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + part,
		"length, a pipe":  "HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n" + strings.Repeat(part, 200),
		"chunked":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfa0\r\n" + part + "\r\n",
		"inside a chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + part,
		"until the close": "HTTP/1.1 200 OK\r\n\r\n" + part,
		"packed events":   "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n" + part + "\n\n",
		"half an event":   "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\ndata: y\n",
		"counted events":  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\ndata: x\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			overEachVersion(t, answer, func(s *setup, d download, rep drain.Report) {
				_, sent, _ := strings.Cut(answer, "\r\n\r\n")
				if d.err == nil {
					s.t.Errorf("%d bytes looked like a whole body", len(d.body))
				}
				if strings.Contains(d.body, "retry:") || strings.Trim(d.body, "x") != "" && !strings.Contains(sent, d.body) {
					s.t.Errorf("something was put in: %q", d.body[max(0, len(d.body)-100):])
				}
				if rep.Cut != 1 || rep.Left != 0 {
					s.t.Errorf("%s", rep)
				}
			})
		})
	}
}

// TestCutEventStreamEndsWhole over any protocol, with word of when to come back.
func TestCutEventStreamEndsWhole(t *testing.T) {
	for name, answer := range map[string]string{
		"chunked":         "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
		"until the close": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			overEachVersion(t, answer, func(s *setup, d download, rep drain.Report) {
				var wait int
				if n, _ := fmt.Sscanf(d.body, "data: x\n\nretry: %d\n\n", &wait); n != 1 || !strings.HasSuffix(d.body, "\n\n") || wait < 1000 || wait > 2000 {
					s.t.Errorf("%q", d.body)
				}
				if d.err != nil || rep.Classes[drain.Stream].Cut != 1 {
					s.t.Errorf("%v, %s", d.err, rep)
				}
			})
		})
	}
}

// TestExitEndsOneByOne: Sluice's own exit paces too, and tells each WebSocket.
func TestExitEndsOneByOne(t *testing.T) {
	const clients, deadline = 30, 1500 * time.Millisecond
	s := newSetup(t, protocols[0], func(http.ResponseWriter, *http.Request) {})
	s.route(talker(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	ends := make(chan time.Time, clients)
	for range clients {
		nc := s.dial()
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		br := bufio.NewReader(nc)
		if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
			t.Fatal(res, err)
		}
		go func() {
			told := make([]byte, 4)
			io.ReadFull(br, told)
			ends <- time.Now()
			if string(told) != "\x88\x02\x03\xe9" {
				t.Errorf("told %x", told)
			}
			nc.Close()
		}()
	}
	began := time.Now()
	rep := s.front.Drain(context.Background(), 0, drain.Policy{Timeout: time.Minute, Stream: time.Minute, WebSocket: deadline})
	var first, last time.Duration
	for i := range clients {
		at := (<-ends).Sub(began)
		if last = at; i == 0 {
			first = at
		}
	}
	// At ease they are 40 ms apart, and the last is ended at the deadline.
	if want := (clients - 1) * 40 * time.Millisecond; last-first < want-200*time.Millisecond || last > deadline+500*time.Millisecond {
		t.Errorf("ended from %s to %s", first, last)
	}
	if rep.Classes[drain.WebSocket].Cut != clients || rep.Found != clients {
		t.Errorf("%s", rep)
	}
}
