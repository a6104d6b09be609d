package http1

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"sluice/message"
)

func fields(pairs ...string) (list []message.Field) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, message.Field{Name: []byte(pairs[i]), Value: []byte(pairs[i+1]), ID: message.Lookup([]byte(pairs[i]))})
	}
	return list
}

func lengthOf(n int64) message.Framing { return message.Framing{Kind: message.Length, Length: n} }

var coded = message.Framing{Kind: message.Chunked}

func head(method, target, authority string, f message.Framing, pairs ...string) *message.Head {
	return &message.Head{Minor: 1, Method: []byte(method), Target: []byte(target), Authority: []byte(authority), Framing: f, Fields: fields(pairs...)}
}

func reply(status int, reason string, f message.Framing, pairs ...string) *message.Head {
	return &message.Head{Minor: 1, Status: status, Reason: []byte(reason), Framing: f, Fields: fields(pairs...)}
}

func TestRequestsToTheByte(t *testing.T) {
	for _, row := range []struct {
		name, want string
		h          *message.Head
	}{
		{"plain", "GET /a?b HTTP/1.1\r\nHost: x:80\r\n\r\n", head("GET", "/a?b", "x:80", message.Framing{})},
		{"fields in order", "GET / HTTP/1.1\r\nHost: x\r\nB: 1\r\na: 2\r\nB: \r\n\r\n", head("GET", "/", "x", message.Framing{}, "B", "1", "a", "2", "B", "")},
		{"length", "PUT / HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 12\r\n\r\n", head("PUT", "/", "x", lengthOf(12), "A", "b")},
		{"length zero", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", head("POST", "/", "x", lengthOf(0))},
		{"length largest", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n", head("POST", "/", "x", lengthOf(1<<63-1))},
		{"chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", head("POST", "/", "x", coded)},
		{"one framing", "POST / HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 1\r\n\r\n", head("POST", "/", "x", lengthOf(1), "content-length", "5", "A", "b", "TRANSFER-ENCODING", "chunked")},
		{"one host", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", head("GET", "/", "x", message.Framing{}, "Host", "y", "Content-Length", "3")},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &feed{}
			c := NewConn(f, &DefaultLimits)
			c.BeginMessage()
			if err := c.WriteRequest(row.h); err != nil || len(f.writes) != 0 || c.Wrote() {
				t.Fatalf("%v; %d writes before the flush", err, len(f.writes))
			}
			if err := c.Flush(); err != nil || !c.Wrote() || f.written() != row.want {
				t.Errorf("%v\n%q\nwant\n%q", err, f.written(), row.want)
			}
		})
	}
}

func TestResponsesToTheByte(t *testing.T) {
	none := message.Framing{}
	for _, row := range []struct {
		name, want string
		h          *message.Head
	}{
		{"length", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\n", reply(200, "OK", lengthOf(3), "A", "b")},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", reply(200, "OK", coded)},
		{"no reason", "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", reply(299, "", lengthOf(0))},
		{"until close", "HTTP/1.1 200 OK\r\n\r\n", reply(200, "OK", message.Framing{Kind: message.UntilClose})},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", reply(103, "Early Hints", none, "Link", "x")},
		{"length of what HEAD did not bring", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", reply(200, "OK", none, "Content-Length", "9")},
		{"stale framing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", reply(200, "OK", coded, "Content-Length", "9", "Transfer-Encoding", "gzip")},
		{"coding without a body", "HTTP/1.1 200 OK\r\n\r\n", reply(200, "OK", none, "Transfer-Encoding", "chunked")},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &feed{}
			c := NewConn(f, &DefaultLimits)
			if err := errors.Join(c.WriteResponse(row.h), c.Flush()); err != nil || f.written() != row.want {
				t.Errorf("%v\n%q\nwant\n%q", err, f.written(), row.want)
			}
		})
	}
}

func TestChunksToTheByte(t *testing.T) {
	f := &feed{}
	c := NewConn(f, &DefaultLimits)
	c.WriteResponse(reply(200, "OK", coded))
	c.WriteBody([]byte("hello"))
	c.WriteBody(nil) // an empty chunk would be the last one
	c.WriteBody([]byte(strings.Repeat("x", 16)))
	c.EndBody(fields("X", "1", "Y", "", "Content-Length", "5", "Transfer-Encoding", "chunked", "Host", "z"))
	c.EndBody(nil) // a body ends once
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\nX: 1\r\nY: \r\n\r\n"
	if f.written() != want || len(f.writes) != 1 {
		t.Errorf("%d writes\n%q\nwant\n%q", len(f.writes), f.written(), want)
	}
}

