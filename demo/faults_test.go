package demo

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// crook is a server that does one thing wrong. It gets the answer that would have been right, so that it can spoil it.
type crook func(c *net.TCPConn, right string, r *http.Request)

// serveCrook starts a server that speaks through do, once per request.
func serveCrook(t *testing.T, do crook) string {
	t.Helper()
	l := listen(t)
	honest := NewApp("blue")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveCrookConn(c.(*net.TCPConn), honest, do)
		}
	}()
	return l.Addr().String()
}

func serveCrookConn(c *net.TCPConn, honest *App, do crook) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		do(c, rightAnswer(honest, r), r)
	}
}

// rightAnswer is what the app says, as bytes; for an endless or an upgraded answer, its beginning.
func rightAnswer(app *App, r *http.Request) string {
	head := "HTTP/1.1 200 OK\r\nX-Release: blue\r\nX-Seen-Request-Id: " + r.Header.Get("X-Request-Id") + "\r\n"
	switch {
	case r.URL.Path == "/ws":
		return strings.Replace(head, "200 OK", "101 Switching Protocols", 1) +
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"
	case r.URL.Path == "/echo":
		return strings.Replace(head, "200 OK", "101 Switching Protocols", 1) + "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	case r.URL.Path == "/events":
		return head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(event(1, "blue")) + chunk(event(2, "blue"))
	}
	w := httptest.NewRecorder()
	app.Handler().ServeHTTP(w, r)
	body := w.Body.String()
	if r.URL.Query().Get("chunked") == "1" {
		head += "Transfer-Encoding: chunked\r\n\r\n"
		if r.Method == "HEAD" {
			return head
		}
		return head + chunk(body) + "0\r\n\r\n"
	}
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	if r.Method == "HEAD" {
		return head + length
	}
	return head + length + body
}

func chunk(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
}

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func say(parts ...string) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		for _, p := range parts {
			io.WriteString(c, strings.ReplaceAll(p, "RIGHT", right))
		}
		c.Close()
	}
}

// frameOf is a frame of a server: not masked.
func frameOf(op byte, payload string) string {
	return string([]byte{0x80 | op, byte(len(payload))}) + payload
}

// readMessage takes one frame of the client, and returns its opcode and payload unmasked.
func readMessage(c net.Conn) (byte, bool, []byte) {
	in := &wire{conn: c, in: bufio.NewReader(c), timeout: 5 * time.Second}
	var h [2]byte
	if _, err := io.ReadFull(in.in, h[:]); err != nil {
		return 0, false, nil
	}
	n, err := in.frameLength(h[1] & 0x7f)
	if err != nil {
		return 0, false, nil
	}
	p := make([]byte, 4+n)
	io.ReadFull(in.in, p)
	for i := range p[4:] {
		p[4+i] ^= p[i%4]
	}
	return h[0] & 0x0f, h[0]&0x80 != 0, p[4:]
}

// afterFirstMessage opens the WebSocket as it should be, awaits a message, and then misbehaves.
func afterFirstMessage(do func(c *net.TCPConn)) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, right)
		readMessage(c)
		do(c)
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
}

func shout(s string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { io.WriteString(c, s) }
}

func replace(old, with string) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, strings.Replace(right, old, with, 1))
		c.Close()
	}
}

// half sends the right answer without its last n bytes, then ends as told.
func half(n int, end func(*net.TCPConn)) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, right[:len(right)-n])
		end(c)
	}
}

func fin(c *net.TCPConn) { c.Close() }

