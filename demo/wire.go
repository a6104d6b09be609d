package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Limits of a response head. They are far above what the app sends; what is longer was not sent by it.
const (
	maxLine   = 8 << 10
	maxFields = 64
)

var longAgo = time.Unix(1, 0)

// wire is one connection, read strictly: what the protocol does not allow is a fault, never guessed at.
type wire struct {
	conn    net.Conn
	in      *bufio.Reader
	timeout time.Duration // of each single read and write
}

func newWire(c net.Conn, timeout time.Duration) *wire {
	return &wire{conn: c, in: bufio.NewReaderSize(c, maxLine), timeout: timeout}
}

func (w *wire) patience() { w.conn.SetDeadline(time.Now().Add(w.timeout)) }

func (w *wire) write(p []byte) error {
	w.patience()
	_, err := w.conn.Write(p)
	return err
}

// rest waits for d, or until ctx ends, and watches the connection meanwhile. It returns nil if nothing happened, io.EOF
// or another end if the other side closed, and errData if bytes arrived.
func (w *wire) rest(ctx context.Context, d time.Duration) error {
	if d <= 0 && w.in.Buffered() == 0 {
		return nil
	}
	w.conn.SetReadDeadline(time.Now().Add(d))
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.conn.SetReadDeadline(longAgo)
		close(woken)
	})
	_, err := w.in.Peek(1)
	if !stop() {
		<-woken // or it would spoil the deadline of the next read
	}
	switch {
	case err == nil:
		return errData
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

var errData = errors.New("bytes arrived")

type field struct{ name, value string }

// head is the first part of a response.
type head struct {
	status int
	fields []field
}

// all returns the values of every field of that name, in order.
func (h *head) all(name string) []string {
	var values []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// one returns the value of a field that may be there once at most, or "".
func (h *head) one(name string) (string, error) {
	values := h.all(name)
	if len(values) > 1 {
		return "", faultf(Illegal, "%s is there %d times: %q", name, len(values), values)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// says reports whether the comma-separated field name contains token.
func (h *head) says(name, token string) bool {
	for _, v := range h.all(name) {
		for word := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}

// readHead reads the final response head; interim ones (1xx, but not 101) are read and left behind, as RFC 9110,
// section 15.2 asks of a client.
func (w *wire) readHead() (*head, error) {
	for range 8 { // more interim responses than this are a loop
		w.patience()
		h, err := w.readOneHead()
		if err != nil {
			return nil, err
		}
		if h.status == 101 || h.status >= 200 {
			return h, nil
		}
	}
	return nil, faultf(Illegal, "interim responses without end")
}

func (w *wire) readOneHead() (*head, error) {
	if _, err := w.in.Peek(1); err != nil {
		return nil, netFault(err, Closed, "no answer came")
	}
	line, err := w.readLine()
	if err != nil {
		return nil, err
	}
	h := &head{}
	if h.status, err = parseStatusLine(line); err != nil {
		return nil, err
	}
	h.fields, err = w.readFields()
	return h, err
}

// parseStatusLine takes HTTP/1.1 only, with the space after the code that RFC 9112, section 4 demands even without a
// reason.
func parseStatusLine(line []byte) (int, error) {
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 4 || rest[3] != ' ' || !legalValue(rest) {
		return 0, faultf(Illegal, "status line %.80q", line)
	}
	code := 0
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return 0, faultf(Illegal, "status line %.80q", line)
		}
		code = code*10 + int(c-'0')
	}
	if code < 100 || code > 599 {
		return 0, faultf(Illegal, "status code %d", code)
	}
	return code, nil
}

// readFields reads fields up to and with the empty line: those of a head, or trailers.
func (w *wire) readFields() ([]field, error) {
	var fields []field
	for {
		line, err := w.readLine()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			return fields, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t")
		if !ok || !legalName(name) || !legalValue(value) {
			return nil, faultf(Illegal, "field line %.80q", line)
		}
		if len(fields) == maxFields {
			return nil, faultf(Illegal, "more than %d fields", maxFields)
		}
		fields = append(fields, field{string(name), string(value)})
	}
}

// readLine returns one line without its CRLF. A bare LF is refused although RFC 9112, section 2.2 lets a recipient take
// it: no correct sender writes one. The line is good until the next read.
func (w *wire) readLine() ([]byte, error) {
	line, err := w.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, faultf(Illegal, "a line of more than %d bytes", maxLine)
	}
	if err != nil {
		if len(line) == 0 {
			return nil, netFault(err, Short, "ended where a line was due")
		}
		return nil, netFault(err, Short, "ended inside the line %.80q", line)
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return nil, faultf(Illegal, "a line that does not end in CRLF alone: %.80q", line)
	}
	return line, nil
}

// legalName: a token of RFC 9110, section 5.6.2.
func legalName(name []byte) bool {
	for _, c := range name {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return len(name) > 0
}

// legalValue: visible bytes, spaces, tabs and obs-text of RFC 9110, section 5.5.
func legalValue(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// body is one response body. Read returns io.EOF only where the framing says that the body is whole; any other end is a
// Fault.
type body struct {
	wire    *wire
	chunked bool
	left    int64 // bytes to come: of the body, or of this chunk
	read    int64 // bytes given out so far
	begun   bool  // a chunk was read, so that its CRLF is due
	whole   bool
}

// bodyOf decides the framing: exactly one of Content-Length, chunked, or no body at all. A body that lasts until the
// connection closes is legal HTTP (RFC 9112, section 6.3), but nobody can tell it from one that was cut, so it is a fault.
func (w *wire) bodyOf(h *head, method string) (*body, error) {
	length, coding := h.all("Content-Length"), h.all("Transfer-Encoding")
	bodiless := method == "HEAD" || h.status == 204 || h.status == 304 || h.status == 101
	switch {
	case len(length)+len(coding) > 1:
		return nil, faultf(Illegal, "more than one framing: Content-Length %q, Transfer-Encoding %q", length, coding)
	case len(coding) == 1 && (!strings.EqualFold(coding[0], "chunked") || h.status == 204 || h.status == 101):
		return nil, faultf(Illegal, "Transfer-Encoding %q with status %d", coding[0], h.status)
	case len(length) == 1 && (h.status == 204 || h.status == 101):
		return nil, faultf(Illegal, "Content-Length with status %d", h.status)
	case len(length)+len(coding) == 0 && !bodiless:
		return nil, faultf(Illegal, "a body without a framing")
	}
	b := &body{wire: w, chunked: len(coding) == 1, whole: bodiless}
	if len(length) == 1 {
		n, err := strconv.ParseUint(length[0], 10, 62)
		if err != nil {
			return nil, faultf(Illegal, "Content-Length %q", length[0])
		}
		b.left = int64(n)
		b.whole = bodiless || n == 0
	}
	return b, nil
}

// Read gives out what has arrived, and faults where the body ends before its end.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.wire.patience()
	if b.chunked && b.left == 0 && !b.whole {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.whole {
		return 0, io.EOF
	}
	n, err := b.wire.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.read += int64(n)
	if err != nil {
		return n, netFault(err, Short, "the body ended after %d bytes, %d before its end", b.read, b.left)
	}
	b.whole = !b.chunked && b.left == 0
	return n, nil
}

// nextChunk reads the line before a chunk, and behind the last one the trailers.
func (b *body) nextChunk() error {
	if b.begun {
		if line, err := b.wire.readLine(); err != nil {
			return err
		} else if len(line) != 0 {
			return faultf(Illegal, "%.20q where a chunk should end", line)
		}
	}
	if _, err := b.wire.in.Peek(1); err != nil {
		f := netFault(err, Short, "the body ended after %d bytes, between two chunks", b.read)
		f.Cut = ended(err)
		return f
	}
	line, err := b.wire.readLine()
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 62)
	if err != nil {
		return faultf(Illegal, "chunk size %.40q", line)
	}
	b.left, b.begun = int64(n), true
	if n > 0 {
		return nil
	}
	if _, err = b.wire.readFields(); err == nil {
		b.whole = true
	}
	return err
}
