package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/http1"
	"time"
)

func TestHeadsWithoutBodyKeepTheConnection(t *testing.T) {
	tests := []struct {
		reason, method, answer string
		want                   []string
		never                  string
	}{
		{"HEAD with the length of a GET", "HEAD", ok + "Content-Length: 1234\r\n\r\n", []string{"HTTP/1.1 200 OK", "Content-Length: 1234"}, "Transfer-Encoding"},
		{"HEAD of a chunked resource", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", []string{"HTTP/1.1 200 OK"}, "Content-Length"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", []string{"HTTP/1.1 204 No Content"}, "Content-Length"},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n", []string{"HTTP/1.1 304", "Content-Length: 99", "ETag: x"}, "Transfer-Encoding"},
		{"an empty body", "GET", ok0, []string{"Content-Length: 0"}, "Transfer-Encoding"},
		{"a status without phrase", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", []string{"HTTP/1.1 200"}, "Connection"},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.dial()
		var b *peer
		for i := range 3 {
			c.send(test.method, " / HTTP/1.1\r\nHost: x\r\n\r\n")
			if i == 0 {
				b = w.origins[0].conn()
			}
			b.head()
			b.send(test.answer)
			if head := c.has(test.want...); strings.Contains(head, test.never) {
				t.Errorf("%s: %s in\n%s", test.reason, test.never, head)
			}
		}
		w.origins[0].unused()
	}
}

func TestFramingsOfAnAnswer(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	tests := []struct {
		reason, answer string
		closes         bool // the backend does
		line, body     string
		reused         bool
	}{
		{"a length", ok + "Content-Length: 5\r\n\r\nhello", false, "Content-Length: 5", "hello", true},
		{"a long body", ok + "Content-Length: 102400\r\n\r\n" + big, false, "Content-Length: 102400", big, true},
		{"chunks", ok + "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n", false, "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", true},
		{"to the end of the connection", ok + "\r\nhello", true, "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", true, "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", false},
		{"HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, "Content-Length: 5", "hello", false},
		{"the backend says close", ok + "Content-Length: 5\r\nConnection: close\r\n\r\nhello", false, "Content-Length: 5", "hello", false},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.ask(get)
		b := w.origins[0].conn()
		b.head()
		b.send(test.answer)
		if test.closes {
			b.Close()
		}
		c.has("HTTP/1.1 200 OK", test.line)
		c.expect(test.body)
		if o := w.over(); o.Err != nil || o.Status != 200 || o.BytesOut == 0 {
			t.Errorf("%s: %+v", test.reason, o)
		}
		c.send(get) // the client's connection goes on in any case
		if !test.reused {
			if !test.closes {
				b.ends()
			}
			b = w.origins[0].conn()
		}
		b.head()
		b.send(ok0)
		c.head()
	}
}

// TestBrokenAnswersAreVisiblyIncomplete: what a backend leaves in the middle must not look whole to the client.
func TestBrokenAnswersAreVisiblyIncomplete(t *testing.T) {
	big := strings.Repeat("x", 80<<10) // more than is waited for before the head is passed on
	tests := []struct{ reason, method, answer string }{
		{"a length", "GET", ok + "Content-Length: 200000\r\n\r\n" + big},
		{"a small length of what cannot be done twice", "POST", ok + "Content-Length: 10\r\n\r\nhello"},
		{"a chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\nff\r\nhello"},
		{"between chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"before the trailer's end", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n"},
		{"a malformed chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c := w.ask(test.method, " / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		b := w.origins[0].conn()
		b.head()
		b.send(test.answer)
		waitFor(t, "the head is passed on", func() bool { _, err := c.br.Peek(1); return err != nil || c.br.Buffered() > 0 })
		b.Close()
		text, whole := c.rest()
		if whole && (strings.HasSuffix(text, last) || strings.Contains(test.answer, "Content-Length: "+fmt.Sprint(len(text)))) {
			t.Errorf("%s: %d bytes that look complete", test.reason, len(text))
		}
		if o := w.over(); o.Err == nil || o.Err.Fault != ByBackend || !o.Lost || o.Status != 200 {
			t.Errorf("%s: %+v", test.reason, o)
		}
		if n := w.service.Lost.Load(); n != 1 {
			t.Errorf("%s: %d counted as lost", test.reason, n)
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	answers := map[string]string{
		"another protocol":       "SSH-2.0-OpenSSH_9\r\n\r\n",
		"HTTP/2":                 "HTTP/2 200 OK\r\n\r\n",
		"two lengths":            ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"length and chunks":      ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
		"a coding nobody knows":  ok + "Transfer-Encoding: gzip\r\n\r\n",
		"a folded field":         ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"a space before a colon": ok + "Content-Length : 0\r\n\r\n",
		"a control byte":         ok + "A: \x01\r\nContent-Length: 0\r\n\r\n",
		"a status of 99":         "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
		"a head without end":     ok + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 70),
	}
	for reason, answer := range answers {
		w := newWorld(t, 1, generous)
		c := w.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		b := w.origins[0].conn()
		b.head()
		b.Write([]byte(answer))
		c.has("HTTP/1.1 502 Bad Gateway", "Content-Type: text/plain")
		b.rest()
		if o := w.over(); o.Err.Fault != ByBackend || o.Lost {
			t.Errorf("%s: %+v", reason, o)
		}
		if n := w.origins[0].Endpoint.Idle(); n != 0 {
			t.Errorf("%s: the connection was kept", reason)
		}
	}
}

func TestInterimResponses(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n"
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(hint)
	if head := c.has("HTTP/1.1 103 Early Hints", "Link: </a.css>"); strings.Contains(head, "Connection") {
		t.Errorf("an interim response passed on\n%s", head)
	}
	b.send("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n", hint, ok0)
	c.has("HTTP/1.1 102")
	c.has("HTTP/1.1 103")
	c.has("HTTP/1.1 200")
	c.send(get) // and the connection goes on
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	w.over() // the backend's connection is free again

	old := w.ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	b.head()
	b.send(hint, ok0)
	old.has("HTTP/1.1 200") // a client of HTTP/1.0 knows no interim responses
	w.over()

	many := w.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	b.head()
	b.send(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", defaultInterim+1), ok0)
	many.has("HTTP/1.1 502")
	b.rest()
	if n := w.origins[0].Endpoint.Idle(); n != 0 {
		t.Error("the connection was kept")
	}
}

func TestUnaskedSwitchIsRefused(t *testing.T) {
	for _, test := range []struct{ reason, request, answer string }{
		{"no upgrade was asked for", get, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"another one was", "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"},
		{"it does not say to what", upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n"},
		{"not named in Connection", upgrade, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"},
		{"to two protocols", upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n\r\n"},
		{"to a list", upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"},
	} {
		w := newWorld(t, 1, generous)
		c := w.ask(test.request)
		b := w.origins[0].conn()
		b.head()
		b.send(test.answer, "bytes of it")
		c.has("HTTP/1.1 502")
		b.rest()
		var malformed *http1.Error
		if o := w.over(); o.Err != errUpgrade && !errors.As(o.Err, &malformed) {
			t.Errorf("%s: %+v", test.reason, o)
		}
	}
}

func TestRefusedUpgradeIsAnAnswer(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	b := w.origins[0].conn()
	b.has("Connection: upgrade", "Upgrade: websocket")
	b.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
	c.has("HTTP/1.1 426", "Connection: close")
	c.expect("no")
	b.ends() // a connection that was asked to switch is not used again
	c.closeWrite()
	c.ends() // nor is that of the client: what it sends may be meant for the other protocol
}

func TestSilentBackendIsA504(t *testing.T) {
	w := newWorld(t, 2, Timeouts{Response: 80 * time.Millisecond, Body: time.Second, Write: time.Second})
	c := w.ask(get)
	c.has("HTTP/1.1 504 Gateway Timeout", "Content-Length: 74")
	io.CopyN(io.Discard, c.br, 74)
	if o := w.over(); o.Retries != 0 || o.Err.Fault != ByBackend {
		t.Errorf("%+v: a request that took too long is not begun anew", o)
	}
	c.send(get) // nothing is wrong with the client
	c.has("HTTP/1.1 504")
}

func TestAnswerThatStopsIsIncomplete(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: time.Second, Body: 80 * time.Millisecond, Write: time.Second})
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(ok, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	c.has("HTTP/1.1 200")
	if text, _ := c.rest(); strings.HasSuffix(text, last) {
		t.Errorf("%q looks complete", text)
	}
	if o := w.over(); !o.Lost {
		t.Errorf("%+v", o)
	}
}

func TestTrailersOfAnAnswer(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(ok, "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\n\r\n")
	c.has("Trailer: X-Sum")
	c.expect("5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
}
