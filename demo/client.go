package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// client is one strict client with one connection at a time. It is owned by one goroutine.
type client struct {
	cfg      *Config
	rand     *rand.Rand
	wire     *wire // nil when there is no connection
	reopened int   // idle connections the other side closed, seen before anything was sent on them
	buf, ref []byte
}

func newClient(cfg *Config, r *rand.Rand) *client {
	return &client{cfg: cfg, rand: r, buf: make([]byte, 16<<10), ref: make([]byte, 16<<10)}
}

// request is what a client sends; its body, if any, is whole and goes out with the head.
type request struct {
	method, path string
	id           string
	fields       string // further field lines, each with its CRLF
	body         []byte
}

// answer is a response of which the head was read and found to be for this request.
type answer struct {
	head    *head
	body    *body
	release string
	close   bool // the other side keeps no connection after it
}

func (c *client) drop() {
	if c.wire != nil {
		c.wire.conn.Close()
		c.wire = nil
	}
}

func (c *client) connect() error {
	if c.wire != nil {
		return nil
	}
	conn, err := net.DialTimeout(c.cfg.Network, c.cfg.Address, c.cfg.Timeout)
	if err != nil {
		return &Fault{Kind: Refused, Detail: "no connection", Err: err}
	}
	if c.cfg.TLS != nil {
		secure := tls.Client(conn, c.cfg.TLS)
		secure.SetDeadline(time.Now().Add(c.cfg.Timeout))
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return &Fault{Kind: Refused, Detail: "no TLS", Err: err}
		}
		conn = secure
	}
	c.wire = newWire(conn, c.cfg.Timeout)
	return nil
}

func (c *client) head(q *request) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-demo\r\nX-Request-Id: %s\r\n%s",
		q.method, q.path, c.cfg.Host, q.id, q.fields)
	if q.body != nil {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(q.body))
	}
	return append(append(b, "\r\n"...), q.body...)
}

// send connects where need be, and writes the request. It returns when the first byte was about to be written: that is
// when the request began.
func (c *client) send(q *request) (began time.Time, err error) {
	began = time.Now()
	if err := c.connect(); err != nil {
		return began, err
	}
	message := c.head(q)
	began = time.Now()
	if err := c.wire.write(message); err != nil {
		return began, c.refusal(err)
	}
	return began, nil
}

// refusal looks for the reason of a failed write: an answer that came early says more than a broken pipe.
func (c *client) refusal(err error) error {
	fault := netFault(err, Closed, "the request could not be written")
	if h, err := c.wire.readHead(); err == nil {
		fault.Kind = Status
		fault.Detail = fmt.Sprintf("status %d before the request was written", h.status)
	}
	return fault
}

// receive reads the head of the answer to q and checks all that can be known from it.
func (c *client) receive(q *request, want int) (*answer, error) {
	h, err := c.wire.readHead()
	if err != nil {
		return nil, err
	}
	a := &answer{head: h, close: h.says("Connection", "close")}
	if a.body, err = c.wire.bodyOf(h, q.method); err != nil {
		return nil, err
	}
	if a.release, err = h.one("X-Release"); err != nil {
		return nil, err
	}
	if h.status != want {
		return a, faultf(Status, "status %d%s", h.status, a.excerpt())
	}
	id, err := h.one("X-Seen-Request-Id")
	switch {
	case err != nil:
		return a, err
	case id != q.id:
		return a, faultf(Mixed, "asked as %q, answered as %q", q.id, id)
	case a.release == "":
		return a, faultf(Mixed, "an answer of no release")
	}
	return a, nil
}

// excerpt is the beginning of an unwanted body, for the report.
func (a *answer) excerpt() string {
	text, _ := io.ReadAll(io.LimitReader(a.body, 200))
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}

// expect reads the whole body and compares each byte.
func (c *client) expect(a *answer, want io.Reader) error {
	at := int64(0)
	for {
		n, err := a.body.Read(c.buf)
		if n > 0 {
			ref := c.ref[:n]
			m, _ := io.ReadFull(want, ref)
			if !bytes.Equal(c.buf[:n], ref[:m]) {
				return faultf(Wrong, "in the body, between bytes %d and %d", at, at+int64(n))
			}
			at += int64(n)
		}
		if err == io.EOF { // and not a fault that wraps it
			break
		}
		if err != nil {
			return notCut(err)
		}
	}
	if m, _ := io.ReadFull(want, c.ref[:1]); m > 0 {
		return faultf(Short, "the body ended as if it were whole, after %d bytes", at)
	}
	return nil
}

// notCut makes a plain loss of a cut: a body that has an end was promised whole.
func notCut(err error) error {
	var f *Fault
	if errors.As(err, &f) {
		f.Cut = false
	}
	return err
}

// finish checks that nothing follows the answer, and keeps or ends the connection as the two sides agreed.
func (c *client) finish(a *answer, asked bool) error {
	if c.wire.in.Buffered() > 0 {
		return faultf(Surplus, "after the answer: %.40q", c.peek())
	}
	if !a.close && !asked {
		return nil
	}
	defer c.drop()
	return c.awaitEnd()
}

func (c *client) peek() []byte {
	p, _ := c.wire.in.Peek(c.wire.in.Buffered())
	return p
}

// awaitEnd waits until the other side closes, which it said it would: cleanly, and without another byte.
func (c *client) awaitEnd() error {
	c.wire.patience()
	_, err := c.wire.in.Peek(1)
	switch {
	case err == nil:
		return faultf(Surplus, "before the end of the connection: %.40q", c.peek())
	case errors.Is(err, io.EOF):
		return nil
	}
	return netFault(err, Closed, "the connection should have ended cleanly")
}

// rest lets d pass between two requests and watches the idle connection. That it is closed meanwhile is the other side's
// right; it is noted, and the next request goes on a new one. A close that crosses a request is not forgiven anywhere.
func (c *client) rest(ctx context.Context, d time.Duration) error {
	until := time.Now().Add(d)
	if c.wire != nil {
		err := c.wire.rest(ctx, d)
		if errors.Is(err, errData) {
			return faultf(Surplus, "on an idle connection: %.40q", c.peek())
		}
		if err != nil {
			c.reopened++
			c.drop()
		}
	}
	if left := time.Until(until); left > 0 && c.wire == nil {
		wait(ctx, left)
	}
	return nil
}