func TestEachFaultIsNoticed(t *testing.T) {
	tests := []struct {
		reason string
		class  Class
		do     crook
		want   Kind // "" is any
		cut    bool
	}{
		{"closed before the answer", Slow, say(), Closed, false},
		{"reset before the answer", Slow, func(c *net.TCPConn, _ string, _ *http.Request) { reset(c) }, Reset, false},
		{"closed inside the head", Slow, say("HTTP/1.1 200 OK\r\nX-Rel"), Short, false},
		{"closed between head lines", Slow, say("HTTP/1.1 200 OK\r\n"), Short, false},
		{"no answer at all", Slow, func(*net.TCPConn, string, *http.Request) {}, Late, false},
		{"a head, and then no body", Slow, half(3, func(*net.TCPConn) {}), Late, false},
		{"502", Slow, say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops"), Status, false},
		{"503 to an upload, early", Upload, say("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), Status, false},
		{"404", Slow, say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), Status, false},
		{"a body cut by a FIN", Slow, half(1, fin), Short, false},
		{"a body cut by a reset", Slow, half(1, reset), Short, false},
		{"one wrong byte", Slow, replace("waited", "wAited"), Wrong, false},
		{"one wrong digit in a digest", Upload, replace(`"length":`, `"lemgth":`), Wrong, false},
		{"a whole but shorter body", Slow, replace("Content-Length: 14\r\n\r\nwaited 150 ms\n", "Content-Length: 13\r\n\r\nwaited 150 ms"), Short, false},
		{"a longer body", Slow, replace("14\r\n\r\nwaited 150 ms\n", "15\r\n\r\nwaited 150 ms\n\n"), Wrong, false},
		{"bytes after the answer", Slow, say("RIGHT\n"), Surplus, false},
		{"the answer twice", Slow, say("RIGHTRIGHT"), Surplus, false},
		{"the answer twice, the second before the close", Close, say("RIGHT", "RIGHT"), Surplus, false},
		{"no close after Connection: close was asked for", Close, func(c *net.TCPConn, right string, _ *http.Request) { io.WriteString(c, right) }, Late, false},
		{"reset instead of close", Close, func(c *net.TCPConn, right string, _ *http.Request) {
			io.WriteString(c, right)
			time.Sleep(400 * time.Millisecond) // the client shall have read it
			reset(c)
		}, Reset, false},
		{"an answer to somebody else", Slow, replace("X-Seen-Request-Id: ", "X-Seen-Request-Id: z"), Mixed, false},
		{"an answer of nobody", Slow, replace("X-Release: blue\r\n", ""), Mixed, false},
		{"a request carried out twice", Post, replace(`"count":1`, `"count":2`), Twice, false},
		{"no framing", Slow, replace("Content-Length: 14\r\n", ""), Illegal, false},
		{"two framings", Slow, replace("Content-Length", "Transfer-Encoding: chunked\r\nContent-Length"), Illegal, false},

		{"chunked without its end", Slow, chunkedSlow("e\r\nwaited 150 ms\n\r\n"), Short, false},
		{"chunked cut inside a chunk", Slow, chunkedSlow("e\r\nwaited"), Short, false},
		{"chunked cut inside the trailers", Slow, chunkedSlow("e\r\nwaited 150 ms\n\r\n0\r\n"), Short, false},
		{"chunked with a chunk too long", Slow, chunkedSlow("d\r\nwaited 150 ms\n\r\n0\r\n\r\n"), Illegal, false},
		{"chunked with no number", Slow, chunkedSlow("xyz\r\n"), Illegal, false},

		{"stream refused", Stream, say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), Status, false},
		{"stream ended well, but inside an event", Stream, say("RIGHT", chunk("id: 3\ndata:"), "0\r\n\r\n"), Short, false},
		{"stream cut inside an event", Stream, say("RIGHT", chunk("id: 3\ndata:")), Short, false},
		{"stream cut inside a chunk", Stream, say("RIGHT", "20\r\nid: 3"), Short, false},
		{"stream cut between two events", Stream, say("RIGHT"), Short, true},
		{"stream with an event left out", Stream, say("RIGHT", chunk(event(4, "blue"))), Wrong, false},
		{"stream with an event of another release", Stream, say("RIGHT", chunk(event(3, "gren"))), Wrong, false},
		{"stream told when to come back, and not ended", Stream, say("RIGHT", chunk("retry: 1500\n\n")), Short, false},
		{"stream told to come back at no time", Stream, say("RIGHT", chunk("retry: soon\n\n"), "0\r\n\r\n"), Short, false},
		{"stream told when to come back inside an event", Stream, say("RIGHT", chunk("id: 3\nretry: 1500\n\n"), "0\r\n\r\n"), Short, false},
		{"stream with an event twice", Stream, say("RIGHT", chunk(event(2, "blue"))), Wrong, false},

		{"websocket refused", WebSocket, say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), Status, false},
		{"websocket with a wrong proof", WebSocket, replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: A"), Illegal, false},
		{"websocket cut", WebSocket, afterFirstMessage(func(*net.TCPConn) {}), Closed, true},
		{"websocket reset", WebSocket, afterFirstMessage(reset), Reset, true},
		{"websocket cut inside a frame", WebSocket, afterFirstMessage(shout("\x82\x7e\x01")), Short, false},
		{"websocket cut between two fragments", WebSocket, fragmentThen(""), Short, false},
		{"websocket closed between two fragments", WebSocket, fragmentThen(frameOf(opClose, "\x03\xe9")), Short, false},
		{"websocket echo of something else", WebSocket, afterFirstMessage(shout(frameOf(opText, "gopher"))), "", false},
		{"websocket closed as an error", WebSocket, afterFirstMessage(shout(frameOf(opClose, "\x03\xf3oops"))), Status, false},
		{"websocket closed without a code", WebSocket, afterFirstMessage(shout(frameOf(opClose, ""))), Illegal, false},
		{"websocket bytes after the close", WebSocket, afterFirstMessage(shout(frameOf(opClose, "\x03\xe9") + "x")), Surplus, false},
		{"websocket masked by the server", WebSocket, afterFirstMessage(shout("\x81\x81aaaaa")), Illegal, false},

		{"tunnel refused", Tunnel, say("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"), Status, false},
		{"tunnel cut", Tunnel, say("RIGHT"), "", true}, // a reset, if our bytes were not read
		{"tunnel with a wrong byte", Tunnel, tunnelEcho(func(p []byte) []byte { p[0]++; return p }), Wrong, false},
		{"tunnel with a byte too many", Tunnel, tunnelEcho(func(p []byte) []byte { return append(p, 'x') }), "", false}, // wrong, if the burst came in pieces
		{"tunnel to another protocol", Tunnel, replace("Upgrade: echo", "Upgrade: echoes"), Illegal, false},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			checkFault(t, test.class, test.do, test.want, test.cut)
		})
	}
}

