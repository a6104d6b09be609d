package proxy

import (
	"strings"
	"testing"

	"sluice/upstream"
)

func service(name, path string, hosts ...string) *Service {
	return &Service{Name: name, Path: path, Hosts: hosts, Live: upstream.NewPool("blue", upstream.RoundRobin, nil)}
}

func TestRoutes(t *testing.T) {
	s, err := NewSnapshot(1, []*Service{
		service("exact", "/", "example.com", "Two.Example.COM"),
		service("exact-api", "/api", "example.com"),
		service("exact-v2", "/api/v2", "example.com"),
		service("slash", "/dir/", "example.com"),
		service("wild", "/", "*.example.com"),
		service("only-deep", "/deep", "deep.example.com"),
		service("any", "/any"),
		service("any-root", "/"),
		service("v6", "/", "[::1]"),
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ reason, authority, path, want string }{
		{"an exact host", "example.com", "/", "exact"},
		{"the file's case does not matter either", "two.example.com", "/", "exact"},
		{"with a port", "example.com:8080", "/", "exact"},
		{"the longest path", "example.com", "/api/v2/x", "exact-v2"},
		{"a path itself", "example.com", "/api", "exact-api"},
		{"below it", "example.com", "/api/x", "exact-api"},
		{"ends at a segment", "example.com", "/apis", "exact"},
		{"and so does the longer one", "example.com", "/api/v20", "exact-api"},
		{"a path's case matters", "example.com", "/API", "exact"},
		{"an encoded slash is no segment border", "example.com", "/api%2fx", "exact"},
		{"a prefix that ends with a slash", "example.com", "/dir/x", "slash"},
		{"is not the name without it", "example.com", "/dir", "exact"},
		{"a wildcard", "a.example.com", "/", "wild"},
		{"a wildcard is one label", "a.b.example.com", "/", "any-root"},
		{"a wildcard is not the bare name", "xexample.com", "/", "any-root"},
		{"an exact host falls through to the wildcard when its paths do not fit", "deep.example.com", "/x", "wild"},
		{"an exact host with a fitting path", "deep.example.com", "/deep/x", "only-deep"},
		{"the host is looked at before the path", "example.com", "/any", "exact"},
		{"an unknown host", "other.org", "/any/x", "any"},
		{"an unknown host, and path", "other.org", "/x", "any-root"},
		{"no host", "", "/any", "any"},
		{"an IPv6 address", "[::1]:80", "/", "v6"},
		{"a host that is too long", strings.Repeat("a", 300) + ".example.com", "/", "any-root"},
		{"the path of OPTIONS *", "example.com", "*", "exact"},
	}
	for _, test := range tests {
		got := s.Route([]byte(test.authority), []byte(test.path))
		if got == nil || got.Name != test.want {
			t.Errorf("%s: %s%s goes to %v, want %s", test.reason, test.authority, test.path, got, test.want)
		}
	}
}

func TestNoRoute(t *testing.T) {
	for _, services := range [][]*Service{nil, {service("a", "/", "a.org")}, {service("b", "/b")}} {
		s, err := NewSnapshot(1, services)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Route([]byte("x.org"), []byte("/")); got != nil {
			t.Errorf("goes to %s", got.Name)
		}
	}
}

// TestPathLeftOut: a service without a path takes all of them, OPTIONS * too.
func TestPathLeftOut(t *testing.T) {
	s, err := NewSnapshot(1, []*Service{service("a", "")})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "*", "/x"} {
		if s.Route([]byte("x"), []byte(path)) == nil {
			t.Errorf("%s has no route", path)
		}
	}
}

func TestDuplicateRoutesAreRefused(t *testing.T) {
	tests := [][]*Service{
		{service("a", "/"), service("b", "/")},
		{service("a", "/x", "e.com"), service("b", "/x", "E.com")},
		{service("a", "/x", "*.e.com"), service("b", "/x", "f.com", "*.e.com")},
	}
	for _, services := range tests {
		_, err := NewSnapshot(1, services)
		if err == nil || !strings.Contains(err.Error(), "give one of them another path or host") {
			t.Errorf("%v: %v", services, err)
		}
	}
	if _, err := NewSnapshot(1, []*Service{service("a", "/", "e.com"), service("b", "/", "*.e.com"), service("c", "/")}); err != nil {
		t.Errorf("these differ: %v", err)
	}
}

func TestPathsThatServersReadDifferently(t *testing.T) {
	for _, path := range []string{"/a;b", "/a//b", "/a%2fb", "/a%5cb", "/a%3Bb", "/a%25b", "/a%40", "/a%zz", "/a%00", "/%c0%af"} {
		if _, err := NewSnapshot(1, []*Service{service("a", path)}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	s, err := NewSnapshot(1, []*Service{service("a", "/%7euser/%c3%a9"), service("b", "/a%20b"), service("c", "/v1@x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/~user/%C3%A9", "/a%20b/c", "/v1@x"} {
		if s.Route(nil, []byte(path)) == nil {
			t.Errorf("%s has no route: the paths of services are written as those of requests", path)
		}
	}
	if _, err := NewSnapshot(1, []*Service{service("a", "/%61"), service("b", "/a")}); err == nil {
		t.Error("two ways to write one path are one route")
	}
}

func TestCountersOutliveSnapshots(t *testing.T) {
	kept := &Counters{}
	a, b := service("a", "/a"), service("b", "/b")
	a.Counters = kept
	if _, err := NewSnapshot(1, []*Service{a, b}); err != nil {
		t.Fatal(err)
	}
	if a.Counters != kept || b.Counters == nil {
		t.Error("counters are kept where given, and made where not")
	}
}

func TestRoutingAllocatesNothing(t *testing.T) {
	s, _ := NewSnapshot(1, []*Service{service("a", "/", "example.com"), service("b", "/", "*.example.com"), service("c", "/")})
	path := []byte("/x")
	for _, host := range []string{"example.com:80", "a.example.com", "b.org"} {
		authority := []byte(host)
		if n := testing.AllocsPerRun(100, func() { s.Route(authority, path) }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	s, _ := NewSnapshot(1, []*Service{service("a", "/", "example.com"), service("b", "/", "*.example.com"), service("c", "/api")})
	authority, path := []byte("www.example.com"), []byte("/api/users")
	for b.Loop() {
		s.Route(authority, path)
	}
}
