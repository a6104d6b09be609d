// Package message is a request or response head as every protocol agrees on it: a method and a target, or a status, and
// fields. It knows the names and the grammar of RFC 9110, and refuses to know bytes on the wire, connections or proxying.
package message

// Head is the head of one request or response. Its slices point into the buffer of whoever read it and live as long as
// that buffer says; a Head is used again for the next message. It has no lock: one goroutine owns it at a time.
type Head struct {
	// Of a request.
	Method    []byte // a token, case-sensitive
	Target    []byte // origin-form ("/path?query") or "*"; an absolute-form has been taken apart
	Authority []byte // the host and optional port the request is for; empty when an HTTP/1.0 client named none

	// Of a response.
	Status int
	Reason []byte

	Minor  uint8 // HTTP/1.Minor, as the peer wrote it; 1 for later protocols
	Close  bool  // the peer will not keep the connection after this message (RFC 9112 §9.3)
	Fields []Field

	Framing        Framing // how the body ends
	ExpectContinue bool    // Expect: 100-continue (RFC 9110 §10.1.1)
	Upgrade        []byte  // the protocol asked for or switched to, when Connection names Upgrade (RFC 9110 §7.8)
}

// Reset empties the head for the next message and keeps the memory of its fields.
func (h *Head) Reset() {
	fields := h.Fields[:0]
	*h = Head{Fields: fields, Minor: 1}
}

// Path is the target without its query.
func (h *Head) Path() []byte {
	for i, c := range h.Target {
		if c == '?' {
			return h.Target[:i]
		}
	}
	return h.Target
}

// IsHead reports whether the method is HEAD, whose response has no body whatever its fields say (RFC 9110 §9.3.2).
func (h *Head) IsHead() bool { return string(h.Method) == "HEAD" }

// Idempotent reports whether doing the request twice means the same as once (RFC 9110 §9.2.2).
func (h *Head) Idempotent() bool {
	switch string(h.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Interim reports whether a response head is a 1xx that another one follows. 101 is final: it switches the protocol.
func (h *Head) Interim() bool { return h.Status >= 100 && h.Status < 200 && h.Status != 101 }

// Kind says how a body ends. It is a closed set.
type Kind uint8

const (
	None       Kind = iota // there is no body
	Length                 // after Framing.Length bytes
	Chunked                // with the last chunk and the trailer section (RFC 9112 §7.1)
	UntilClose             // when the connection closes; responses only (RFC 9112 §6.3 item 8)
)

// Framing is how the body of a message ends.
type Framing struct {
	Kind   Kind
	Length int64 // bytes, with Kind Length
}

// Known reports whether the length of the body is known before it is read.
func (f Framing) Known() bool { return f.Kind == None || f.Kind == Length }

// Empty reports whether there are no body bytes to come.
func (f Framing) Empty() bool { return f.Kind == None || f.Kind == Length && f.Length == 0 }
