package strictread

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// line takes the first line off. Lines end with CRLF; a bare LF or CR is none (RFC 9112 §2.2).
func line(b []byte) (line string, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return "", nil, ErrIncomplete
	}
	if i == 0 || b[i-1] != '\r' {
		return "", nil, broken("RFC 9112 §2.2", "a line ended by a bare LF")
	}
	line = string(b[:i-1])
	if strings.ContainsRune(line, '\r') {
		return "", nil, broken("RFC 9112 §2.2", "a bare CR")
	}
	return line, b[i+1:], nil
}

// fields takes field lines off, and the empty line behind them (RFC 9112 §5, §7.1.2).
func fields(b []byte) (list []Field, rest []byte, err error) {
	for {
		var l string
		if l, b, err = line(b); err != nil {
			return nil, nil, err
		}
		if l == "" {
			return list, b, nil
		}
		name, value, colon := strings.Cut(l, ":")
		switch value = strings.Trim(value, " \t"); {
		case l[0] == ' ' || l[0] == '\t':
			return nil, nil, broken("RFC 9112 §5.2", "a folded field line")
		case !colon:
			return nil, nil, broken("RFC 9112 §5", "a field line without a colon")
		case !isToken(name):
			return nil, nil, broken("RFC 9112 §5.1", "a field name that is no token")
		case !isText(value):
			return nil, nil, broken("RFC 9110 §5.5", "a control byte in a field value")
		}
		list = append(list, Field{name, value})
	}
}

func version(s string) (minor int, err error) {
	switch s {
	case "HTTP/1.1":
		return 1, nil
	case "HTTP/1.0":
		return 0, nil
	}
	return 0, broken("RFC 9112 §2.3", "the version is neither HTTP/1.0 nor HTTP/1.1")
}

// framing finds how the body ends (RFC 9112 §6.3), and whether the connection ends after it (§9.3).
func (m *Message) framing() (err error) {
	lengths, codings := m.Values("Content-Length"), m.Values("Transfer-Encoding")
	m.Length, m.Close = -1, m.closes()
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return broken("RFC 9112 §6.3 item 3", "Content-Length and Transfer-Encoding")
	case len(lengths) > 1:
		return broken("RFC 9112 §6.3 item 5", "more than one Content-Length")
	case len(codings) > 0:
		return m.coding(codings)
	case len(lengths) == 0:
		return nil
	}
	if !isDigits(lengths[0]) {
		return broken("RFC 9110 §8.6", "a Content-Length that is no number")
	}
	if m.Length, err = strconv.ParseInt(lengths[0], 10, 64); err != nil {
		return broken("RFC 9110 §8.6", "a Content-Length beyond all reason")
	}
	return nil
}

// coding takes exactly one chunked coding, which every HTTP/1.1 recipient knows, and none in HTTP/1.0 (RFC 9112 §6.1).
func (m *Message) coding(codings []string) error {
	if m.Minor == 0 {
		return broken("RFC 9112 §6.1", "Transfer-Encoding in HTTP/1.0")
	}
	if len(codings) > 1 || !foldedASCII(codings[0], "chunked") {
		return broken("RFC 9112 §6.1", "Transfer-Encoding that is not chunked once")
	}
	m.Chunked = true
	return nil
}

func (m *Message) closes() bool {
	return m.option("close") || m.Minor == 0 && !m.option("keep-alive")
}

// option reports whether Connection names an option (RFC 9110 §7.6.1).
func (m *Message) option(lower string) bool {
	options := strings.Split(strings.Join(m.Values("Connection"), ","), ",")
	return slices.ContainsFunc(options, func(o string) bool { return foldedASCII(strings.Trim(o, " \t"), lower) })
}

func (m *Message) body(b []byte) (rest []byte, err error) {
	switch {
	case m.Chunked:
		return m.chunks(b)
	case m.Length < 0:
		return b, nil
	case m.Length > int64(len(b)):
		return nil, ErrIncomplete
	}
	m.Body = b[:m.Length]
	return b[m.Length:], nil
}

// chunks is `*chunk last-chunk trailer-section CRLF` (RFC 9112 §7.1).
func (m *Message) chunks(b []byte) (rest []byte, err error) {
	for {
		var l string
		if l, b, err = line(b); err != nil {
			return nil, err
		}
		size, err := chunkSize(l)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			m.Trailers, b, err = fields(b)
			return b, err
		}
		if size > int64(len(b)) {
			return nil, ErrIncomplete
		}
		m.Body = append(m.Body, b[:size]...)
		if b, err = chunkEnd(b[size:]); err != nil {
			return nil, err
		}
	}
}

func chunkEnd(b []byte) (rest []byte, err error) {
	switch {
	case bytes.HasPrefix(b, []byte("\r\n")):
		return b[2:], nil
	case len(b) == 0 || string(b) == "\r":
		return nil, ErrIncomplete
	}
	return nil, broken("RFC 9112 §7.1", "chunk data that does not end where it should")
}

// chunkSize is `chunk-size [ chunk-ext ]`, the size being 1*HEXDIG.
func chunkSize(l string) (size int64, err error) {
	digits := len(l) - len(strings.TrimLeft(l, "0123456789abcdefABCDEF"))
	if digits == 0 {
		return 0, broken("RFC 9112 §7.1", "a chunk without a size")
	}
	if size, err = strconv.ParseInt(l[:digits], 16, 64); err != nil {
		return 0, broken("RFC 9112 §7.1", "a chunk size beyond all reason")
	}
	if !isChunkExtension(l[digits:]) {
		return 0, broken("RFC 9112 §7.1.1", "a malformed chunk extension")
	}
	return size, nil
}