// checkFault runs one worker against the crook until something is lost.
func checkFault(t *testing.T, class Class, do crook, want Kind, cut bool) {
	timeout := 4 * time.Second // longer than a busy machine pauses, so that nothing else is mistaken for late
	if want == Late {
		timeout = 300 * time.Millisecond
	}
	traffic := start(t, Config{
		Address:     serveCrook(t, do),
		Workers:     map[Class]int{class: 1},
		Timeout:     timeout,
		Session:     func(Class, *rand.Rand) time.Duration { return 2 * time.Second },
		TolerateCut: []Class{},
	})
	eventually(t, "nothing was lost", func() bool { return len(traffic.Lost()) > 0 })
	r := traffic.Lost()[0]
	var f *Fault
	if !errors.As(r.Err, &f) {
		t.Fatalf("%T %v, want a *Fault", r.Err, r.Err)
	}
	if want != "" && f.Kind != want || r.Cut != cut || f.Cut != cut {
		t.Errorf("noticed as %q, cut %t; want %q, cut %t", f, r.Cut, want, cut)
	}
	if r.RequestID == "" || r.Class != class || r.Ended.Before(r.Began) {
		t.Errorf("the result tells too little: %+v", r)
	}
}

func chunkedSlow(body string) crook {
	return replace("Content-Length: 14\r\n\r\nwaited 150 ms\n", "Transfer-Encoding: chunked\r\n\r\n"+body)
}

// fragmentThen echoes one half of the first message, as a fragment, and then says something else.
func fragmentThen(then string) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, right)
		op, _, p := readMessage(c)
		first := appendFrame(nil, op, false, p[:0], rand.New(rand.NewPCG(1, 1)))[:2]
		first[1] &= 0x7f
		io.WriteString(c, string(first)+then)
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
}

func tunnelEcho(spoil func([]byte) []byte) crook {
	return func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, right)
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			c.Write(spoil(buf[:n:n]))
		}
	}
}

// TestCrossingCloseIsLost: a server that closes a kept connection just as the next request arrives has lost it, and no
// strict client may look away.
func TestCrossingCloseIsLost(t *testing.T) {
	first := true
	do := func(c *net.TCPConn, right string, r *http.Request) {
		if first {
			io.WriteString(c, right)
			first = false
			return
		}
		c.Close()
	}
	traffic := start(t, Config{
		Address: serveCrook(t, do),
		Workers: map[Class]int{Get: 1},
		Think:   func(Class, int, *rand.Rand) time.Duration { return 0 },
	})
	eventually(t, "nothing was lost", func() bool { return len(traffic.Lost()) > 0 })
	if n := traffic.Count().Classes[Get]; n.Done != 1 || n.Reopened != 0 {
		t.Errorf("%+v; want one done, and the crossing not forgiven as an idle close", n)
	}
}

func TestBytesOnAnIdleConnection(t *testing.T) {
	do := func(c *net.TCPConn, right string, r *http.Request) {
		io.WriteString(c, right)
		time.Sleep(50 * time.Millisecond)
		io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
	}
	traffic := start(t, Config{
		Address: serveCrook(t, do),
		Workers: map[Class]int{Get: 1},
		Think:   func(Class, int, *rand.Rand) time.Duration { return time.Hour },
	})
	eventually(t, "nothing was lost", func() bool { return len(traffic.Lost()) > 0 })
	var f *Fault
	if errors.As(traffic.Lost()[0].Err, &f); f.Kind != Surplus {
		t.Errorf("noticed as %v", f)
	}
}

