package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/message"
)

func TestLargeResponse(t *testing.T) {
	const n = 200_000 // more than a socket holds unread
	v := inPieces(t, ok(fmt.Sprintf("Content-Length: %d\r\n", n), strings.Repeat("x", n)), &testLimits, response)
	if want := fmt.Sprintf("200 \"OK\" length=%d %q\n", n, strings.Repeat("x", n)); v.seen != want || v.err != io.EOF {
		t.Errorf("%v\n%.300s", v.err, v.seen)
	}
}

func TestLimitsOfAResponse(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		wire   string
	}{
		{"fields", 431, ok(strings.Repeat("X: 1\r\n", 21), "")},
		{"head", 431, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 2000)+"\r\n", 10)},
		{"line without end", 431, "HTTP/1.1 200 " + strings.Repeat("a", 17<<10)},
		{"line", 431, status("HTTP/1.1 200 " + strings.Repeat("a", 17<<10))},
		{"head just fits", 0, ok("X: "+strings.Repeat("a", 16<<10-len(ok("X: \r\nContent-Length: 1\r\n", "")))+"\r\nContent-Length: 1\r\n", "x")},
	} {
		if v := inEveryWay(t, row.wire, &testLimits, response); v.status() != row.status {
			t.Errorf("%s: %v, want status %d", row.name, v.err, row.status)
		}
	}
}

func TestResponsesInARow(t *testing.T) {
	v := inEveryWay(t, ok("Content-Length: 1\r\n", "a")+ok(chunked, "1\r\nb\r\n0\r\n\r\n")+ok("Content-Length: 1\r\n", "c"), &testLimits, response)
	if v.seen != "200 \"OK\" length=1 \"a\"\n200 \"OK\" chunked \"b\"\n200 \"OK\" length=1 \"c\"\n" || v.err != io.EOF {
		t.Errorf("%v\n%s", v.err, v.seen)
	}
}

func inPieces(t *testing.T, wire string, limits *Limits, read func(*Conn, *message.Head) error) verdict {
	t.Helper()
	whole := judge(NewConn(&feed{in: []byte(wire)}, limits), read)
	if v := judge(NewConn(&feed{in: []byte(wire), step: 999}, limits), read); v.seen != whole.seen || v.err != whole.err {
		t.Errorf("in pieces %v, at once %v", v.err, whole.err)
	}
	return whole
}

// HEAD is the reason why a response cannot be read without its request (RFC 9112 §6.3).
func TestResponsesToHEADHaveNoBody(t *testing.T) {
	for _, fields := range []string{"", "Content-Length: 1000\r\n", chunked} {
		v := inEveryWay(t, ok(fields, "")+status("HTTP/1.1 404 X"), &testLimits, toHEAD)
		if v.seen != "200 \"OK\" \"\"\n404 \"X\" \"\"\n" || v.err != io.EOF {
			t.Errorf("with %q: %v\n%s", fields, v.err, v.seen)
		}
	}
}

// A body that ends before its end is never passed on as whole, unless nothing but the close ends it (RFC 9112 §8).
func TestEachPrefixOfAResponseIsTruncated(t *testing.T) {
	for _, row := range attacks.Responses {
		if row.Refused || !row.Reuse || row.Count() > 1 || len(row.Wire) > 2000 {
			continue
		}
		for n := 1; n < len(row.Wire); n++ {
			v := oneAnswer(NewConn(&feed{in: []byte(row.Wire[:n]), step: 5}, &DefaultLimits), row.HEAD)
			if !v.refused || strings.HasSuffix(v.seen, "\n") {
				t.Fatalf("%s, cut at %d of %d: %s", row.Name, n, len(row.Wire), v.seen)
			}
		}
	}
}
