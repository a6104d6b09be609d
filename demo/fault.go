package demo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Kind is what went wrong, in a word or two.
type Kind string

// The kinds of fault. Every one of them is a request lost, except where Fault.Cut says that a session was cut.
const (
	Refused Kind = "refused"       // no connection could be made
	Reset   Kind = "reset"         // the connection was reset
	Closed  Kind = "closed"        // the connection ended and the answer had not begun
	Short   Kind = "short"         // a body, event or message ended before its end
	Wrong   Kind = "wrong bytes"   // a byte differs from what was asked for
	Illegal Kind = "illegal"       // not HTTP/1.1, or not WebSocket
	Status  Kind = "status"        // an answer that says no
	Surplus Kind = "surplus bytes" // bytes after the end of an answer
	Late    Kind = "late"          // nothing came in time
	Twice   Kind = "twice"         // one request was carried out twice
	Mixed   Kind = "mixed up"      // the answer to another request, or of nobody we know
)

// Fault is one thing that went wrong. It is the concrete type of every error in a Result.
type Fault struct {
	Kind   Kind
	Detail string
	Cut    bool  // a session was ended between two messages, without a goodbye
	Err    error // what the network said, if it did
}

// Error says the kind, then the detail, then the network's own words.
func (f *Fault) Error() string {
	s := string(f.Kind) + ": " + f.Detail
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap returns the network's own error, or nil.
func (f *Fault) Unwrap() error { return f.Err }

func faultf(kind Kind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// netFault makes a fault of a failed read or write. otherwise is the kind of a plain end of the connection.
func netFault(err error, otherwise Kind, format string, args ...any) *Fault {
	var already *Fault
	if errors.As(err, &already) {
		return already
	}
	f := faultf(otherwise, format, args...)
	f.Err = err
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.Kind = Late
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
	case otherwise == Short && errors.Is(err, syscall.ECONNRESET): // what matters is that bytes are missing
	default:
		f.Kind = Reset
	}
	return f
}

// ended reports whether err says that the other side is gone, as opposed to silent or wrong.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
