package http1

import (
	"bytes"
	"io"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	smallSize = 8 << 10  // holds nearly every head, and small bodies with it
	largeSize = 64 << 10 // for large bodies, where fewer system calls pay, and for the largest head
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallSize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

func getBuffer(size int) []byte {
	if size <= smallSize {
		return smallBuffers.Get().(*[smallSize]byte)[:]
	}
	return largeBuffers.Get().(*[largeSize]byte)[:]
}

func putBuffer(b []byte) {
	switch cap(b) {
	case smallSize:
		smallBuffers.Put((*[smallSize]byte)(b[:smallSize]))
	case largeSize:
		largeBuffers.Put((*[largeSize]byte)(b[:largeSize]))
	}
}

// input is the read side: unread bytes are buf[r:w]. Bytes below floor are the head in use and stay where they are.
type input struct {
	buf    []byte
	r, w   int
	scan   int    // buf[r:scan] is known to hold no line end
	floor  int    // where the body's bytes may begin
	kept   []byte // the buffer that still holds the head after the body moved to a larger one
	waited bool   // the message had to be waited for in the middle
}

func (in *input) unread() int { return in.w - in.r }

// next forgets the message that was read, and keeps what came after it.
func (in *input) next() {
	in.dropKept()
	in.floor = 0
	in.scan = in.r
	in.waited = false
	if in.r == in.w {
		in.release()
	}
}

func (in *input) dropKept() {
	if in.kept != nil {
		putBuffer(in.kept)
		in.kept = nil
	}
}

func (in *input) release() {
	in.dropKept()
	if in.buf != nil {
		putBuffer(in.buf)
	}
	*in = input{}
}

// move brings the bytes from offset on into another buffer, whose size it says, or to the front of the same.
func (in *input) move(from, size int) {
	n := copyOver(in, from, size)
	in.r, in.scan, in.w = in.r-from, max(in.scan-from, 0), n
}

func copyOver(in *input, from, size int) int {
	if size <= len(in.buf) {
		return copy(in.buf, in.buf[from:in.w])
	}
	next := getBuffer(size)
	n := copy(next, in.buf[from:in.w])
	putBuffer(in.buf)
	in.buf = next
	return n
}

// bodyRoom makes room for body bytes above the floor, in a large buffer when the message asks for one.
func (in *input) bodyRoom(large bool) {
	if in.r == in.w {
		in.r, in.w, in.scan = in.floor, in.floor, in.floor
	}
	if in.cramped(large) {
		in.split(largeSize)
	}
	if in.w < len(in.buf) {
		return
	}
	if in.r == in.floor {
		in.split(largeSize)
		return
	}
	n := copy(in.buf[in.floor:], in.buf[in.r:in.w])
	in.r, in.w, in.scan = in.floor, in.floor+n, in.floor
}

// cramped reports that the head leaves too little of the buffer: a head may fill even a large one to its last byte.
func (in *input) cramped(large bool) bool {
	room := len(in.buf) - in.floor
	return room < 1<<10 || large && (len(in.buf) < largeSize || room < largeSize/4)
}

// split moves the unread bytes to a new buffer and keeps the old one, in which the head lives on. A head that was kept
// before stays kept: then the floor is 0, and the buffer left here holds nothing but read bytes of the body.
func (in *input) split(size int) {
	next := getBuffer(size)
	n := copy(next, in.buf[in.r:in.w])
	if in.floor > 0 {
		in.kept = in.buf
	} else {
		putBuffer(in.buf)
	}
	in.buf, in.r, in.w, in.scan, in.floor = next, 0, n, 0, 0
}

// line takes the next line off, without its CRLF. ok is false while its end has not arrived.
//
// A bare LF could be taken as a line end (RFC 9112 §2.2), but then two readers may see two messages: it is refused.
func (in *input) line() (line []byte, ok bool, err error) {
	i := bytes.IndexByte(in.buf[in.scan:in.w], '\n')
	if i < 0 {
		in.scan = in.w
		return nil, false, nil
	}
	end := in.scan + i
	if end == in.r || in.buf[end-1] != '\r' {
		return nil, false, errBareLF
	}
	line = in.buf[in.r : end-1]
	in.r, in.scan = end+1, end+1
	return line, true, nil
}

// fill waits for bytes and reads once. It returns io.EOF when the peer has ended its side.
func (c *Conn) fill() error {
	if c.in.buf == nil {
		return c.firstRead()
	}
	if c.in.w == len(c.in.buf) {
		return errNoRoom
	}
	if c.raw != nil {
		return c.wait(c.onMore)
	}
	n, err := c.nc.Read(c.in.buf[c.in.w:])
	c.in.w += n
	if n > 0 {
		return nil
	}
	return err
}

// wait stays in the poller until ready has read something, the peer's end or an error.
func (c *Conn) wait(ready func(fd uintptr) bool) error {
	c.readErr = nil
	if err := c.raw.Read(ready); err != nil {
		return err
	}
	return c.readErr
}

// moreReady reads into the room that there is.
func (c *Conn) moreReady(fd uintptr) bool {
	n, errno := readSocket(fd, c.in.buf[c.in.w:])
	if errno == unix.EAGAIN {
		c.in.hasten(fd)
		return false
	}
	c.in.w += c.came(n, errno)
	return true
}

// fewBytes is how much of a message that is written in small pieces can be here before the wait for the rest of it.
const fewBytes = 4 << 10

// hasten acknowledges the beginning of a message at once, when little of it is here. Its sender may keep the next small piece
// back until then (RFC 9293 §3.7.4), while the kernel waits 40 ms for an answer of ours to carry the acknowledgement.
func (in *input) hasten(fd uintptr) {
	if !in.waited && in.w <= fewBytes {
		ackAtOnce(fd)
	}
	in.waited = true
}

// came is how many bytes a read brought; where it brought none, the end or the error is kept for who waits.
func (c *Conn) came(n int, errno syscall.Errno) int {
	switch {
	case errno != 0:
		c.readErr = readError(errno)
		return 0
	case n == 0:
		c.readErr = io.EOF
	}
	return n
}

// firstRead waits without a buffer: one is taken only when there is something to read.
func (c *Conn) firstRead() error {
	if c.raw == nil {
		return c.firstReadHidden()
	}
	return c.wait(c.onReadable)
}

func (c *Conn) readReady(fd uintptr) bool {
	buf := getBuffer(smallSize)
	n, errno := readSocket(fd, buf)
	if errno == 0 && n > 0 {
		c.in.buf = buf
	} else {
		putBuffer(buf)
	}
	if errno == unix.EAGAIN {
		return false
	}
	c.in.w += c.came(n, errno)
	return true
}

// firstReadHidden waits with one byte where the socket is out of reach.
func (c *Conn) firstReadHidden() error {
	n, err := c.nc.Read(c.first[:])
	if n == 0 {
		return err
	}
	c.in.buf = getBuffer(smallSize)
	c.in.buf[0], c.in.w = c.first[0], 1
	return nil
}

// Quiet reports that nothing waits to be read: no byte, no end, no error. An idle connection that is not quiet must not
// be used again: what waits there is an end, or an answer that nobody asked for. A hidden socket, as under TLS, always
// counts as quiet: what waits there may be the record layer's own.
func (c *Conn) Quiet() bool {
	if c.in.unread() > 0 {
		return false
	}
	if c.raw == nil {
		return true
	}
	return c.raw.Control(c.onLook) == nil && !c.looked
}

func (c *Conn) look(fd uintptr) { c.looked = !quietSocket(fd) }

// Gone reports whether the peer of a socket has ended its side or reset it, bytes left to read or not. It takes nothing
// off the connection, so it may be called while another goroutine reads.
func Gone(raw syscall.RawConn) (gone bool) {
	err := raw.Control(func(fd uintptr) { gone = pollSocket(fd, unix.POLLRDHUP) })
	return gone || err != nil
}
