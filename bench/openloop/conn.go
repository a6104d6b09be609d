package openloop

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one kept connection. At most one request is on it at a time.
type conn struct {
	fd   int
	busy bool
	due  time.Time // when the request on it, or the last one, should have been sent
	idle time.Time // since when it has been idle
	left int       // of the response's body
	head []byte    // of a response that has not come whole
}

func dial(to *unix.SockaddrInet4) (*conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("openloop: socket: %w", err)
	}
	c := &conn{fd: fd}
	// A reset at the end leaves no port waiting: ten thousand of them would be missed in the next run.
	err = errors.Join(
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		ignoringEINTR(func() error { return unix.Connect(fd, to) }),
		unix.SetNonblock(fd, true))
	if err != nil {
		c.close()
		return nil, fmt.Errorf("openloop: connecting: %w", err)
	}
	return c, nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (c *conn) close() { unix.Close(c.fd) }

// send writes a whole request. It is far smaller than the socket's buffer, which is empty: the last answer came.
func (c *conn) send(request []byte, due time.Time) error {
	n, err := unix.Write(c.fd, request)
	if err != nil || n != len(request) {
		return fmt.Errorf("openloop: wrote %d of %d bytes: %w", n, len(request), err)
	}
	c.due, c.busy = due, true
	return nil
}

var (
	errEnded    = errors.New("openloop: the connection was closed")
	errUnasked  = errors.New("openloop: bytes that no request asked for")
	errNoLength = errors.New("openloop: a response without Content-Length")
)

// receive reads what is there and reports whether the response is whole.
func (c *conn) receive(buf []byte) (whole bool, err error) {
	n, err := unix.Read(c.fd, buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("openloop: read: %w", err)
	case n == 0:
		return false, errEnded
	case !c.busy:
		return false, errUnasked
	}
	return c.take(buf[:n])
}

// take is receive without a socket.
func (c *conn) take(p []byte) (whole bool, err error) {
	if c.left == 0 {
		if p, err = c.takeHead(p); p == nil {
			return false, err
		}
	}
	if len(p) > c.left {
		return false, errUnasked
	}
	c.left -= len(p)
	c.busy = c.left > 0
	return !c.busy, nil
}

var endOfHead = []byte("\r\n\r\n")

// takeHead returns what follows the head, which may be empty but is not nil; nil: the head is not whole.
func (c *conn) takeHead(p []byte) ([]byte, error) {
	const most = 64 << 10 // above any head that is sent here
	if len(c.head) > 0 {
		p = append(c.head, p...)
	}
	end := bytes.Index(p, endOfHead)
	if end < 0 {
		if len(p) > most {
			return nil, errors.New("openloop: a response head without end")
		}
		c.head = append([]byte(nil), p...)
		return nil, nil
	}
	c.head = nil
	var err error
	if c.left, err = bodyLength(p[:end+2]); err != nil {
		return nil, err
	}
	return p[end+len(endOfHead):], nil
}

var (
	okStatus      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("content-length:")
	lineEnd       = []byte("\r\n")
)

// bodyLength reads a head of which each line has its end. Nothing but 200 counts as an answer.
func bodyLength(head []byte) (int, error) {
	status, fields, _ := bytes.Cut(head, lineEnd)
	if !bytes.HasPrefix(status, okStatus) {
		return 0, fmt.Errorf("openloop: answered %q", status)
	}
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, lineEnd)
		if n := len(contentLength); len(line) > n && bytes.EqualFold(line[:n], contentLength) {
			length, err := strconv.Atoi(string(bytes.TrimSpace(line[n:])))
			if err != nil || length < 0 {
				return 0, fmt.Errorf("openloop: Content-Length is %q", line[n:])
			}
			return length, nil
		}
	}
	return 0, errNoLength
}
