package message

import (
	"bytes"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for _, row := range []struct{ reason, in, out string }{
		{"nothing odd", "/a/b.c/~d_e-f", "/a/b.c/~d_e-f"},
		{"all that a segment may hold", "/!$&'()*+,=:@|{}^`\"<>[]", "/!$&'()*+,=:@|{}^`\"<>[]"},
		{"the server as a whole", "*", "*"},
		{"unreserved letters", "/%61dmin", "/admin"},
		{"unreserved of each kind", "/%41%5A%7a%30%39%2d%2e%5f%7e", "/AZz09-._~"},
		{"hex digits in upper case", "/%c3%a9%20", "/%C3%A9%20"},
		{"old links in Latin-1", "/caf%e9/f%fcr/%c0%20la", "/caf%E9/f%FCr/%C0%20la"},
		{"the query stays", "/%61?%61=%zz&%00//;..", "/a?%61=%zz&%00//;.."},
		{"only the query is odd", "/a?%61=%zz&%00//;..?", "/a?%61=%zz&%00//;..?"},
	} {
		if got, clarity := Canonical([]byte(row.in)); string(got) != row.out || clarity != Clear {
			t.Errorf("%s: %s became %s (%d), want %s", row.reason, row.in, got, clarity, row.out)
		}
	}
	for in, out := range map[string]string{
		"/a%2fb": "/a%2Fb", "/a%5cb": "/a%5Cb", "/a%3bb": "/a%3Bb", "/a%25b": "/a%25b", "/a%2561": "/a%2561", "/a%3f": "/a%3F", "/a%23": "/a%23", "/%40": "/%40",
		"//": "//", "/a//b": "/a//b", "/a;b": "/a;b", "/;": "/;", "/%61;%61?%61": "/a;a?%61",
	} {
		if got, clarity := Canonical([]byte(in)); string(got) != out || clarity != Unclear {
			t.Errorf("%s became %s (%d), want %s, unclear", in, got, clarity, out)
		}
	}
	for _, in := range []string{
		"/%", "/%2", "/%zz", "/%u002f", "/%%36%31", "/%2%35", "/%+1", "/% 1", "/%0x", "/%00", "/a%0ab", "/%1f", "/%7f", "/%09",
		"/%c0%af", "/%c0%ae", "/%C1%9c", "/%c0%2f", "/%c0%5c", "/%e0%80%af", "/%f0%80%80%af", "/%f8%80%80%80%af", "/%fc%80%80%80%80%af",
	} {
		if _, clarity := Canonical([]byte(in)); clarity != Malformed {
			t.Errorf("%s passed", in)
		}
	}
}

// What comes out is the one form: it means the same, and once more changes nothing.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/a", "/%61%2f?%61", "//;%25%36%31", "/%c3%A9", "/%c0%af", "/%%36"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, clarity := Canonical(bytes.Clone(in))
		if clarity == Malformed {
			return
		}
		again, same := Canonical(bytes.Clone(got))
		if !bytes.Equal(again, got) || same != clarity {
			t.Fatalf("%q became %q (%d), and that %q (%d)", in, got, clarity, again, same)
		}
		path, query, _ := strings.Cut(string(in), "?")
		newPath, newQuery, _ := strings.Cut(string(got), "?")
		if query != newQuery || decoded(path) != decoded(newPath) {
			t.Fatalf("%q became %q", in, got)
		}
	})
}

func decoded(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if v, ok := Unescape([]byte(s[i:])); ok {
			b.WriteByte(v)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestCanonicalAllocatesNothing(t *testing.T) {
	plain, odd := []byte("/index.html?x=1"), []byte("/%c3%a9/a;b//%2f")
	if n := testing.AllocsPerRun(100, func() { Canonical(plain); Canonical(odd) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCanonical(b *testing.B) {
	target := []byte("/static/app/main.3f2a.js?v=12")
	for b.Loop() {
		Canonical(target)
	}
}

func TestCanonicalAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "EXAMPLE.Com": "example.com", "a.": "a", "a.b.:80": "a.b:80", "a.:": "a:", "A:80": "a:80", "[::AB]": "[::ab]", "[::1]:443": "[::1]:443",
	} {
		if got := string(CanonicalAuthority([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
