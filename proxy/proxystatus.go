package proxy

import (
	"errors"
	"net"
	"syscall"

	"sluice/http1"
	"sluice/upstream"
)

// The error types of RFC 9209 §2.3 that are told in Proxy-Status.
const (
	dnsTimeout             = "dns_timeout"
	dnsError               = "dns_error"
	destinationNotFound    = "destination_not_found"
	destinationUnavailable = "destination_unavailable"
	destinationUnroutable  = "destination_ip_unroutable"
	connectionRefused      = "connection_refused"
	connectionTerminated   = "connection_terminated"
	connectionTimeout      = "connection_timeout"
	connectionWriteTimeout = "connection_write_timeout"
	connectionLimitReached = "connection_limit_reached"
	httpRequestError       = "http_request_error"
	httpResponseIncomplete = "http_response_incomplete"
	httpResponseTimeout    = "http_response_timeout"
	httpUpgradeFailed      = "http_upgrade_failed"
	httpProtocolError      = "http_protocol_error"
	proxyInternalResponse  = "proxy_internal_response"
	proxyInternalError     = "proxy_internal_error"
	proxyLoopDetected      = "proxy_loop_detected"
)

// sent is how much of a request any backend may have read: what its client has to know to send it again.
type sent uint8

const (
	sentNone    sent = iota // provably none of it
	sentPartial             // the beginning, perhaps
	sentFull
)

func (s sent) String() string { return [...]string{"none", "partial", "full"}[s] }

// noteSent looks at an attempt that failed. What one backend may have read stays said, whatever the next one did.
func (ex *Exchange) noteSent(err error) {
	up, ok := err.(*upstream.Error)
	now := sentFull
	switch {
	case ok && (!up.Sent || up.Untaken):
		now = sentNone
	case ok && up.Phase == upstream.Sending, ex.bodyCut:
		now = sentPartial
	}
	ex.sent = max(ex.sent, now)
}

// proxyStatus is the Proxy-Status of an answer of our own (RFC 9209 §2).
func (ex *Exchange) proxyStatus(err *Error) []byte {
	b := append(make([]byte, 0, 80), "sluice; error="...)
	b = append(b, err.kind()...)
	b = append(b, `; details="sent=`...)
	b = append(b, ex.sent.String()...)
	return append(b, '"')
}

// kind is the error type of a failure.
func (e *Error) kind() string {
	var up *upstream.Error
	switch {
	case e.Type != "":
		return e.Type
	case e.Status/100 == 4:
		return httpRequestError
	case errors.As(e.Err, &up):
		return failureKind(up)
	case e.Status == 503:
		return destinationUnavailable
	}
	return proxyInternalError
}

func failureKind(up *upstream.Error) string {
	var malformed *http1.Error
	switch {
	case up.Phase == upstream.Dialling:
		return dialKind(up)
	case up.Phase == upstream.Sending && up.Timeout:
		return connectionWriteTimeout
	case up.Timeout:
		return httpResponseTimeout
	case up.Phase < upstream.Reading:
		return connectionTerminated
	case errors.As(up.Err, &malformed):
		return httpProtocolError
	}
	return httpResponseIncomplete
}

func dialKind(up *upstream.Error) string {
	var dns *net.DNSError
	switch {
	case errors.As(up.Err, &dns) && dns.IsTimeout:
		return dnsTimeout
	case errors.As(up.Err, &dns):
		return dnsError
	case up.Timeout:
		return connectionTimeout
	case up.Refused():
		return connectionRefused
	case errors.Is(up.Err, syscall.ENETUNREACH), errors.Is(up.Err, syscall.EHOSTUNREACH):
		return destinationUnroutable
	}
	return destinationUnavailable
}
