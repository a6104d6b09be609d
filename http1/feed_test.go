package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/message"
)

// feed is a connection in memory: it hands out what it was given, at most step bytes a read, and then its end. It keeps
// what is written to it.
type feed struct {
	in     []byte
	step   int // 0: as much as is asked for
	writes [][]byte
	failAt int // the write that fails, counted from 1; 0: none
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.in) == 0 {
		return 0, io.EOF
	}
	if f.step > 0 && len(p) > f.step {
		p = p[:f.step]
	}
	n := copy(p, f.in)
	f.in = f.in[n:]
	return n, nil
}

func (f *feed) Write(p []byte) (int, error) {
	if f.failAt == len(f.writes)+1 {
		return 0, unix.EPIPE
	}
	f.writes = append(f.writes, bytes.Clone(p))
	return len(p), nil
}

func (f *feed) written() string { return string(bytes.Join(f.writes, nil)) }

func (f *feed) Close() error                     { return nil }
func (f *feed) LocalAddr() net.Addr              { return nil }
func (f *feed) RemoteAddr() net.Addr             { return nil }
func (f *feed) SetDeadline(time.Time) error      { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

// socketPair returns the two ends of a real socket, which are closed with the test.
func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return socketConn(t, fds[0]), socketConn(t, fds[1])
}

func socketConn(t testing.TB, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socketpair")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// onSocket is a Conn on a real socket from which wire can be read, and then its end.
func onSocket(t testing.TB, wire string, limits *Limits) *Conn {
	t.Helper()
	ours, theirs := socketPair(t)
	if _, err := theirs.Write([]byte(wire)); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	return NewConn(ours, limits)
}

// testLimits are small, so that a test meets them soon; a head may still outgrow the small buffer.
var testLimits = Limits{Head: 16 << 10, Fields: 20, Target: 1000, Trailers: 300}

// verdict is all that a reader makes of some bytes: each message in words, and why it stopped.
type verdict struct {
	seen string
	err  error
}

func (v verdict) status() int {
	var e *Error
	if errors.As(v.err, &e) {
		return e.Status
	}
	return 0
}

// judge reads messages until one cannot be read.
func judge(c *Conn, read func(*Conn, *message.Head) error) verdict {
	defer c.Release()
	var h message.Head
	var seen strings.Builder
	for {
		if err := read(c, &h); err != nil {
			return verdict{seen.String(), err}
		}
		words, err := inWords(c, &h)
		if seen.WriteString(words); err != nil {
			return verdict{seen.String(), err}
		}
		seen.WriteString("\n")
		if h.Framing.Kind == message.UntilClose {
			return verdict{seen.String(), io.EOF}
		}
	}
}

// inWords reads the body of a message and tells of it as a whole.
func inWords(c *Conn, h *message.Head) (string, error) {
	start := describe(h)
	body, err := readBody(c)
	return fmt.Sprintf("%s %q%s", start, body, listed(c.Trailers())), err
}

func request(c *Conn, h *message.Head) error  { return c.ReadRequest(h, Waits{}) }
func response(c *Conn, h *message.Head) error { return c.ReadResponse(h, false, Waits{}) }
func toHEAD(c *Conn, h *message.Head) error   { return c.ReadResponse(h, true, Waits{}) }

func readBody(c *Conn) ([]byte, error) {
	var body []byte
	for {
		p, err := c.Next()
		body = append(body, p...)
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return body, err
		}
		if len(p) == 0 {
			return body, errors.New("Next returned nothing, and no error")
		}
	}
}

// describe writes what was parsed of a head in one line, without its fields.
func describe(h *message.Head) string {
	var b strings.Builder
	if h.Status != 0 {
		fmt.Fprintf(&b, "%d %q", h.Status, h.Reason)
	} else {
		fmt.Fprintf(&b, "%s %s @%s", h.Method, h.Target, h.Authority)
	}
	if h.Minor == 0 {
		b.WriteString(" 1.0")
	}
	switch h.Framing.Kind {
	case message.Length:
		fmt.Fprintf(&b, " length=%d", h.Framing.Length)
	case message.Chunked:
		b.WriteString(" chunked")
	case message.UntilClose:
		b.WriteString(" until-close")
	}
	if h.Close {
		b.WriteString(" close")
	}
	if h.ExpectContinue {
		b.WriteString(" continue")
	}
	if h.Upgrade != nil {
		fmt.Fprintf(&b, " upgrade=%s", h.Upgrade)
	}
	return b.String()
}

func listed(fields []message.Field) string {
	var b strings.Builder
	for i := range fields {
		fmt.Fprintf(&b, " [%s: %s]", fields[i].Name, fields[i].Value)
	}
	return b.String()
}

// inEveryWay judges the same bytes as they may arrive: at once from a socket, at once from a hidden one, and in pieces
// down to one byte a read. All verdicts must be the same.
func inEveryWay(t *testing.T, wire string, limits *Limits, read func(*Conn, *message.Head) error) verdict {
	t.Helper()
	first := judge(onSocket(t, wire, limits), read)
	for _, step := range []int{0, 1, 2, 3, 7, 1000} {
		v := judge(NewConn(&feed{in: []byte(wire), step: step}, limits), read)
		if v.seen != first.seen || v.err.Error() != first.err.Error() {
			t.Errorf("in steps of %d:\n%s%v\nat once:\n%s%v", step, v.seen, v.err, first.seen, first.err)
		}
	}
	return first
}
