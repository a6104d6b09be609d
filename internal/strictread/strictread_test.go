package strictread

import (
	"errors"
	"reflect"
	"testing"
)

func TestRequestIsReadWhole(t *testing.T) {
	wire := "POST http://b:81/x?y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x, Close\r\n\r\n" +
		"3;q=\"\\\"\"\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\nrest"
	r, rest, err := ReadRequest([]byte(wire))
	if err != nil {
		t.Fatal(err)
	}
	want := &Request{Method: "POST", Target: "http://b:81/x?y", Path: "/x?y", Host: "b:81", Message: Message{
		Minor: 1, Length: -1, Chunked: true, Close: true, Body: []byte("abcd"), Trailers: []Field{{"T", "1"}},
		Fields: []Field{{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Connection", "x, Close"}},
	}}
	if !reflect.DeepEqual(r, want) || string(rest) != "rest" {
		t.Errorf("%+v, rest %q", r, rest)
	}
}

func TestResponseIsReadWhole(t *testing.T) {
	wire := "HTTP/1.0 404 Not Here\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhixyz"
	r, rest, err := ReadResponse([]byte(wire), "GET")
	if err != nil {
		t.Fatal(err)
	}
	want := &Response{Status: 404, Reason: "Not Here", Message: Message{Length: 2, Body: []byte("hi"),
		Fields: []Field{{"Content-Length", "2"}, {"Connection", "keep-alive"}}}}
	if !reflect.DeepEqual(r, want) || string(rest) != "xyz" {
		t.Errorf("%+v, rest %q", r, rest)
	}
	if r, rest, err := ReadResponse([]byte(wire), "HEAD"); err != nil || r.Body != nil || string(rest) != "hixyz" {
		t.Errorf("to HEAD: %+v, rest %q, %v", r, rest, err)
	}
	if r, rest, err := ReadResponse([]byte("HTTP/1.1 200 OK\r\n\r\nall of it"), "GET"); err != nil || !r.UntilClose || !r.Close || string(r.Body) != "all of it" || len(rest) > 0 {
		t.Errorf("until close: %+v, rest %q, %v", r, rest, err)
	}
}

// Each prefix of a good message is incomplete, and nothing else.
func TestPrefixesAreIncomplete(t *testing.T) {
	request := "\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"
	for n := range len(request) {
		if _, _, err := ReadRequest([]byte(request[:n])); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%q: %v", request[:n], err)
		}
	}
	response := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	for n := range len(response) {
		if _, _, err := ReadResponse([]byte(response[:n]), "GET"); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%q: %v", response[:n], err)
		}
	}
}

func TestGrammar(t *testing.T) {
	for _, row := range []struct {
		name      string
		is        func(string) bool
		good, bad []string
	}{
		{"token", isToken, []string{"a", "M-SEARCH", "!#$%&'*+-.^_`|~"}, []string{"", "a b", "a:", "\xe9", "a\n", "\"a\""}},
		{"text", isText, []string{"", "a\tb", "\xff\x80", "\xc3\xa9"}, []string{"\x00", "a\x7f", "\r", "a\n"}},
		{"path", isPathAndQuery, []string{"/", "/%41?%zz[]{}|", "//", "/?a?b", "/?\\"}, []string{"", "x", "/ ", "/#", "/\\", "/\\?", "/?#", "/\xc3\xa9", "/\n"}},
		{"extension", isChunkExtension, []string{"", ";a", " ; a = b;c", `;a="b\"\\ c"`, ";a=\"\xe9\""},
			[]string{";", " ", ";a=", ";a b", `;a="`, `;a="\"`, ";a=\"\x00\"", ";\xe9", `;a="b"c`, ";a "}},
		{"authority", isAuthority, []string{"a", "a:80", "a:", "[::1]:80", "a%20b", "1.2.3.4", "a:65535"},
			[]string{"", ":80", "a:b", "a@b", "a/b", "[1.2.3.4]", "[::1%25x]", "::1", "a b", "a:65536", "[::1]x", "a:-1", "a:+1", "\xe9"}},
		{"digits", isDigits, []string{"0", "0123456789"}, []string{"", "+1", "1 ", "a", "\xb9"}},
	} {
		for _, s := range row.good {
			if !row.is(s) {
				t.Errorf("%q is a good %s", s, row.name)
			}
		}
		for _, s := range row.bad {
			if row.is(s) {
				t.Errorf("%q is no %s", s, row.name)
			}
		}
	}
}