func TestRefusedConnection(t *testing.T) {
	l := listen(t)
	l.Close()
	traffic := start(t, Config{Address: l.Addr().String(), Workers: everyClass()})
	eventually(t, "each class notices", func() bool {
		for _, n := range traffic.Count().Classes {
			if n.Lost == 0 {
				return false
			}
		}
		return true
	})
	for _, r := range traffic.Lost() {
		var f *Fault
		if !errors.As(r.Err, &f) || f.Kind != Refused {
			t.Errorf("%s noticed as %v", r.Class, r.Err)
		}
	}
}

func TestLostIsBounded(t *testing.T) {
	y := newTally(time.Now())
	traffic := &Traffic{cfg: Config{Workers: map[Class]int{Get: 1}}, tally: y}
	for range 3 * maxLost {
		traffic.opened(Get)
		traffic.settle(Result{Class: Get, Err: faultf(Closed, "x")})
	}
	if n := traffic.Count().Classes[Get]; n.Lost != 3*maxLost || len(traffic.Lost()) != maxLost {
		t.Errorf("counted %d, kept %d; want %d and %d", n.Lost, len(traffic.Lost()), 3*maxLost, maxLost)
	}
}

// TestGoodEnds: what a proxy does right at the end of a drain is no loss.
func TestGoodEnds(t *testing.T) {
	tests := []struct {
		reason string
		class  Class
		do     crook
		check  func(Count) bool
	}{
		{"stream ended with word of when to come back", Stream, say("RIGHT", chunk("retry: 1500\n\n"), "0\r\n\r\n"), func(n Count) bool { return n.Ended > 0 }},
		{"stream ended at an event", Stream, say("RIGHT", "0\r\n\r\n"), func(n Count) bool { return n.Ended > 0 }},
		{"websocket going away", WebSocket, afterFirstMessage(shout(frameOf(opClose, "\x03\xe9bye"))), func(n Count) bool { return n.Ended > 0 }},
		{"websocket restarting", WebSocket, afterFirstMessage(shout(frameOf(opClose, "\x03\xf4"))), func(n Count) bool { return n.Ended > 0 }},
		{"websocket pinged first", WebSocket, afterFirstMessage(shout(frameOf(opPing, "hi") + frameOf(opPong, "") + frameOf(opClose, "\x03\xe9"))),
			func(n Count) bool { return n.Ended > 0 }},
		{"websocket cut, which is policy", WebSocket, afterFirstMessage(func(*net.TCPConn) {}), func(n Count) bool { return n.Cut > 0 }},
		{"tunnel cut, which is policy", Tunnel, say("RIGHT"), func(n Count) bool { return n.Cut > 0 }},
		{"interim answers first", Slow, say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", "RIGHT"),
			func(n Count) bool { return n.Reopened > 0 }},
		{"trailers and extensions", Slow, chunkedSlow("00e;a=b\r\nwaited 150 ms\n\r\n0\r\nDigest: x\r\n\r\n"), func(n Count) bool { return n.Done > 0 }},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel()
			traffic := start(t, Config{
				Address: serveCrook(t, test.do),
				Workers: map[Class]int{test.class: 1},
				Think:   func(Class, int, *rand.Rand) time.Duration { return time.Second },
			})
			eventually(t, "it never ended well", func() bool { return test.check(traffic.Count().Classes[test.class]) || len(traffic.Lost()) > 0 })
			for _, r := range traffic.Lost() {
				t.Errorf("lost: %v", r.Err)
			}
		})
	}
}

func TestOnResultHearsOfAll(t *testing.T) {
	heard := make(chan Result, 1000)
	traffic := start(t, Config{
		Address:  serve(t, NewApp("blue"), listen(t)),
		Workers:  map[Class]int{Slow: 2},
		OnResult: func(r Result) { heard <- r },
	})
	r := <-heard
	n := traffic.Stop().Classes[Slow].Done
	if got := 1 + len(heard); got != n {
		t.Errorf("heard of %d, counted %d", got, n)
	}
	if r.Release != "blue" || r.Bytes != 14 || r.Err != nil || r.Ended.Sub(r.Began) < 150*time.Millisecond {
		t.Errorf("%+v", r)
	}
}

func TestFaultTellsWhatTheNetworkSaid(t *testing.T) {
	f := netFault(io.ErrUnexpectedEOF, Short, "after %s", hex.EncodeToString([]byte{1}))
	if f.Error() != "short: after 01: unexpected EOF" || !errors.Is(f, io.ErrUnexpectedEOF) {
		t.Errorf("%v", f)
	}
}
