package proxy

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/http1"
	"sluice/upstream"
)

func TestErrorTypes(t *testing.T) {
	failed := func(phase upstream.Phase, timeout bool, err error) *Error {
		return &Error{Status: 502, Err: &upstream.Error{Phase: phase, Timeout: timeout, Err: err}}
	}
	for want, list := range map[string][]*Error{
		"destination_not_found":     {errNoRoute},
		"destination_unavailable":   {errNoBackend, failed(upstream.Dialling, false, io.EOF), {Status: 503}},
		"connection_limit_reached":  {errFull},
		"proxy_loop_detected":       {errLoop},
		"http_request_error":        {errBodyLarge, errBodySlow, errTrace, {Status: 431}},
		"http_protocol_error":       {errInterim, failed(upstream.Reading, false, &http1.Error{Status: 502})},
		"http_upgrade_failed":       {errUpgrade},
		"proxy_internal_response":   {errCut},
		"proxy_internal_error":      {{Status: 500}},
		"connection_refused":        {failed(upstream.Dialling, false, syscall.ECONNREFUSED)},
		"connection_timeout":        {failed(upstream.Dialling, true, context.DeadlineExceeded)},
		"destination_ip_unroutable": {failed(upstream.Dialling, false, syscall.EHOSTUNREACH)},
		"dns_error":                 {failed(upstream.Dialling, false, &net.DNSError{})},
		"dns_timeout":               {failed(upstream.Dialling, true, &net.DNSError{IsTimeout: true})},
		"connection_write_timeout":  {failed(upstream.Sending, true, os.ErrDeadlineExceeded)},
		"connection_terminated":     {failed(upstream.Sending, false, syscall.EPIPE), failed(upstream.Waiting, false, io.EOF), errBrokenOff},
		"http_response_timeout":     {failed(upstream.Waiting, true, os.ErrDeadlineExceeded), failed(upstream.Reading, true, os.ErrDeadlineExceeded)},
		"http_response_incomplete":  {failed(upstream.Reading, false, http1.ErrTruncated)},
	} {
		for _, err := range list {
			if got := err.kind(); got != want {
				t.Errorf("%v: %s, want %s", err, got, want)
			}
		}
	}
}

// TestProxyStatusSaysWhatWasSent: a client whose request failed is told whether a backend may have read it.
func TestProxyStatusSaysWhatWasSent(t *testing.T) {
	const line = "Proxy-Status: sluice; error="
	t.Run("none", func(t *testing.T) {
		w := newWorld(t, 1, generous)
		w.origins[0].l.Close()
		w.ask(post0).has("HTTP/1.1 502", line+`connection_refused; details="sent=none"`)
	})
	t.Run("full", func(t *testing.T) {
		w := newWorld(t, 1, generous)
		c := w.ask(post0)
		b := w.origins[0].conn()
		b.head()
		b.Close()
		c.has("HTTP/1.1 502", line+`connection_terminated; details="sent=full"`)
	})
	t.Run("full, and then refused elsewhere", func(t *testing.T) {
		w := newWorld(t, 2, generous)
		w.origins[1].l.Close()
		c := w.ask(get)
		b := w.origins[0].conn()
		b.head()
		b.Close()
		c.has("HTTP/1.1 502", `Proxy-Status: sluice; error=connection_refused; details="sent=full"`)
	})
	t.Run("partial", func(t *testing.T) {
		w := newWorld(t, 1, Timeouts{Response: time.Second, Body: 80 * time.Millisecond, Write: time.Second})
		c := w.ask(post, long, enough)
		b := w.origins[0].conn()
		b.head()
		c.has("HTTP/1.1 408", line+`http_request_error; details="sent=partial"`)
	})
	t.Run("slow", func(t *testing.T) {
		w := newWorld(t, 1, Timeouts{Response: 80 * time.Millisecond, Body: time.Second, Write: time.Second})
		c := w.ask(get)
		w.origins[0].conn().head()
		c.has("HTTP/1.1 504", line+`http_response_timeout; details="sent=full"`)
	})
	t.Run("an answer of the backend's has none", func(t *testing.T) {
		w := newWorld(t, 1, generous)
		c := w.ask(get)
		b := w.origins[0].conn()
		b.head()
		b.send("HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n")
		if head := c.head(); strings.Contains(head, "Proxy-Status") {
			t.Error(head)
		}
	})
}
