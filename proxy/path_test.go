package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"sluice/message"
)

func snapshotOf(t testing.TB, paths ...string) *Snapshot {
	t.Helper()
	var services []*Service
	for _, path := range paths {
		services = append(services, service(path, path))
	}
	s, err := NewSnapshot(1, services)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// routed takes a target on the way that requests take it: it is forwarded as it is returned.
func routed(s *Snapshot, target string) (svc *Service, forwarded string, err *Error) {
	ex := incoming(false)
	ex.Request.Target = []byte(target)
	if !message.IsTarget(ex.Request.Target) || message.HasDotSegment(ex.Request.Path()) {
		return nil, "", errEscape // as both protocols have it
	}
	if err := testProxy.prepare(ex); err != nil {
		return nil, "", err
	}
	err = ex.find(s)
	return ex.Service, string(ex.Request.Target), err
}

func TestRoutesAreNotSlippedPast(t *testing.T) {
	s := snapshotOf(t, "/", "/admin", "/admin/deep", "/a b"[:2])
	tests := []struct{ target, service, forwarded string }{
		{"/admin", "/admin", "/admin"},
		{"/%61dmin", "/admin", "/admin"},
		{"/%61%64%6d%69%6e/x?%61", "/admin", "/admin/x?%61"},
		{"/admin/%7Euser", "/admin", "/admin/~user"},
		{"/ADMIN", "/", "/ADMIN"},
		{"/admin%20", "/", "/admin%20"},
		{"/x//y", "/", "/x//y"},
		{"//x", "/", "//x"},
		{"/x%2Fy", "/", "/x%2Fy"},
		{"/x/a%2fb%40c", "/", "/x/a%2Fb%40c"},
		{"/x;v=1/y", "/", "/x;v=1/y"},
		{"/admin;v=1", "", ""},
		{"/admin/x;v=1", "/admin", "/admin/x;v=1"},
		{"/admin/a%2Fb", "/admin", "/admin/a%2Fb"},
		{"/admin//x", "/admin", "/admin//x"},
		{"/x?a=/admin//..;%2f%zz", "/", "/x?a=/admin//..;%2f%zz"},

		{"//admin", "", ""},
		{"///admin/", "", ""},
		{"/admin//deep", "", ""},
		{"/admin/%2fdeep", "", ""},
		{"/admin%2fdeep", "", ""},
		{"/admin%2Fx", "", ""},
		{"/%2Fadmin", "", ""},
		{"/%5cadmin", "", ""},
		{"/%5Cx/..", "", ""},
		{"/;/admin", "", ""},
		{"/;x=%2F/admin", "", ""},
		{"/%3b/admin", "", ""},
		{"/%253B/admin", "", ""},
		{"/x/..;/admin", "", ""},
		{"/x/..%3b/admin", "", ""},
		{"/x/..%2Fadmin", "", ""},
		{"/x/%252e%252e/admin", "", ""},
		{"/x%252f..%252fadmin", "", ""},
		{"/%2561dmin", "", ""},
		{"/adm%2569n/x", "", ""},
		{"/admin%3Fx", "", ""},
		{"/admin%23", "", ""},
		{"/admin%2500.png", "", ""},
		{"//host/admin", "", ""},
		{"//user@host:80/admin/deep", "", ""},
		{"///host/admin", "", ""},
		{"/admin/%2e%2e/x", "", ""},
		{"/%c0%afadmin", "", ""},
		{"/admin%00", "", ""},
		{"/%u002fadmin", "", ""},
		{"/%", "", ""},
		{"/admin\\x", "", ""},
		{"/x#/admin", "", ""},
	}
	for _, test := range tests {
		svc, forwarded, err := routed(s, test.target)
		switch {
		case test.service == "" && (err == nil || err.Status != 400):
			t.Errorf("%s went to %v as %s (%v)", test.target, svc, forwarded, err)
		case test.service != "" && (err != nil || svc.Name != test.service || forwarded != test.forwarded):
			t.Errorf("%s went to %v as %s (%v), want %s as %s", test.target, svc, forwarded, err, test.service, test.forwarded)
		}
	}
}

// TestOneServiceTakesUnclearPaths: where all ways to read a path lead to one service, apps get what their clients send.
func TestOneServiceTakesUnclearPaths(t *testing.T) {
	s := snapshotOf(t, "/")
	for _, path := range []string{"//admin", "/a%2Fb", "/a;b", "/%2561", "/a%5Cb", "/a%3Fb", "//x//y", "/a%40b;c//%25"} {
		if _, forwarded, err := routed(s, path); err != nil || forwarded != path {
			t.Errorf("%s was forwarded as %s, %v", path, forwarded, err)
		}
	}
	if _, _, err := routed(s, "/x/%252e%252e/y"); err != errUnclear {
		t.Errorf("dots that come out of a second decoding: %v", err)
	}
}

func TestUnclearHostsKeepTheirOwnRoutes(t *testing.T) {
	s, err := NewSnapshot(1, []*Service{service("own", "/", "example.com"), service("admin", "/admin"), service("any", "/")})
	if err != nil {
		t.Fatal(err)
	}
	if svc, _, err := routed(s, "//admin"); err != nil || svc.Name != "own" {
		t.Errorf("%v, %v", svc, err)
	}
}

// readers are ways in which servers are known to read a path that reaches them.
var readers = map[string]func(string) string{
	"as it is":                func(p string) string { return p },
	"decoded":                 unescaped,
	"decoded twice":           func(p string) string { return unescaped(unescaped(p)) },
	"slashes merged":          merged,
	"decoded, merged":         func(p string) string { return merged(unescaped(p)) },
	"merged, decoded":         func(p string) string { return unescaped(merged(p)) },
	"parameters cut":          withoutParameters,
	"cut, decoded, merged":    func(p string) string { return merged(unescaped(withoutParameters(p))) },
	"decoded, cut, merged":    func(p string) string { return merged(withoutParameters(unescaped(p))) },
	"cut at the first ;":      func(p string) string { p, _, _ = strings.Cut(p, ";"); return unescaped(p) },
	"backslash for slash":     func(p string) string { return merged(backslashed(unescaped(p))) },
	"backslash, decode again": func(p string) string { return merged(unescaped(backslashed(unescaped(p)))) },
	"twice, cut in between":   func(p string) string { return merged(unescaped(withoutParameters(unescaped(p)))) },
	"cut, then backslash":     func(p string) string { return merged(backslashed(withoutParameters(unescaped(unescaped(p))))) },
	"all of it, ? first": func(p string) string {
		return merged(withoutParameters(withoutQuery(backslashed(unescaped(unescaped(p))))))
	},
	"all of it":               func(p string) string { return merged(withoutParameters(backslashed(unescaped(unescaped(p))))) },
	"a C string":              func(p string) string { p, _, _ = strings.Cut(unescaped(unescaped(p)), "\x00"); return p },
	"decoded before ? is cut": func(p string) string { return merged(withoutQuery(unescaped(p))) },
	"a reference":             func(p string) string { return unescaped(withoutHost(p)) },
	"a reference, loosely":    func(p string) string { return merged(withoutParameters(unescaped(unescaped(withoutHost(p))))) },
}

func unescaped(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+3 <= len(p) {
			if v, err := strconv.ParseUint(p[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func merged(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func backslashed(p string) string { return strings.ReplaceAll(p, `\`, "/") }

func withoutParameters(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

func withoutQuery(p string) string {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}

func withoutHost(p string) string {
	if !strings.HasPrefix(p, "//") {
		return p
	}
	_, path, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
	return "/" + path
}

// resolved takes dot segments out, as a file system or a router would.
func resolved(p string) string {
	var out []string
	for _, s := range strings.Split(p, "/") {
		switch {
		case s == "..":
			out = out[:max(0, len(out)-1)]
		case s != ".":
			out = append(out, s)
		}
	}
	return strings.Join(out, "/")
}

// served is the service that an app behind would take a path for, by the plainest rule: the longest prefix by segments,
// whether the app thinks of it decoded or not.
func served(services []string, path string) (best string) {
	for _, s := range services {
		for _, prefix := range []string{s, unescaped(s)} {
			if (s == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")) && len(s) > len(best) {
				best = s
			}
		}
	}
	return best
}

var (
	testServices = []string{"/", "/a", "/a/b", "/b", "/a/b/c", "/a%20b", "/%C3%A9", "/b/a"}
	pieces       = []string{"/", "/", "/", "a", "b", "c", "%61", "%62", "%2f", "%2F", "%5c", ";", "%3b", "%3B", "%25", "2f", "5c", "2e", "3b", "61", "00", "%20", "%c3", "%a9", "%C3%A9",
		"%25c3%25a9", ".", "..", "%2e", "%2E", "%00", "%3f", "%23", "%40", "%c0", "%af", "%252f", "%255c", "%2561", "%253b", "%25252f", "\\", "@h", ":80", "%2500", "A", "~", "%7e"}
)

// bypassed tells the reader who takes a forwarded path for that of another service, if there is one.
func bypassed(s *Snapshot, services []string, target string) string {
	svc, forwarded, err := routed(s, target)
	if err != nil {
		return ""
	}
	path, _, _ := strings.Cut(forwarded, "?")
	for name, read := range readers {
		if got := served(services, resolved(read(path))); got != svc.Name {
			return fmt.Sprintf("%s was forwarded to %s as %s, and %q (read %q) is below %s", target, svc.Name, path, name, read(path), got)
		}
	}
	return ""
}

// TestEachReaderFindsTheServiceRoutedTo tries all short paths made of the pieces that matter, and many longer ones.
func TestEachReaderFindsTheServiceRoutedTo(t *testing.T) {
	s := snapshotOf(t, testServices...)
	tried := 0
	try := func(parts ...string) {
		tried++
		if problem := bypassed(s, testServices, "/"+strings.Join(parts, "")); problem != "" {
			t.Fatal(problem)
		}
	}
	for _, x := range pieces {
		try(x)
		for _, y := range pieces {
			try(x, y)
			for _, z := range pieces {
				try(x, y, z)
			}
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		parts := make([]string, 4+r.IntN(8))
		for i := range parts {
			parts[i] = pieces[r.IntN(len(pieces))]
		}
		try(parts...)
	}
	if tried < 100_000 {
		t.Errorf("only %d paths", tried)
	}
}

func FuzzPathsReadByOthers(f *testing.F) {
	for _, seed := range []string{"/a%2fb", "//a", "/;/a", "/a/..;/b", "/%2561", "/x%25c0%25af", "//h/a"} {
		f.Add(seed)
	}
	s := snapshotOf(f, testServices...)
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		if problem := bypassed(s, testServices, target); problem != "" {
			t.Error(problem)
		}
	})
}

func TestLongestUnclearPath(t *testing.T) {
	s := snapshotOf(t, testServices...)
	path := bytes.Repeat([]byte("/;%25"), 3200)
	if _, forwarded, err := routed(s, string(path)); err != nil || forwarded != string(path) {
		t.Errorf("%d bytes, %v", len(forwarded), err)
	}
}

func TestReadingAPathInEachWayAllocatesNothing(t *testing.T) {
	s, path := snapshotOf(t, testServices...), []byte("/x/a%2Fb;c=%25")
	svc := s.Route(nil, path)
	if n := testing.AllocsPerRun(100, func() { s.agree(nil, path, svc) }); n != 0 || !s.agree(nil, path, svc) {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUnclearPath(b *testing.B) {
	s := snapshotOf(b, testServices...)
	for name, path := range map[string]string{"short": "/x/a%2Fb", "long": strings.Repeat("/;%25", 3200)} {
		b.Run(name, func(b *testing.B) {
			svc := s.Route(nil, []byte(path))
			for b.Loop() {
				s.agree(nil, []byte(path), svc)
			}
		})
	}
}