// Bodies of all sizes about each border of the two buffers arrive as they were, through memory and through writev.
func TestBodiesOfAllSizesArrive(t *testing.T) {
	sizes := []int{0, 1, joinLimit - 1, joinLimit, joinLimit + 1, smallSize - 100, smallSize, smallSize + 1, largeSize, largeSize + 1, 100_000}
	for _, size := range sizes {
		for _, framing := range []message.Framing{lengthOf(int64(3 * size)), coded} {
			body := strings.Repeat("b", size)
			write := func(c *Conn) error {
				c.BeginMessage()
				err := c.WriteResponse(reply(200, "OK", framing))
				for range 3 {
					err = errors.Join(err, c.WriteBody([]byte(body)))
				}
				return errors.Join(err, c.EndBody(nil), c.Flush())
			}
			f := &feed{}
			if err := write(NewConn(f, &DefaultLimits)); err != nil {
				t.Fatal(err)
			}
			want := describe(reply(200, "OK", framing)) + fmt.Sprintf(" %q\n", strings.Repeat(body, 3))
			if v := judge(NewConn(&feed{in: []byte(f.written())}, &DefaultLimits), response); v.seen != want || v.err != io.EOF {
				t.Errorf("size %d, framing %v: %v", size, framing, v.err)
			}
			a, b := socketPair(t)
			failed := make(chan error, 1)
			go func() { failed <- errors.Join(write(NewConn(a, &DefaultLimits)), a.Close()) }()
			if v := judge(NewConn(b, &DefaultLimits), response); v.seen != want || v.err != io.EOF {
				t.Errorf("size %d, framing %v, on a socket: %v", size, framing, v.err)
			}
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
	}
}

// A head and a small body go out in one write: two would be two packets, and two wake-ups of the peer.
func TestSmallMessagesAreOneWrite(t *testing.T) {
	for size, want := range map[int]int{10: 1, joinLimit: 1, joinLimit + 1: 2} { // in memory a vector counts as two
		f := &feed{}
		c := NewConn(f, &DefaultLimits)
		c.WriteResponse(reply(200, "OK", lengthOf(int64(size))))
		c.WriteBody(make([]byte, size))
		c.Flush()
		if len(f.writes) != want {
			t.Errorf("a body of %d took %d writes, want %d", size, len(f.writes), want)
		}
	}
}

func TestHeadsLargerThanAnyBuffer(t *testing.T) {
	for _, size := range []int{smallSize - 200, smallSize, largeSize - 200, largeSize, largeSize + 10_000} {
		h := head("GET", "/", "x", message.Framing{}, "X", strings.Repeat("v", size))
		f := &feed{}
		c := NewConn(f, &DefaultLimits)
		c.WriteResponse(reply(100, "Continue", message.Framing{})) // something waits already
		if err := errors.Join(c.WriteRequest(h), c.WriteBody([]byte("tail")), c.Flush()); err != nil {
			t.Fatal(err)
		}
		want := "HTTP/1.1 100 Continue\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("v", size) + "\r\n\r\ntail"
		if f.written() != want {
			t.Errorf("a head of %d came out as %d bytes, want %d", size, len(f.written()), len(want))
		}
	}
}

func TestHeadSizeIsNoLess(t *testing.T) {
	for _, h := range []*message.Head{
		head("GET", "/", "x", coded), head("OPTIONS", "*", "", lengthOf(1<<63-1), "A", "b", "C", ""), reply(599, "x", lengthOf(1<<62)), {},
	} {
		f := &feed{}
		c := NewConn(f, &DefaultLimits)
		c.WriteRequest(h)
		n := len(c.out.buf)
		c.BeginMessage()
		c.WriteResponse(h)
		if got := headSize(h); got < max(n, len(c.out.buf)) {
			t.Errorf("headSize %d, but %d and %d were written", got, n, len(c.out.buf))
		}
	}
}

func TestBeginMessageForgets(t *testing.T) {
	f := &feed{}
	c := NewConn(f, &DefaultLimits)
	c.WriteResponse(reply(200, "OK", lengthOf(0)))
	c.Flush()
	if !c.Wrote() {
		t.Error("bytes were written")
	}
	c.WriteResponse(reply(500, "X", lengthOf(0)))
	c.BeginMessage()
	c.Flush()
	if c.Wrote() || strings.Contains(f.written(), "500") {
		t.Errorf("after BeginMessage: wrote %v, %q", c.Wrote(), f.written())
	}
}

func TestFailedWrites(t *testing.T) {
	for failAt := 1; failAt <= 2; failAt++ {
		c := NewConn(&feed{failAt: failAt}, &DefaultLimits)
		c.BeginMessage()
		c.WriteResponse(reply(200, "OK", coded))
		err := c.WriteBody(make([]byte, joinLimit+1)) // the head, and the body, are a write each
		if !errors.Is(err, syscall.EPIPE) || c.Wrote() != (failAt == 2) {
			t.Errorf("write %d fails: %v, wrote %v", failAt, err, c.Wrote())
		}
		c.Release()
	}
	c := NewConn(&feed{failAt: 1}, &DefaultLimits)
	c.WriteResponse(reply(200, "OK", lengthOf(0)))
	if err := c.WriteRaw([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("WriteRaw: %v", err)
	}
}

// Raw bytes must not overtake a head that waits: a tunnel's first bytes follow its 101.
func TestRawBytesKeepTheirPlace(t *testing.T) {
	f := &feed{}
	c := NewConn(f, &DefaultLimits)
	c.BeginMessage()
	c.WriteResponse(reply(101, "S", message.Framing{}))
	if err := c.WriteRaw([]byte("raw")); err != nil || f.written() != "HTTP/1.1 101 S\r\n\r\nraw" || !c.Wrote() {
		t.Errorf("%v, %q", err, f.written())
	}
}
