package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// wireMessage is a message in the one form that Sluice may write. What is well-formed and not in that form was passed on
// rather than written anew, and is an error here too.
type wireMessage struct {
	first    string
	fields   []wireField
	body     []byte
	trailers []wireField
	whole    bool
	raw      []byte
}

type wireField struct{ name, value string }

// errShort says that the bytes end inside a message.
var errShort = errors.New("the bytes end inside a message")

var (
	requestForm = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ (/[!-\"$-~]*|\\*) HTTP/1\\.1$")
	statusForm  = regexp.MustCompile(`^HTTP/1\.1 [1-9][0-9][0-9] [\t -~\x80-\xff]*$`)
	fieldForm   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~\\x80-\\xff]([\\t -~\\x80-\\xff]*[!-~\\x80-\\xff])?)?$")
	sizeForm    = regexp.MustCompile(`^(0|[1-9a-fA-F][0-9a-fA-F]*)$`)
)

// latin writes each byte as a character of its own: an expression would take bytes that are no UTF-8 for one and the same.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// get returns the values of a field, joined as a list.
func (m *wireMessage) get(name string) string {
	var values []string
	for _, f := range m.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return strings.Join(values, ", ")
}

func (m *wireMessage) count(name string) (n int) {
	for _, f := range m.fields {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

// method and target are those of a request.
func (m *wireMessage) method() string { return strings.SplitN(m.first, " ", 2)[0] }
func (m *wireMessage) target() string { return strings.SplitN(m.first, " ", 3)[1] }

// status is that of a response.
func (m *wireMessage) status() int {
	n, _ := strconv.Atoi(m.first[9:12])
	return n
}

// readWireRequest reads one request off b and returns what is behind it. With errShort the message has what there was.
func readWireRequest(b []byte) (m *wireMessage, rest []byte, err error) {
	m, rest, err = readWireHead(b, requestForm)
	if err != nil {
		return m, b, err
	}
	if n := m.count("Host"); n != 1 {
		return m, b, fmt.Errorf("%d Host fields", n)
	}
	for _, single := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"} {
		if n := m.count(single); n != 1 {
			return m, b, fmt.Errorf("%d fields %s", n, single)
		}
	}
	return m.readBody(b, rest)
}

// readWireResponse is readWireRequest for a response to a request of that method. ended says that nothing will follow.
func readWireResponse(b []byte, method string, ended bool) (m *wireMessage, rest []byte, err error) {
	m, rest, err = readWireHead(b, statusForm)
	if err != nil {
		return m, b, err
	}
	if s := m.status(); method == "HEAD" || s < 200 || s == 204 || s == 304 {
		m.whole = true
		return m, rest, nil
	}
	if m.count("Content-Length")+m.count("Transfer-Encoding") == 0 {
		m.body, m.whole = rest, ended
		return m, nil, nil
	}
	return m.readBody(b, rest)
}

func readWireHead(b []byte, form *regexp.Regexp) (*wireMessage, []byte, error) {
	m := &wireMessage{raw: b}
	head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return m, nil, errShort
	}
	first, lines, _ := strings.Cut(string(head), "\r\n")
	if !form.MatchString(latin(first)) {
		return m, nil, fmt.Errorf("the first line is %q", first)
	}
	m.first = first
	var err error
	m.fields, err = readWireFields(lines)
	return m, rest, err
}

func readWireFields(lines string) (fields []wireField, err error) {
	if lines == "" {
		return nil, nil
	}
	for line := range strings.SplitSeq(lines, "\r\n") {
		if !fieldForm.MatchString(latin(line)) {
			return fields, fmt.Errorf("a field line is %q", line)
		}
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, wireField{name, value})
	}
	return fields, nil
}

// readBody reads a body that is framed in one way.
func (m *wireMessage) readBody(b, rest []byte) (*wireMessage, []byte, error) {
	length, coding := m.get("Content-Length"), m.get("Transfer-Encoding")
	switch {
	case m.count("Content-Length")+m.count("Transfer-Encoding") > 1:
		return m, b, fmt.Errorf("framed by length %q and coding %q", length, coding)
	case coding == "chunked":
		return m.readChunks(b, rest)
	case coding != "":
		return m, b, fmt.Errorf("coded as %q", coding)
	case length == "" && m.count("Content-Length") == 0:
		m.whole = true
		return m, rest, nil
	}
	n, err := strconv.ParseUint(length, 10, 62)
	if err != nil || strconv.FormatUint(n, 10) != length {
		return m, b, fmt.Errorf("the length is %q", length)
	}
	if n > uint64(len(rest)) {
		m.body = rest
		return m, b, errShort
	}
	m.body, m.whole = rest[:n], true
	return m, rest[n:], nil
}

func (m *wireMessage) readChunks(b, rest []byte) (*wireMessage, []byte, error) {
	for {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return m, b, errShort
		}
		if !sizeForm.Match(line) {
			return m, b, fmt.Errorf("a chunk's size is %q", line)
		}
		n, err := strconv.ParseUint(string(line), 16, 40)
		if err != nil {
			return m, b, err
		}
		if n == 0 {
			return m.readTrailers(b, after)
		}
		if uint64(len(after)) < n+2 {
			m.body = append(m.body, after[:min(n, uint64(len(after)))]...)
			return m, b, errShort
		}
		if string(after[n:n+2]) != "\r\n" {
			return m, b, fmt.Errorf("%q behind a chunk", after[n:n+2])
		}
		m.body, rest = append(m.body, after[:n]...), after[n+2:]
	}
}

func (m *wireMessage) readTrailers(b, rest []byte) (*wireMessage, []byte, error) {
	if bytes.HasPrefix(rest, []byte("\r\n")) {
		m.whole = true
		return m, rest[2:], nil
	}
	lines, after, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
	if !ok {
		return m, b, errShort
	}
	var err error
	m.trailers, err = readWireFields(string(lines))
	m.whole = err == nil
	return m, after, err
}
