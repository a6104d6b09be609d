package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/drain"
)

const (
	post = "POST /up HTTP/1.1\r\nHost: x\r\n"
	long = "Content-Length: 100000\r\n\r\n"
)

// enough of a long body to claim a backend for it, and the rest of it.
var (
	enough = strings.Repeat("x", 64<<10)
	rest   = strings.Repeat("y", 100000-64<<10)
	chunk  = "10000\r\n" + enough + "\r\n"
)

func TestBodiesArriveWhole(t *testing.T) {
	tests := []struct{ reason, head, body, line, arrives string }{
		{"with the head", "Content-Length: 5\r\n\r\n", "hello", "Content-Length: 5", "hello"},
		{"of no bytes", "Content-Length: 0\r\n\r\n", "", "Content-Length: 0", ""},
		{"long", "Content-Length: 200000\r\n\r\n", strings.Repeat("x", 200000), "Content-Length: 200000", strings.Repeat("x", 200000)},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Content-Length: 5", "abcde"},
		{"of no chunks", "Transfer-Encoding: chunked\r\n\r\n", last, "Content-Length: 0", ""},
		{"in long chunks", "Transfer-Encoding: chunked\r\n\r\n", chunk + "1\r\nz\r\n" + last, "Transfer-Encoding: chunked", chunk + "1\r\nz\r\n" + last},
		{"with trailers", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n", "3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nAuthorization: x\r\n\r\n", "Trailer: X-Sum", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.dial()
		var b *peer
		for i := range 3 { // each time on the same two connections
			c.send(post, test.head)
			if test.reason != "with the head" {
				time.Sleep(time.Millisecond)
			}
			go c.Write([]byte(test.body))
			if i == 0 {
				b = w.origins[0].conn()
			}
			b.has("POST /up HTTP/1.1", test.line)
			b.expect(test.arrives)
			b.send(ok0)
			if head := c.has("HTTP/1.1 200"); strings.Contains(head, "Connection: close") {
				t.Errorf("%s: the client was told to go\n%s", test.reason, head)
			}
			if o := w.over(); o.Err != nil || o.Retries != 0 {
				t.Errorf("%s: %+v", test.reason, o)
			}
		}
		w.origins[0].unused()
	}
}

// TestEarlyAnswerReachesTheUploader: a 413 in the middle of an upload. The client gets it, is told that the connection
// ends, and the rest of the body goes nowhere.
func TestEarlyAnswerReachesTheUploader(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, long, enough)
	b := w.origins[0].conn()
	b.head()
	b.expect(enough)
	b.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
	c.has("HTTP/1.1 413", "Connection: close")
	c.expect("too much")
	c.closeWrite()
	c.ends()
	b.rest()
	if o := w.over(); o.Status != 413 || o.Err != nil || o.Lost {
		t.Errorf("%+v", o)
	}
	if w.origins[0].Endpoint.Idle() != 0 {
		t.Error("a connection in the middle of a request was kept")
	}
}

// TestAnswerBesideTheUpload: both bodies run at the same time, and both come to their end.
func TestAnswerBesideTheUpload(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, "Transfer-Encoding: chunked\r\n\r\n", chunk)
	b := w.origins[0].conn()
	b.head()
	b.expect(chunk)
	b.send(ok, "Transfer-Encoding: chunked\r\n\r\n")
	c.has("HTTP/1.1 200")
	for i := range 5 {
		piece := fmt.Sprintf("1\r\n%d\r\n", i)
		c.send(piece)
		b.expect(piece)
		b.send(piece)
		c.expect(piece)
	}
	c.send(last)
	b.expect(last)
	b.send(last)
	c.expect(last)
	if o := w.over(); o.Err != nil || o.BytesIn != 64<<10+5 || o.BytesOut != 5 {
		t.Errorf("%+v", o)
	}
}

// TestBackendThatLeavesAnUpload is the backend's fault, though the client was the one who was still sending.
func TestBackendThatLeavesAnUpload(t *testing.T) {
	for name, leave := range map[string]func(*peer){"closed": func(b *peer) { b.Close() }, "reset": (*peer).reset} {
		w := newWorld(t, 2, generous)
		c := w.ask(post, long, enough)
		b := w.origins[0].conn()
		b.head()
		b.expect(enough)
		leave(b)
		c.has("HTTP/1.1 502", "Connection: close")
		if o := w.over(); o.Err.Fault != ByBackend || o.Retries != 0 {
			t.Errorf("%s: %+v", name, o)
		}
		w.origins[1].unused()
	}
}

