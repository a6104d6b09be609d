package proxy

import (
	"errors"
	"os"

	"sluice/http1"
	"sluice/upstream"
)

// Fault says whose fault a failure is.
type Fault uint8

const (
	ByClient   Fault = iota // what it sent, or that it left
	ByBackend               // it did not answer, or answered badly
	ByOperator              // nothing routes there, nothing is ready, or a drain cut it
	ByUs
)

func (f Fault) String() string {
	return [...]string{"client", "backend", "operator", "sluice"}[f]
}

// MarshalText writes the fault as its name.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Error is an exchange that failed: what failed, whose fault it is, and the status that says so to the client.
// Whether it may be retried is decided by retryable, from what lies below.
type Error struct {
	Status int // 499: the client left, and nobody reads a status
	Fault  Fault
	What   string // for people: a short sentence
	Type   string // as RFC 9209 §2.3 names it; empty: what Err and Status say
	Err    error  // what lies below; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

const statusClientGone = 499

var (
	errNoRoute   = &Error{Status: 404, Fault: ByOperator, Type: destinationNotFound, What: "no service has this host and path"}
	errNoBackend = &Error{Status: 503, Fault: ByOperator, Type: destinationUnavailable, What: "no backend is ready"}
	errFull      = &Error{Status: 503, Fault: ByOperator, Type: connectionLimitReached, What: "each backend is at its max_connections"}
	errLoop      = &Error{Status: 508, Fault: ByOperator, Type: proxyLoopDetected, What: "the request came back to this proxy"}
	errGone      = &Error{Status: statusClientGone, Fault: ByClient, What: "the client left"}
	errCut       = &Error{Status: 503, Fault: ByOperator, Type: proxyInternalResponse, What: "cut at the end of a drain"}
	errUpgrade   = &Error{Status: 502, Fault: ByBackend, Type: httpUpgradeFailed, What: "the backend switched protocols unasked"}
	errNominated = &Error{Status: 400, Fault: ByClient, What: "Connection names too many fields"}
	errBodyLarge = &Error{Status: 413, Fault: ByClient, What: "the request body is larger than the service takes"}
	errBodySlow  = &Error{Status: 408, Fault: ByClient, What: "the request body came too slowly"}
	errBroken    = &Error{Status: statusClientGone, Fault: ByClient, What: "the client broke the tunnel off"}
	errBrokenOff = &Error{Status: 502, Fault: ByBackend, Type: connectionTerminated, What: "the backend broke the tunnel off"}
	errNominates = &Error{Status: 502, Fault: ByBackend, Type: httpProtocolError, What: "the backend's Connection names too many fields"}
	errTrace     = &Error{Status: 405, Fault: ByClient, What: "TRACE is not passed on (RFC 9110 §9.3.8)"}
	errTwice     = &Error{Status: 400, Fault: ByClient, What: "a field that has one value was sent twice (RFC 9110 §5.3)"}
	errForwards  = &Error{Status: 400, Fault: ByClient, What: "malformed Max-Forwards (RFC 9110 §7.6.2)"}
	errEscape    = &Error{Status: 400, Fault: ByClient, What: "malformed escape in the path, or one that no path needs (RFC 3986 §2.1)"}
	errUnclear   = &Error{Status: 400, Fault: ByClient, What: "servers read this path in different ways, and it is another service's in one of them"}
	errInterim   = &Error{Status: 502, Fault: ByBackend, Type: httpProtocolError, What: "the backend sent too many interim responses"}
)

// failure turns what a round trip returned into what the client is told.
func (ex *Exchange) failure(err error) *Error {
	var own *Error
	switch {
	case ex.gone.Load():
		return errGone
	case ex.cut.Load():
		return errCut
	case errors.As(err, &own):
		return own
	}
	if clientErr := ex.pump.clientError(); clientErr != nil {
		return clientFailure(clientErr)
	}
	var up *upstream.Error
	if errors.As(err, &up) && up.Timeout {
		return &Error{Status: 504, Fault: ByBackend, What: "the backend took too long", Err: err}
	}
	return &Error{Status: 502, Fault: ByBackend, What: "the backend failed", Err: err}
}

// clientFailure is a request body that did not come to its end.
func clientFailure(err error) *Error {
	var own *Error
	var malformed *http1.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &malformed):
		return &Error{Status: malformed.Status, Fault: ByClient, What: "malformed request body", Err: err}
	case errors.Is(err, http1.ErrTruncated):
		// The client may have ended only its own side, and can then be told (RFC 9112 §8).
		return &Error{Status: 400, Fault: ByClient, What: "the request ended inside its body", Err: err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: 408, Fault: ByClient, What: "the request body stopped", Err: err}
	}
	return errGone
}
