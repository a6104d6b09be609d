package message

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTokenBytes(t *testing.T) {
	const separators = "\"(),/:;<=>?@[\\]{}" // RFC 9110 §5.6.2 leaves these out of visible ASCII
	for c := range 256 {
		want := c > 0x20 && c < 0x7f && !strings.ContainsRune(separators, rune(c))
		if got := IsToken([]byte{byte(c)}); got != want {
			t.Errorf("IsToken(%q) = %v, want %v", byte(c), got, want)
		}
	}
	if IsToken(nil) || !IsToken([]byte("M-SEARCH")) || IsToken([]byte("GET ")) {
		t.Error("a token is not empty, and each of its bytes counts")
	}
}

func dumbIsValue(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c == 127 {
			return false
		}
	}
	return true
}

func TestIsValueEachByteAtEachPlace(t *testing.T) {
	for n := 1; n <= 20; n++ {
		b := bytes.Repeat([]byte("x"), n)
		for i := range n {
			for c := range 256 {
				b[i] = byte(c)
				if got, want := IsValue(b), dumbIsValue(b); got != want {
					t.Fatalf("IsValue(%q) = %v, want %v", b, got, want)
				}
			}
			b[i] = 'x'
		}
	}
}

// Bytes beside the limits of a class are where subtraction borrows from a neighbour.
func TestIsValueLikeADumbLoop(t *testing.T) {
	edges := []byte{0, 1, '\t', '\n', '\r', 0x1f, 0x20, 0x21, 0x7e, 0x7f, 0x80, 0x81, 0x9f, 0xa0, 0xff}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		b := make([]byte, r.IntN(30))
		for i := range b {
			b[i] = edges[r.IntN(len(edges))]
			if r.IntN(4) > 0 {
				b[i] = byte(0x20 + r.IntN(0x5f))
			}
		}
		if got, want := IsValue(b), dumbIsValue(b); got != want {
			t.Fatalf("IsValue(%q) = %v, want %v", b, got, want)
		}
	}
}

func FuzzIsValue(f *testing.F) {
	f.Add([]byte("text/html; charset=utf-8"))
	f.Add([]byte("1234567\t1234567\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := IsValue(b), dumbIsValue(b); got != want {
			t.Fatalf("IsValue(%q) = %v, want %v", b, got, want)
		}
	})
}

func TestIsTarget(t *testing.T) {
	for c := range 256 {
		want := c > 0x20 && c < 0x7f && c != '#' && c != '\\'
		if got := IsTarget([]byte{'/', byte(c)}); got != want {
			t.Errorf("IsTarget with %q = %v, want %v", byte(c), got, want)
		}
	}
	if IsTarget(nil) {
		t.Error("a target is not empty")
	}
	if !IsTarget([]byte(`/a?b=\d`)) || IsTarget([]byte(`/a\?b`)) || IsTarget([]byte("/a?b#c")) {
		t.Error("a backslash is refused before the query, where it could pass for a slash")
	}
}

func TestIsAuthority(t *testing.T) {
	good := []string{
		"a", "example.com", "EXAMPLE.com:80", "a:0", "a:65535", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:443",
		"[::ffff:10.0.0.1]:1", "_dmarc.example", "xn--bcher-kva.example", "a-b.c-d", "localhost.", "1",
	}
	bad := []string{
		"", ":", ":80", "a:b", "a:80:80", "a:123456", "a:-1", "a:+1", "a: 80", "a b", " a", "a ", "a,b", "a/b", "a@b", "user@a:80",
		"a?b", "a#b", "a\\b", "a%20b", "%61", "[", "]", "[]", "[::1", "::1]", "[::1]x", "[::1]]", "[[::1]]", "[::1]:x", "[g::1]",
		"[::1%25eth0]", "a]:80", "[v1.x]", "a\x00b", "a\tb", "\xc3\xa9", "a;b", "a'b", "a*b", "*", "a|b", "::1", "a:8\n",
		"a:", "[fe80::1]:", "a:65536", "a:99999", "[1.2.3.4]", "[1:2:3:4:5:6:7:8:9]", "[1:::2]", "[12345::]", "[a]", "[:]", "[.]",
		".", "..", ".a", "a..b", "a..", "a..:80",
	}
	for _, s := range good {
		if !IsAuthority([]byte(s)) {
			t.Errorf("IsAuthority(%q) = false", s)
		}
	}
	for _, s := range bad {
		if IsAuthority([]byte(s)) {
			t.Errorf("IsAuthority(%q) = true", s)
		}
	}
}

