package http1

import (
	"errors"
	"io"
)

// Error is what a peer did wrong on the wire. From a client it is answered with Status and the connection is closed;
// from a backend it is a 502, and the connection is never used again.
type Error struct {
	Status int
	What   string
}

func (e *Error) Error() string { return "http1: " + e.What }

func bad(status int, what string) *Error { return &Error{Status: status, What: what} }

var (
	errBareLF          = bad(400, "line ended by a bare LF (RFC 9112 §2.2)")
	errRequestLine     = bad(400, "malformed request line (RFC 9112 §3)")
	errStatusLine      = bad(400, "malformed status line (RFC 9112 §4)")
	errVersion         = bad(505, "HTTP version is not 1.0 or 1.1 (RFC 9112 §2.3)")
	errTarget          = bad(400, "malformed request target (RFC 9112 §3.2)")
	errTargetLong      = bad(414, "request target too long (RFC 9110 §15.5.15)")
	errDotSegment      = bad(400, "dot segment in the path: send the path without it (RFC 3986 §5.2.4)")
	errConnect         = bad(405, "CONNECT is for forward proxies (RFC 9110 §9.3.6)")
	errFieldLine       = bad(400, "malformed field line (RFC 9112 §5)")
	errHeadLong        = bad(431, "head too large (RFC 6585 §5)")
	errFieldLong       = bad(431, "field too large (RFC 6585 §5)")
	errFieldCount      = bad(431, "too many fields (RFC 6585 §5)")
	errHostMissing     = bad(400, "no Host (RFC 9112 §3.2)")
	errHostTwice       = bad(400, "more than one Host (RFC 9112 §3.2)")
	errHost            = bad(400, "malformed Host (RFC 9112 §3.2)")
	errLength          = bad(400, "malformed Content-Length (RFC 9112 §6.3)")
	errLengthTwice     = bad(400, "more than one Content-Length (RFC 9112 §6.3)")
	errLengthAndCoding = bad(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.3)")
	errCoding          = bad(400, "Transfer-Encoding does not end in one chunked (RFC 9112 §6.3)")
	errCodingUnknown   = bad(501, "Transfer-Encoding is more than chunked (RFC 9112 §6.1)")
	errCodingTwice     = bad(400, "more than one Transfer-Encoding (RFC 9112 §6.3)")
	errCodingIn10      = bad(400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)")
	errBodiless        = bad(400, "framing of a body in a 1xx or 204 response (RFC 9112 §6.1)")
	errInterim         = bad(400, "1xx response in HTTP/1.0 (RFC 9110 §15.2)")
	errSwitch          = bad(400, "101 response without Upgrade or its Connection option (RFC 9110 §7.8)")
	errExpect          = bad(417, "Expect is not 100-continue (RFC 9110 §10.1.1)")
	errChunk           = bad(400, "malformed chunk (RFC 9112 §7.1)")
	errTrailers        = bad(431, "trailer section too large (RFC 9112 §7.1.2)")
)

// ErrTruncated says that the peer ended its side inside a message (RFC 9112 §8).
var ErrTruncated = errors.New("http1: connection ended inside a message")

var (
	errUnread = errors.New("http1: the body of the message before was not read to its end")
	errNoRoom = errors.New("http1: read into a full buffer")
)

var errNoHalfClose = errors.New("http1: this kind of connection has no half-close")

func truncated(err error) error {
	if err == io.EOF {
		return ErrTruncated
	}
	return err
}