func TestClientThatLeavesItsUpload(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, long, enough)
	b := w.origins[0].conn()
	b.head()
	b.expect(enough)
	c.Close()
	if text, _ := b.rest(); text != "" {
		t.Errorf("the backend got %q more", text)
	}
	if o := w.over(); o.Status != 400 || o.Err.Fault != ByClient || o.Lost {
		t.Errorf("%+v", o)
	}
}

func TestMalformedUpload(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, "Transfer-Encoding: chunked\r\n\r\n", chunk)
	b := w.origins[0].conn()
	b.head()
	b.expect(chunk)
	c.send("zz\r\n")
	c.has("HTTP/1.1 400", "Connection: close")
	if text, _ := b.rest(); strings.Contains(text, last) {
		t.Error("the backend saw a whole request")
	}
}

func TestUploadThatStopsIsA408(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: time.Second, Body: 80 * time.Millisecond, Write: time.Second})
	for _, begun := range []string{"", "half", enough} {
		c := w.ask(post, long, begun)
		c.has("HTTP/1.1 408", "Connection: close")
		if o := w.over(); o.Err.Fault != ByClient {
			t.Errorf("%+v", o)
		}
	}
}

// TestSlowUploadIsNoSlowAnswer: the time for the response begins when the body has been sent.
func TestSlowUploadIsNoSlowAnswer(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: 150 * time.Millisecond, Body: 5 * time.Second, Write: 5 * time.Second})
	c := w.dial()
	var b *peer
	for i := range 2 { // the second time the connection has a deadline of the first behind it
		c.send(post, "Content-Length: 65540\r\n\r\n", enough)
		if i == 0 {
			b = w.origins[0].conn()
		}
		b.head()
		b.expect(enough)
		for _, piece := range []string{"a", "b", "c", "d"} {
			time.Sleep(70 * time.Millisecond)
			c.send(piece)
			b.expect(piece)
		}
		b.send(ok0)
		c.has("HTTP/1.1 200")
	}
	c.send(post, "Content-Length: 65540\r\n\r\n", enough)
	b.head()
	b.expect(enough)
	c.send("abcd")
	b.expect("abcd")
	began := time.Now()
	c.has("HTTP/1.1 504")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answer was waited for %s", took)
	}
}

func TestExpectContinue(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	c.has("HTTP/1.1 100 Continue")
	w.origins[0].unused()
	c.send("hello")
	b := w.origins[0].conn()
	if head := b.head(); strings.Contains(head, "Expect") {
		t.Errorf("the backend was asked too\n%s", head)
	}
	b.expect("hello")
	b.send(ok0)
	c.has("HTTP/1.1 200")

	c.send(post, "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello") // does not wait
	b.head()
	b.expect("hello")
	b.send(ok0)
	if head := c.head(); strings.Contains(head, "100 Continue") {
		c.has("HTTP/1.1 200")
	}
}

// TestBackendThatStopsReadingStillAnswers: its answer is read although the body could not be written.
func TestBackendThatStopsReadingStillAnswers(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, "Content-Length: 50000000\r\n\r\n")
	go c.Write(make([]byte, 20<<20))
	b := w.origins[0].conn()
	b.head()
	waitFor(t, "bytes are under way", func() bool { n, _ := b.br.Peek(1); return len(n) == 1 })
	b.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	c.has("HTTP/1.1 403", "Connection: close")
	c.expect("no")
	if o := w.over(); o.Status != 403 || o.Err != nil {
		t.Errorf("%+v", o)
	}
}

func TestUploadIsListedAsOne(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, long, enough)
	b := w.origins[0].conn()
	b.head()
	b.expect(enough)
	if items := w.inside(1); items[0].Class != drain.Upload {
		t.Errorf("while the body comes: %s", items[0].Class)
	}
	c.send(rest)
	b.expect(rest)
	waitFor(t, "it is an ordinary request", func() bool { return w.inside(1)[0].Class == drain.Request })
	b.send(ok0)
	c.head()
}

// TestAnsweredUploadsKeepTheirConnection: the answer comes at the very moment at which the last bytes were sent. The
// client was not told that its connection ends, so it must not end.
func TestAnsweredUploadsKeepTheirConnection(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.dial()
	c.send(post, long, enough)
	b := w.origins[0].conn()
	for range 200 {
		b.head()
		c.send(rest)
		b.expect(enough + rest)
		b.send(ok0)
		c.has("HTTP/1.1 200")
		c.send(post, long, enough)
		<-w.done
	}
	w.origins[0].unused()
}
