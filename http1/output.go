package http1

import (
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/message"
)

// joinLimit is up to how many bytes of a body are copied behind what is already waiting to be written; more are handed
// to the kernel from where they lie. A copy of this size costs less than a second buffer in one writev.
const joinLimit = 4 << 10

// output is the write side: bytes that wait to be written with the next flush.
type output struct {
	buf     []byte // nil when none is held; len is what waits
	tail    []byte // what goes behind it, from where it lies: the caller's
	vec     [2][]byte
	vecs    net.Buffers
	chunked bool
	sent    int // bytes of buf and tail that the kernel has, while they are being written
	err     error
	wrote   bool   // at least one byte of the message at hand was given to the kernel
	total   uint64 // bytes that the kernel was given on this connection
	before  uint64 // what total was when the message at hand began
}

func (o *output) release() {
	o.tail, o.sent = nil, 0
	if o.buf != nil {
		putBuffer(o.buf)
		o.buf = nil
	}
}

// space returns the buffer with room for n more bytes, up to largeSize. For more, appending to it makes one that is
// large enough and goes to the garbage collector.
func (c *Conn) space(n int) ([]byte, error) {
	if c.out.buf == nil {
		c.out.buf = getBuffer(max(n, 1))[:0]
	}
	if cap(c.out.buf)-len(c.out.buf) >= n {
		return c.out.buf, nil
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	c.out.release()
	c.out.buf = getBuffer(max(n, 1))[:0]
	return c.out.buf, nil
}

// BeginMessage forgets what was written of the message before.
func (c *Conn) BeginMessage() {
	c.out.wrote, c.out.tail = false, nil
	c.out.before = c.out.total
	if c.out.buf != nil {
		c.out.buf = c.out.buf[:0]
	}
}

// Wrote reports whether any byte of the message at hand was given to the kernel.
func (c *Conn) Wrote() bool { return c.out.wrote }

// WriteRequest writes a request head anew from its parts: whatever the client sent, the backend reads one request, with
// one Host, one target and one framing. It waits in the buffer until Flush.
func (c *Conn) WriteRequest(h *message.Head) error {
	b, err := c.space(headSize(h))
	if err != nil {
		return err
	}
	b = append(b, h.Method...)
	b = append(b, ' ')
	b = append(b, h.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, h.Authority...)
	b = append(b, "\r\n"...)
	c.out.buf = c.finishHead(b, h, true)
	return nil
}

// WriteResponse writes a response head, interim or final. Its framing fields are written anew too; only where there is no
// body a Content-Length stays, which then tells of the body that a GET would have brought (RFC 9110 §8.6). It waits in
// the buffer until Flush.
func (c *Conn) WriteResponse(h *message.Head) error {
	b, err := c.space(headSize(h))
	if err != nil {
		return err
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(h.Status), 10)
	b = append(b, ' ')
	b = append(b, h.Reason...)
	b = append(b, "\r\n"...)
	c.out.buf = c.finishHead(b, h, h.Framing.Kind != message.None)
	return nil
}

// headSize is no less than what a head takes on the wire.
func headSize(h *message.Head) int {
	n := len(h.Method) + len(h.Target) + len(h.Authority) + len(h.Reason) + 128
	for i := range h.Fields {
		n += len(h.Fields[i].Name) + len(h.Fields[i].Value) + 4
	}
	return n
}

// finishHead writes the fields and the framing. framed says that a Content-Length or Host among the fields would be the
// second, or a lie.
func (c *Conn) finishHead(b []byte, h *message.Head, framed bool) []byte {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == message.TransferEncoding || framed && (f.ID == message.ContentLength || f.ID == message.Host) {
			continue
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	c.out.chunked = h.Framing.Kind == message.Chunked
	switch h.Framing.Kind {
	case message.Length:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, h.Framing.Length, 10)
		b = append(b, "\r\n"...)
	case message.Chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...)
}

// WriteWhole writes all of a body whose length the head told. It waits until Flush or Ask: p must stay as it is until then.
func (c *Conn) WriteWhole(p []byte) error {
	if len(p) > joinLimit {
		c.out.tail = p
		return nil
	}
	return c.writeRaw(p)
}

// WriteBody writes body bytes, as a chunk where the body is chunked. Small ones wait in the buffer until Flush; others
// are written before it returns, so p is the caller's again in any case.
func (c *Conn) WriteBody(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if c.out.chunked {
		return c.writeChunk(p)
	}
	return c.writeRaw(p)
}

func (c *Conn) writeRaw(p []byte) error {
	if len(p) <= joinLimit {
		b, err := c.space(len(p))
		if err != nil {
			return err
		}
		c.out.buf = append(b, p...)
		return nil
	}
	return c.writeBoth(p)
}

func (c *Conn) writeChunk(p []byte) error {
	b, err := c.space(32)
	if err != nil {
		return err
	}
	b = strconv.AppendUint(b, uint64(len(p)), 16)
	c.out.buf = append(b, "\r\n"...)
	if err := c.writeRaw(p); err != nil {
		return err
	}
	return c.writeRaw(crlf)
}

var crlf = []byte("\r\n")

// EndBody writes the last chunk and the trailer section where the body is chunked, and nothing otherwise. It waits in
// the buffer until Flush. Without it a chunked body is incomplete, and its reader knows.
func (c *Conn) EndBody(trailers []message.Field) error {
	if !c.out.chunked {
		return nil
	}
	h := message.Head{Fields: trailers}
	b, err := c.space(headSize(&h))
	if err != nil {
		return err
	}
	c.out.buf = c.finishHead(append(b, "0\r\n"...), &h, true)
	return nil
}

// writeBoth gives what waits and p to the kernel in one call.
func (c *Conn) writeBoth(p []byte) error {
	c.out.tail = p
	return c.Flush()
}

// Flush gives all that waits to the kernel, and the buffer back.
func (c *Conn) Flush() error {
	if !c.out.waits() {
		return nil
	}
	err := c.writeOut()
	c.out.release()
	return err
}

func (o *output) waits() bool { return len(o.buf) > 0 || len(o.tail) > 0 }

func (c *Conn) writeOut() error {
	if c.raw == nil {
		return c.writeHidden()
	}
	c.out.sent, c.out.err = 0, nil
	if err := c.raw.Write(c.onWritable); err != nil {
		return err
	}
	return c.out.err
}

// writeHidden writes where the socket is out of reach.
func (c *Conn) writeHidden() error {
	c.out.vec = [2][]byte{c.out.buf, c.out.tail}
	c.out.vecs = c.out.vec[:]
	switch {
	case len(c.out.tail) == 0:
		c.out.vecs = c.out.vec[:1]
	case len(c.out.buf) == 0:
		c.out.vecs = c.out.vec[1:]
	}
	n, err := c.out.vecs.WriteTo(c.nc)
	c.out.wrote = c.out.wrote || n > 0
	c.out.vec = [2][]byte{}
	return err
}

// writeReady writes on from where the call before stopped, and reports whether there is nothing more to do.
func (c *Conn) writeReady(fd uintptr) bool {
	for c.out.sent < len(c.out.buf)+len(c.out.tail) {
		n, errno := c.out.writeOnce(fd)
		switch errno {
		case 0:
			c.out.sent += n
			c.out.total += uint64(n)
			c.out.wrote = true
		case unix.EAGAIN:
			return false
		default:
			c.out.err = writeError(errno)
			return true
		}
	}
	return true
}

func (o *output) writeOnce(fd uintptr) (int, syscall.Errno) {
	switch rest := o.sent - len(o.buf); {
	case rest >= 0:
		return writeSocket(fd, o.tail[rest:])
	case len(o.tail) == 0:
		return writeSocket(fd, o.buf[o.sent:])
	default:
		return writeSocketBoth(fd, o.buf[o.sent:], o.tail)
	}
}

// Linger ends our side and reads on for a while, so that the peer reads what was said last: a close with unread bytes
// would reset the connection and may take the answer with it (RFC 9112 §9.6). Then it closes.
func (c *Conn) Linger(d time.Duration, most int64) {
	defer c.Close()
	if c.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(d))
	buf := getBuffer(smallSize)
	defer putBuffer(buf)
	for most > 0 {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		most -= int64(n)
	}
}

// WriteRaw writes bytes as they are, at once, behind what waits to be written.
func (c *Conn) WriteRaw(p []byte) error {
	if err := c.Flush(); err != nil {
		return err
	}
	n, err := c.nc.Write(p)
	c.out.wrote = c.out.wrote || n > 0
	c.out.total += uint64(n)
	return err
}

// CloseWrite ends our side; the peer may go on with its own.
func (c *Conn) CloseWrite() error {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errNoHalfClose
}
