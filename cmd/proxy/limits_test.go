package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLimitsOfTheFile: each setting of the file reaches the part that it is for.
func TestLimitsOfTheFile(t *testing.T) {
	h := newHouseWith(t, `limits: {body_bytes: 100B, field_bytes: 1KiB, requests: 2, body_rate: 1MiB, intake_bytes: 2MiB}
timeouts: {first: 200ms, body_grace: 100ms}
`)
	const post = "POST /bytes/1 HTTP/1.1\r\nHost: x\r\n"
	const get = "GET /bytes/1 HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, row := range []struct {
		reason string
		steps  []string // with a wait between them that outlasts first and body_grace
		status string
		last   bool
	}{
		{"limits.body_bytes", []string{post + "Content-Length: 101\r\n\r\n"}, "413", true},
		{"limits.field_bytes", []string{post + "X: " + strings.Repeat("x", 1024) + "\r\n\r\n"}, "431", true},
		{"limits.body_rate and timeouts.body_grace", []string{post + "Content-Length: 10\r\n\r\nx", "x"}, "408", true},
		{"the first request", []string{get}, "200", false},
		{"limits.requests", []string{get, get}, "200", true},
		{"timeouts.first", []string{"", get}, "", true},
	} {
		nc, err := net.Dial("tcp", h.process.addresses[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		br, status, last := bufio.NewReader(nc), "", true
		for i, step := range row.steps {
			if i > 0 && row.steps[0] == "" {
				time.Sleep(2 * time.Second) // the kernel keeps a connection that says nothing for a second or more
			}
			if i > 0 {
				time.Sleep(300 * time.Millisecond)
			}
			io.WriteString(nc, step)
			if i < len(row.steps)-1 && step != get {
				continue
			}
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				break
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			status, last = res.Status[:3], res.Close
		}
		if status != row.status || last != row.last {
			t.Errorf("%s: status %q, last %v", row.reason, status, last)
		}
	}
	if got := h.process.proxy.Intake; got != 2<<20 {
		t.Errorf("limits.intake_bytes: %d", got)
	}
}

// TestAgeOfTheFile: a connection between two requests grows old.
func TestAgeOfTheFile(t *testing.T) {
	h := newHouseWith(t, "timeouts: {age: 200ms}\n")
	nc, err := net.Dial("tcp", h.process.addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	br := bufio.NewReader(nc)
	for _, last := range []bool{false, true} {
		io.WriteString(nc, "GET /bytes/1 HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.Close != last {
			t.Errorf("the last one: %v, want %v", res.Close, last)
		}
		time.Sleep(300 * time.Millisecond)
	}
}
