package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sluice/message"
)

var (
	nameContentType  = []byte("Content-Type")
	nameCacheControl = []byte("Cache-Control")
	nameRetryAfter   = []byte("Retry-After")
	nameAllow        = []byte("Allow")
	nameProxyStatus  = []byte("Proxy-Status")
	valueText        = []byte("text/plain; charset=utf-8")
	valueNoStore     = []byte("no-store")
	valueAllow       = []byte("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
)

// reason is the phrase of a status.
func reason(status int) []byte { return []byte(http.StatusText(status)) }

// fail tells the client what went wrong, if it can still be told; a response that had begun is left visibly incomplete.
func (ex *Exchange) fail(err *Error) {
	ex.Err = err
	switch {
	case ex.begun || err.Status == statusClientGone:
		ex.Close, ex.broken = true, ex.begun
		ex.Client.Abort()
		if !ex.begun {
			ex.Status = err.Status
		}
	default:
		ex.Refuse(err)
	}
}

// Refuse answers with an error of our own. The text says what happened, and which request it was.
func (ex *Exchange) Refuse(err *Error) {
	ex.Err, ex.Status = err, err.Status
	h := &ex.response
	h.Reset()
	h.Status, h.Reason = err.Status, reason(err.Status)
	h.Add(message.ContentType, nameContentType, valueText)
	h.Add(message.CacheControl, nameCacheControl, valueNoStore)
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	h.Add(message.Other, nameProxyStatus, ex.proxyStatus(err))
	switch err.Status {
	case http.StatusMethodNotAllowed:
		h.Add(message.Other, nameAllow, valueAllow)
	case http.StatusServiceUnavailable:
		h.Add(message.Other, nameRetryAfter, strconv.AppendInt(nil, int64(ex.retryAfter()/time.Second), 10))
	}
	ex.mark(h)
	body := fmt.Appendf(nil, "%d %s: %s\nrequest %s\n", err.Status, http.StatusText(err.Status), err.What, ex.id.bytes())
	ex.answer(h, body)
}

// answerOptions answers for the server as a whole, as the last recipient of a request that may go no further.
func (ex *Exchange) answerOptions() *Error {
	ex.Status = http.StatusOK
	h := &ex.response
	h.Reset()
	h.Status, h.Reason = ex.Status, reason(ex.Status)
	h.Add(message.Other, nameAllow, valueAllow)
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	if ex.answer(h, nil) != nil {
		return errGone
	}
	return nil
}

// answer writes a response of our own.
func (ex *Exchange) answer(h *message.Head, body []byte) error {
	h.Framing = message.Framing{Kind: message.Length, Length: int64(len(body))}
	ex.begun = true
	ex.Client.ArmWrite(refuseWithin)
	if _, whole := ex.Client.WholeBody(); !whole {
		ex.Close = true
	}
	if err := ex.Client.WriteResponse(h); err != nil {
		return err
	}
	if !ex.Request.IsHead() {
		ex.Client.WriteBody(body)
	}
	return ex.Client.Flush()
}

// refuseWithin is how long the writing of a refusal may take; it fits into any socket buffer that is not stuck.
const refuseWithin = 5 * time.Second

// retryAfter is a whole number of seconds, at least one.
func (ex *Exchange) retryAfter() time.Duration {
	if ex.Service == nil {
		return time.Second
	}
	return max(time.Second, ex.Service.Retry)
}