func TestSplitPort(t *testing.T) {
	for _, row := range []struct {
		in, host, port string
		none           bool
	}{
		{in: "", none: true},
		{in: "a", host: "a", none: true},
		{in: "a:80", host: "a", port: "80"},
		{in: "a:", host: "a"},
		{in: "[::1]", host: "[::1]", none: true},
		{in: "[::1]:443", host: "[::1]", port: "443"},
		{in: "::1", host: ":", port: "1"},
	} {
		host, port := SplitPort([]byte(row.in))
		if string(host) != row.host || string(port) != row.port || (port == nil) != row.none {
			t.Errorf("SplitPort(%q) = %q, %q", row.in, host, port)
		}
	}
}

func TestHasDotSegment(t *testing.T) {
	yes := map[string]string{
		"/.":               "alone",
		"/..":              "alone",
		"/../":             "at the front",
		"/a/../b":          "inside",
		"/a/./b":           "inside",
		"/a/..":            "at the end",
		"/a/%2e%2e/b":      "encoded",
		"/a/%2E%2e/b":      "encoded in either case",
		"/a/.%2e":          "half encoded",
		"/a/%2e.":          "half encoded",
		"/%2e/a":           "one dot, encoded",
		"//../a":           "after an empty segment",
		"..":               "without a slash",
		"/a/..;/b":         "with path parameters, as servlet containers cut them off",
		"/a/..;jsessionid": "with path parameters",
		"/.;x/a":           "one dot with path parameters",
		"/..%2fb":          "before an encoded slash",
		"/a%2F../b":        "behind an encoded slash",
		"/a%2f..%2fb":      "between encoded slashes",
		"/a%5c..%5cb":      "between encoded backslashes",
		"/%2e%2e%2fa":      "all of it encoded",
	}
	for path, why := range yes {
		if !HasDotSegment([]byte(path)) {
			t.Errorf("HasDotSegment(%q) = false: it has one %s", path, why)
		}
	}
	for _, path := range []string{
		"", "/", "//", "/a", "/a/b/", "/a.b", "/.a", "/a.", "/..a", "/a..", "/...", "/.../", "/%2e%2e%2e", "/.well-known/x",
		"/a%2fb", "/%", "/%2", "/a%2", "/%2ea", "/%252e%252e/", "/a;b", "/;/a", "/v1;..", "/x...y/..z", "/%2x/.b", "*",
	} {
		if HasDotSegment([]byte(path)) {
			t.Errorf("HasDotSegment(%q) = true", path)
		}
	}
}

// What passes must stand for itself: no resolver of dots, run before or after decoding, may change it.
func FuzzHasDotSegment(f *testing.F) {
	for _, s := range []string{"/a/../b", "/a%2f%2e%2e", "/..;x", "/a/b.c", "/%2"} {
		f.Add(s)
	}
	decode := strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/")
	f.Fuzz(func(t *testing.T, path string) {
		if HasDotSegment([]byte(path)) {
			return
		}
		for _, segment := range strings.Split(decode.Replace(path), "/") {
			segment, _, _ = strings.Cut(segment, ";")
			if segment == "." || segment == ".." {
				t.Fatalf("%q passed with the segment %q", path, segment)
			}
		}
	})
}
