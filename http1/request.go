package http1

import (
	"bytes"

	"sluice/message"
)

// ReadRequest reads the next request head. It returns io.EOF when the client ended the connection between requests, an
// *Error when what it sent must be refused, and an error of the connection otherwise. The head's slices live until the
// next call.
func (c *Conn) ReadRequest(h *message.Head, waits Waits) error {
	c.head = headState{request: true}
	if err := c.readHead(h, requestLine, waits); err != nil {
		return err
	}
	if err := checkRequest(h); err != nil {
		return err
	}
	c.beginBody(h.Framing)
	return nil
}

// requestLine reads `method SP request-target SP HTTP-version` (RFC 9112 §3): single spaces, nothing else.
func requestLine(h *message.Head, line []byte, limits *Limits) error {
	sp1 := bytes.IndexByte(line, ' ')
	sp2 := bytes.LastIndexByte(line, ' ')
	if sp1 < 1 || sp2 <= sp1+1 || !message.IsToken(line[:sp1]) {
		return errRequestLine
	}
	minor, err := version(line[sp2+1:])
	if err != nil {
		return err
	}
	target := line[sp1+1 : sp2]
	if len(target) > limits.Target {
		return errTargetLong
	}
	h.Method, h.Minor = line[:sp1], minor
	return takeTarget(h, target)
}

// version reads "HTTP/1.0" or "HTTP/1.1" and refuses all else (RFC 9112 §2.3).
func version(b []byte) (minor uint8, err error) {
	if len(b) != 8 || string(b[:5]) != "HTTP/" || b[6] != '.' || !digit(b[5]) || !digit(b[7]) {
		return 0, errRequestLine
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, errVersion
	}
	return b[7] - '0', nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// takeTarget reads the four forms of a request target (RFC 9112 §3.2).
func takeTarget(h *message.Head, target []byte) error {
	if !message.IsTarget(target) {
		return errTarget
	}
	switch {
	case string(h.Method) == "CONNECT":
		return errConnect
	case target[0] == '/':
		h.Target = target
	case string(target) == "*" && string(h.Method) == "OPTIONS":
		h.Target = target
	default:
		return takeAbsolute(h, target)
	}
	if message.HasDotSegment(h.Path()) {
		return errDotSegment
	}
	return nil
}

var (
	schemeEnd = []byte("://")
	slash     = []byte("/")
	asterisk  = []byte("*")
)

// takeAbsolute reads an absolute-form: its authority wins over Host (RFC 9112 §3.2.2).
func takeAbsolute(h *message.Head, target []byte) error {
	i := bytes.Index(target, schemeEnd)
	if i < 0 || !message.EqualFold(target[:i], "http") && !message.EqualFold(target[:i], "https") {
		return errTarget
	}
	rest := target[i+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	h.Authority, h.Target = rest[:end], rest[end:]
	if !message.IsAuthority(h.Authority) {
		return errTarget
	}
	if len(h.Target) == 0 {
		h.Target = emptyPath(h.Method)
		return nil
	}
	if h.Target[0] != '/' {
		return errTarget
	}
	if message.HasDotSegment(h.Path()) {
		return errDotSegment
	}
	return nil
}

// emptyPath is what an absolute-form without a path asks for: the root, or the server as a whole (RFC 9112 §3.2.4).
func emptyPath(method []byte) []byte {
	if string(method) == "OPTIONS" {
		return asterisk
	}
	return slash
}

// checkRequest finds what the fields say about the message and the connection, and refuses what two readers could read
// in two ways.
func checkRequest(h *message.Head) error {
	f, err := scanFraming(h)
	if err != nil {
		return err
	}
	if err := takeHost(h, &f); err != nil {
		return err
	}
	h.Close = closes(h.Minor, &f)
	switch {
	case f.coded:
		h.Framing = message.Framing{Kind: message.Chunked}
	case f.length >= 0:
		h.Framing = message.Framing{Kind: message.Length, Length: f.length}
	}
	if f.upgrades && h.Minor == 1 {
		h.Upgrade = f.upgrade
	}
	return takeExpect(h, &f)
}

// takeHost finds the one authority of a request (RFC 9112 §3.2).
func takeHost(h *message.Head, f *framingFields) error {
	switch {
	case f.hosts > 1:
		return errHostTwice
	case f.hosts == 0 && h.Minor == 1:
		return errHostMissing
	case f.hosts == 1 && !message.IsAuthority(f.host):
		return errHost
	}
	if h.Authority == nil {
		h.Authority = f.host
	}
	return nil
}

// takeExpect knows one expectation; another one cannot be met. An HTTP/1.0 client's is ignored (RFC 9110 §10.1.1).
func takeExpect(h *message.Head, f *framingFields) error {
	if f.expect == nil || h.Minor == 0 {
		return nil
	}
	if !message.EqualFold(f.expect, continues) {
		return errExpect
	}
	h.ExpectContinue = !h.Framing.Empty()
	return nil
}
