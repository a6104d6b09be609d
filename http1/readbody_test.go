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

// readInto reads a body to its end in pieces of up to n bytes.
func readInto(t *testing.T, c *Conn, n int) string {
	t.Helper()
	var b strings.Builder
	p := make([]byte, n)
	for !c.BodyDone() {
		got, err := c.ReadBody(p)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		b.Write(p[:got])
	}
	return b.String()
}

func TestReadBodyIsNextElsewhere(t *testing.T) {
	for _, size := range []int{1, 10, 7000, smallSize, 100_000} {
		body := strings.Repeat("b", size-1) + "!"
		pieces := chunks(body, 3000)
		for name, wire := range map[string]string{
			"length":  post(fmt.Sprintf("Content-Length: %d\r\n", size), body),
			"chunked": post(chunked, pieces+"0\r\nX-Sum: 1\r\n\r\n"),
		} {
			for _, step := range []int{0, 1, 4000} {
				for _, most := range []int{1, 1000, 64 << 10} {
					c, h := start(t, &feed{in: []byte(wire + get("GET /next HTTP/1.1")), step: step}, request)
					if got := readInto(t, c, most); got != body {
						t.Fatalf("%s of %d, step %d, by %d: %d bytes", name, size, step, most, len(got))
					}
					if len(c.in.buf) != smallSize || c.in.kept != nil {
						t.Errorf("%s of %d: a body that is read elsewhere took a buffer of %d", name, size, len(c.in.buf))
					}
					if n := len(c.Trailers()); name == "chunked" && n != 1 {
						t.Errorf("%d trailers", n)
					}
					if err := request(c, h); err != nil || string(h.Target) != "/next" {
						t.Errorf("%s of %d: what follows: %v, %s", name, size, err, h.Target)
					}
				}
			}
		}
	}
}

func chunks(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String()
}

// The two may take turns: what is read first is taken in, what is left is passed on as it comes.
func TestReadBodyThenNext(t *testing.T) {
	body := strings.Repeat("0123456789", 20_000)
	for name, wire := range map[string]string{
		"length":  post(fmt.Sprintf("Content-Length: %d\r\n", len(body)), body),
		"chunked": post(chunked, chunks(body, 9000)+"0\r\n\r\n"),
	} {
		c, _ := start(t, &feed{in: []byte(wire), step: 5000}, request)
		first := make([]byte, 64<<10)
		n := 0
		for n < len(first) {
			got, err := c.ReadBody(first[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
		var rest strings.Builder
		for !c.BodyDone() {
			p, err := c.Next()
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			rest.Write(p)
		}
		if string(first)+rest.String() != body {
			t.Errorf("%s: changed on its way", name)
		}
	}
}

func TestReadBodyOfPart(t *testing.T) {
	for name, wire := range map[string]string{
		"length":  post("Content-Length: 10\r\n", "half"),
		"chunked": post(chunked, "a\r\nhalf"),
	} {
		c, _ := start(t, &feed{in: []byte(wire), step: 1}, request)
		var err error
		for p := make([]byte, 100); err == nil; {
			_, err = c.ReadBody(p)
		}
		if err != ErrTruncated || c.BodyDone() {
			t.Errorf("%s: %v, done %v", name, err, c.BodyDone())
		}
	}
}

// A read that fails brought nothing: it must not be taken for minus one byte, which is what the kernel's answer looks like.
func TestReadBodyOfAResetConnection(t *testing.T) {
	ours, theirs := dialed(t, "tcp")
	c := NewConn(ours, &DefaultLimits)
	defer c.Release()
	io.WriteString(theirs, post("Content-Length: 10\r\n", "half"))
	if err := request(c, new(message.Head)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	got := 0
	for got < len("half") {
		n, err := c.ReadBody(p)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	reset(theirs)
	if n, err := c.ReadBody(p); n != 0 || !errors.Is(err, syscall.ECONNRESET) || c.body.left != 6 {
		t.Errorf("%d, %v, %d bytes are left", n, err, c.body.left)
	}
}
