package demo

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// script is a connection that says one thing and then ends.
type script struct {
	net.Conn
	io.Reader
}

func (s script) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s script) SetDeadline(time.Time) error      { return nil }
func (s script) SetReadDeadline(time.Time) error  { return nil }
func (s script) SetWriteDeadline(time.Time) error { return nil }

// readWhole reads one response strictly.
func readWhole(from io.Reader, method string) (*head, []byte, error) {
	w := newWire(script{Reader: from}, time.Second)
	h, err := w.readHead()
	if err != nil {
		return nil, nil, err
	}
	b, err := w.bodyOf(h, method)
	if err != nil {
		return h, nil, err
	}
	p, err := io.ReadAll(b)
	return h, p, err
}

func TestStrictReading(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		reason, method, wire string
		body                 string
		want                 Kind // "" is none
	}{
		{"length", "GET", ok + "Content-Length: 5\r\n\r\nhello", "hello", ""},
		{"empty", "GET", ok + "Content-Length: 0\r\n\r\n", "", ""},
		{"no reason phrase", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "", ""},
		{"chunked", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", ""},
		{"chunked in capitals", "GET", ok + "transfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		{"chunked and empty", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", ""},
		{"trailers", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n", "", ""},
		{"HEAD has a length and no body", "HEAD", ok + "Content-Length: 5\r\n\r\n", "", ""},
		{"204 has neither", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "", ""},
		{"304 may have a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", ""},
		{"obs-text is legal", "GET", ok + "A: \xff\r\nContent-Length: 0\r\n\r\n", "", ""},

		{"nothing", "GET", "", "", Closed},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"lower case", "GET", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"no space after the code", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"four digits", "GET", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"a letter in the code", "GET", "HTTP/1.1 2o0 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"code 600", "GET", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"code 099", "GET", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"bare LF", "GET", ok + "Content-Length: 0\n\r\n", "", Illegal},
		{"bare CR", "GET", ok + "A: b\rc\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"NUL in a value", "GET", ok + "A: b\x00\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"space in a name", "GET", ok + "Content-Length : 0\r\n\r\n", "", Illegal},
		{"a folded line", "GET", ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"a line without a colon", "GET", ok + "Content-Length 0\r\n\r\n", "", Illegal},
		{"no name", "GET", ok + ": x\r\n\r\n", "", Illegal},
		{"a line too long", "GET", ok + "A: " + strings.Repeat("b", maxLine) + "\r\n\r\n", "", Illegal},
		{"fields without end", "GET", ok + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n", "", Illegal},
		{"interim answers without end", "GET", strings.Repeat("HTTP/1.1 103 \r\n\r\n", 20), "", Illegal},
		{"no framing", "GET", ok + "\r\nhello", "", Illegal},
		{"the same length twice", "GET", ok + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"a list of lengths", "GET", ok + "Content-Length: 0, 0\r\n\r\n", "", Illegal},
		{"a signed length", "GET", ok + "Content-Length: +1\r\n\r\nx", "", Illegal},
		{"a negative length", "GET", ok + "Content-Length: -1\r\n\r\nx", "", Illegal},
		{"a huge length", "GET", ok + "Content-Length: 99999999999999999999\r\n\r\nx", "", Illegal},
		{"length and chunked", "GET", ok + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", Illegal},
		{"chunked twice", "GET", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "", Illegal},
		{"another coding", "GET", ok + "Transfer-Encoding: gzip\r\n\r\n", "", Illegal},
		{"204 with chunks", "GET", "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", Illegal},
		{"204 with a length", "GET", "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", "", Illegal},
		{"a chunk size of nothing", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n", "", Illegal},
		{"a signed chunk size", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", "", Illegal},
		{"a chunk size with 0x", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", "", Illegal},
		{"a chunk size with an underscore", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n1_0\r\nx\r\n0\r\n\r\n", "", Illegal},
		{"a huge chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx", "", Illegal},
		{"a chunk without its CRLF", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", "", Illegal},
		{"a trailer without a colon", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA\r\n\r\n", "", Illegal},
		{"short", "GET", ok + "Content-Length: 5\r\n\r\nhell", "", Short},
		{"short chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhell", "", Short},
		{"no last chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "", Short},
		{"no end of trailers", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "", Short},
	}
	for _, test := range tests {
		for way, from := range map[string]io.Reader{
			"at once":      strings.NewReader(test.wire),
			"byte by byte": iotest.OneByteReader(strings.NewReader(test.wire)),
		} {
			_, body, err := readWhole(from, test.method)
			var f *Fault
			errors.As(err, &f)
			switch {
			case test.want == "" && (err != nil || string(body) != test.body):
				t.Errorf("%s, %s: %q, %v; want %q", test.reason, way, body, err, test.body)
			case test.want != "" && (f == nil || f.Kind != test.want):
				t.Errorf("%s, %s: %v, want %s", test.reason, way, err, test.want)
			}
		}
	}
}

// FuzzStrictReading: whatever the strict reader takes, net/http takes too, and finds the same body in it.
func FuzzStrictReading(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 204 \r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		h, body, err := readWhole(bytes.NewReader(wire), "GET")
		if err != nil {
			var fault *Fault
			if !errors.As(err, &fault) || fault.Kind == "" {
				t.Fatalf("%T %v: every error is a Fault of some kind", err, err)
			}
			return
		}
		in := bufio.NewReader(bytes.NewReader(wire))
		res, err := http.ReadResponse(in, nil)
		for err == nil && res.StatusCode < 200 && res.StatusCode != 101 {
			res, err = http.ReadResponse(in, nil)
		}
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", wire, err)
		}
		if h.status == 101 {
			return // what follows is no body
		}
		theirs, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(theirs, body) || res.StatusCode != h.status {
			t.Fatalf("%q is %d %q here, %d %q %v there", wire, h.status, body, res.StatusCode, theirs, err)
		}
	})
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 126)
	tests := []struct {
		reason, wire string
		want         Kind
		cut          bool
	}{
		{"text", "\x81\x02hi", "", false},
		{"a fragment", "\x01\x02hi", "", false},
		{"the rest of it", "\x80\x00", "", false},
		{"two bytes of length", "\x82\x7e\x00\x7e" + long, "", false},
		{"nothing", "", Closed, true},
		{"one byte", "\x81", Short, false},
		{"half a length", "\x81\x7e\x00", Short, false},
		{"half a payload", "\x81\x02h", Short, false},
		{"masked", "\x81\x82aaaahi", Illegal, false},
		{"a reserved bit", "\xc1\x02hi", Illegal, false},
		{"a reserved opcode", "\x83\x00", Illegal, false},
		{"a reserved control opcode", "\x8b\x00", Illegal, false},
		{"a ping in fragments", "\x09\x00", Illegal, false},
		{"a ping too long", "\x89\x7e\x00\x7e" + long, Illegal, false},
		{"a length in the long form", "\x81\x7e\x00\x02hi", Illegal, false},
		{"a length in the longest form", "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02hi", Illegal, false},
		{"a payload without end", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Illegal, false},
	}
	for _, test := range tests {
		w := newWire(script{Reader: strings.NewReader(test.wire)}, time.Second)
		_, err := w.readFrame()
		var f *Fault
		if !errors.As(err, &f) {
			f = &Fault{}
		}
		if f.Kind != test.want || f.Cut != test.cut {
			t.Errorf("%s: %v, cut %t; want %q, %t", test.reason, err, f.Cut, test.want, test.cut)
		}
	}
}

// TestFramesAreMaskedAndMinimal: what the client writes, read as a server reads it, is what was meant.
func TestFramesAreMaskedAndMinimal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16, 1<<16 + 1} {
		payload := patternBytes(uint64(n), int64(n))
		client, server := net.Pipe()
		go func() {
			client.Write(appendFrame(nil, opBinary, true, payload, r))
			client.Close()
		}()
		op, fin, got := readMessage(server)
		server.Close()
		if op != opBinary || !fin || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes came as %d, opcode %x, final %t", n, len(got), op, fin)
		}
	}
}

// TestAcceptKey: the example of RFC 6455, section 1.3.
func TestAcceptKey(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x02hi\x88\x02\x03\xe9"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		w := newWire(script{Reader: bytes.NewReader(wire)}, time.Second)
		for {
			frame, err := w.readFrame()
			if err != nil {
				return
			}
			if len(frame.payload) > len(wire) {
				t.Fatalf("a payload of %d bytes out of %d", len(frame.payload), len(wire))
			}
		}
	})
}
