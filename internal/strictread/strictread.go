// Package strictread reads one HTTP/1.1 message from bytes, simply and slowly, by the letter of RFC 9112. It is the judge
// in tests: what arrives at a backend must be one well-formed message for it, and what Sluice accepts it must accept and
// read the same. It shares nothing with the readers it judges, and knows no connections and no limits.
//
// Where the RFC lets a recipient be lenient (bare LF, merged lengths, empty list members) it is not. Where it is more
// lenient than the grammar, the reason stands at the rule.
package strictread

import (
	"bytes"
	"errors"
	"strings"
)

// ErrIncomplete says that the bytes end inside a message that may still become a good one.
var ErrIncomplete = errors.New("strictread: the message is not whole")

// Error is a rule that the message breaks.
type Error struct{ Rule, What string }

func (e *Error) Error() string { return "strictread: " + e.What + " (" + e.Rule + ")" }

func broken(rule, what string) error { return &Error{Rule: rule, What: what} }

// Field is one field line, its name as it was sent.
type Field struct{ Name, Value string }

// Message is what requests and responses have in common.
type Message struct {
	Minor    int // HTTP/1.Minor
	Fields   []Field
	Length   int64 // of the Content-Length; -1 where there is none
	Chunked  bool
	Body     []byte
	Trailers []Field
	Close    bool // the connection ends after it (RFC 9112 §9.3)
}

// Request is one whole request.
type Request struct {
	Message
	Method string
	Target string // as it was sent
	Path   string // the origin-form of it, with its query, or "*"
	Host   string // the authority that the request is for: of an absolute-form, or else of Host
}

// Response is one whole response.
type Response struct {
	Message
	Status     int
	Reason     string
	UntilClose bool // the body is all that came: only the close says whether it is whole
}

// Values are those of all fields with the name, whatever its case.
func (m *Message) Values(name string) (values []string) {
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// ReadRequest reads the request that b begins with, and returns what stands behind it. One empty line may stand before it
// (RFC 9112 §2.2).
func ReadRequest(b []byte) (r *Request, rest []byte, err error) {
	r = new(Request)
	b = bytes.TrimPrefix(b, []byte("\r\n"))
	line, b, err := line(b)
	if err != nil {
		return nil, nil, err
	}
	if err := r.requestLine(line); err != nil {
		return nil, nil, err
	}
	if r.Fields, b, err = fields(b); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(r.framing(), r.authority()); err != nil {
		return nil, nil, err
	}
	if b, err = r.body(b); err != nil {
		return nil, nil, err
	}
	return r, b, nil
}

// requestLine is `method SP request-target SP HTTP-version` (RFC 9112 §3).
func (r *Request) requestLine(line string) (err error) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) {
		return broken("RFC 9112 §3", "the request line is not method, target and version")
	}
	r.Method, r.Target = parts[0], parts[1]
	if r.Minor, err = version(parts[2]); err != nil {
		return err
	}
	return r.target()
}

// target is one of the four forms of RFC 9112 §3.2. The authority-form is left out: it is for CONNECT alone, whose
// answer begins a tunnel and is no matter of framing.
func (r *Request) target() error {
	switch {
	case strings.HasPrefix(r.Target, "/"):
		r.Path = r.Target
	case r.Target == "*" && r.Method == "OPTIONS":
		r.Path = "*"
	default:
		scheme, rest, ok := strings.Cut(r.Target, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return broken("RFC 9112 §3.2", "the target has none of the forms")
		}
		r.absolute(rest)
		if !isAuthority(r.Host) {
			return broken("RFC 9110 §4.2", "the authority of the target is malformed")
		}
	}
	if r.Path != "*" && !isPathAndQuery(r.Path) {
		return broken("RFC 3986 §3.3", "a byte in the target that must not stand there")
	}
	return nil
}

// absolute splits authority and path. Without a path it asks for the root, or with OPTIONS for the server as a whole
// (RFC 9112 §3.2.1, §3.2.4).
func (r *Request) absolute(rest string) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	r.Host, r.Path = rest[:end], rest[end:]
	switch {
	case r.Path == "" && r.Method == "OPTIONS":
		r.Path = "*"
	case !strings.HasPrefix(r.Path, "/"):
		r.Path = "/" + r.Path
	}
}

// authority holds the rules for Host (RFC 9112 §3.2). An empty one is refused: the http and https schemes demand a host
// (RFC 9110 §4.2.1).
func (r *Request) authority() error {
	hosts := r.Values("Host")
	switch {
	case len(hosts) > 1:
		return broken("RFC 9112 §3.2", "more than one Host")
	case len(hosts) == 0 && r.Minor == 1:
		return broken("RFC 9112 §3.2", "no Host")
	case len(hosts) == 1 && !isAuthority(hosts[0]):
		return broken("RFC 9112 §3.2", "a Host that is none")
	case len(hosts) == 1 && r.Host == "":
		r.Host = hosts[0]
	}
	return nil
}

// ReadResponse reads the response that b begins with, interim or final, and returns what stands behind it. method is that
// of the request: without it no response can be read (RFC 9112 §6.3).
func ReadResponse(b []byte, method string) (r *Response, rest []byte, err error) {
	r = new(Response)
	line, b, err := line(b)
	if err != nil {
		return nil, nil, err
	}
	if err := r.statusLine(line); err != nil {
		return nil, nil, err
	}
	if r.Fields, b, err = fields(b); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(r.framing(), r.bodiless()); err != nil {
		return nil, nil, err
	}
	if b, err = r.content(b, method); err != nil {
		return nil, nil, err
	}
	return r, b, nil
}

// statusLine is `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The second space may be absent with the
// phrase: that is how many servers write it, and it is the end of the line in any reading.
func (r *Response) statusLine(line string) (err error) {
	parts := strings.SplitN(line, " ", 3)
	if len(parts) < 2 {
		return broken("RFC 9112 §4", "the status line has no status")
	}
	if r.Minor, err = version(parts[0]); err != nil {
		return err
	}
	code := parts[1]
	if len(code) != 3 || !isDigits(code) || code[0] < '1' || code[0] > '5' {
		return broken("RFC 9110 §15", "the status is not between 100 and 599")
	}
	r.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	if len(parts) == 3 {
		r.Reason = parts[2]
	}
	if !isText(r.Reason) {
		return broken("RFC 9112 §4", "a control byte in the reason")
	}
	return nil
}

// bodiless holds what a 1xx and a 204 must not have, and what a 101 must: a Transfer-Encoding (RFC 9112 §6.1) and a Content-Length (RFC 9110
// §8.6). A length of 0 is let through: much that is deployed sends it, and it is true.
func (r *Response) bodiless() error {
	switch {
	case r.Status >= 200 && r.Status != 204:
		return nil
	case r.Chunked || r.Length > 0:
		return broken("RFC 9112 §6.1, RFC 9110 §8.6", "framing of a body in a response that has none")
	case r.Status < 200 && r.Minor == 0:
		return broken("RFC 9110 §15.2", "an interim response in HTTP/1.0")
	case r.Status == 101 && (strings.Join(r.Values("Upgrade"), "") == "" || !r.option("upgrade")):
		return broken("RFC 9110 §7.8", "a switch of protocols that does not say to which")
	}
	return nil
}

// content is the order of RFC 9112 §6.3.
func (r *Response) content(b []byte, method string) (rest []byte, err error) {
	switch {
	case method == "HEAD" || r.Status < 200 || r.Status == 204 || r.Status == 304:
		return b, nil
	case r.Chunked || r.Length >= 0:
		return r.body(b)
	}
	r.Body, r.UntilClose, r.Close = b, true, true
	return nil, nil
}
