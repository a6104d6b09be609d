package front

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/proxy"
	"sluice/static"
	"sluice/upstream"
)

func layOut(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// site has one of each kind of file, beside a secret that is none of it.
func site(t *testing.T) (dir, big string) {
	noise := make([]byte, 3<<20+17)
	rand.New(rand.NewSource(1)).Read(noise)
	dir = layOut(t, map[string]string{
		"www/index.html": "home", "www/a.js": "0123456789", "www/z.css": "plain css", "www/z.css.gz": "gzipped!", "www/z.css.br": "brotli",
		"www/big.bin": string(noise), "www/sub/index.html": "sub", "www/.env": "secret", "www/.well-known/x": "known", "www/a b": "space", "www/empty": "",
		"secret": "secret",
	})
	if err := os.Symlink("../secret", filepath.Join(dir, "www/out.js")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "www"), string(noise)
}

func folderBackend(dir string, rules static.Rules) *upstream.Backend {
	return &upstream.Backend{
		Endpoint: upstream.NewEndpoint("root", dir, upstream.Options{}), Files: static.New(dir, rules),
		Name: dir, Pool: "blue", Service: "web", Weight: 1, Gate: drain.NewGate(),
	}
}

// overEachSite runs a behaviour over each protocol, in front of a folder.
func overEachSite(t *testing.T, dir string, rules static.Rules, behaviour func(*setup)) {
	overEach(t, func(http.ResponseWriter, *http.Request) {}, func(s *setup) {
		s.backend = folderBackend(dir, rules)
		s.route(s.backend)
		behaviour(s)
	})
}

func (s *setup) ask(method, path string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, s.read(res)
}

func TestFilesAreServed(t *testing.T) {
	dir, big := site(t)
	past, future := "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
	rules := static.Rules{Fallback: "/index.html", Assets: []string{"/assets/*"}, Cache: []static.Cache{{Pattern: "/sub/*", Control: "max-age=7"}}}
	overEachSite(t, dir, rules, func(s *setup) {
		res, _ := s.ask("GET", "/a.js")
		tag := res.Header.Get("Etag")
		tests := []struct {
			ask    string
			fields []string
			status int
			body   string
			says   map[string]string
		}{
			{"GET /", nil, 200, "home", map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Content-Length": "4", "Accept-Ranges": "bytes"}},
			{"GET /a.js", nil, 200, "0123456789", map[string]string{"Etag": tag, "Vary": "Accept-Encoding"}},
			{"GET /big.bin", nil, 200, big, map[string]string{"Content-Type": "application/octet-stream", "Vary": ""}},
			{"GET /empty", nil, 200, "", map[string]string{"Content-Length": "0"}},
			{"GET /a%20b", nil, 200, "space", nil},
			{"GET /sub/", nil, 200, "sub", map[string]string{"Cache-Control": "max-age=7"}},
			{"GET /sub?q=1&r", nil, 301, "*", map[string]string{"Location": "/sub/?q=1&r", "Cache-Control": "no-store"}},
			{"GET /.well-known/x", nil, 200, "known", nil},
			{"GET /some/page", nil, 200, "home", nil},
			{"GET /some/page.js", nil, 404, "*", map[string]string{"Cache-Control": "no-store"}},
			{"GET /assets/x", nil, 404, "*", nil},
			{"GET /.env", nil, 404, "*", nil},
			{"GET /out.js", nil, 404, "*", nil},
			// HEAD says what GET would have brought.
			{"HEAD /a.js", nil, 200, "", map[string]string{"Content-Length": "10", "Etag": tag}},
			{"HEAD /big.bin", nil, 200, "", map[string]string{"Content-Length": fmt.Sprint(len(big))}},
			{"HEAD /a.js", []string{"Range: bytes=0-1"}, 200, "", map[string]string{"Content-Length": "10"}},
			{"HEAD /nothing.js", nil, 404, "", nil},
			// Other methods.
			{"POST /a.js", nil, 405, "*", map[string]string{"Allow": "GET, HEAD"}},
			{"DELETE /nothing.js", nil, 405, "*", map[string]string{"Allow": "GET, HEAD"}},
			// Ranges (RFC 9110 §14).
			{"GET /a.js", []string{"Range: bytes=2-4"}, 206, "234", map[string]string{"Content-Range": "bytes 2-4/10", "Content-Length": "3", "Etag": tag}},
			{"GET /a.js", []string{"Range: BYTES=7-"}, 206, "789", map[string]string{"Content-Range": "bytes 7-9/10"}},
			{"GET /a.js", []string{"Range: bytes=-2"}, 206, "89", map[string]string{"Content-Range": "bytes 8-9/10"}},
			{"GET /a.js", []string{"Range: bytes=10-"}, 416, "", map[string]string{"Content-Range": "bytes */10", "Etag": "", "Content-Length": "0"}},
			{"GET /a.js", []string{"Range: lines=1-2"}, 200, "0123456789", nil},
			{"GET /big.bin", []string{"Range: bytes=100000-2100000"}, 206, big[100000:2100001], nil},
			// An encoded file's ranges are of its encoded bytes.
			{"GET /z.css", nil, 200, "plain css", map[string]string{"Vary": "Accept-Encoding", "Content-Encoding": ""}},
			{"GET /z.css", []string{"Accept-Encoding: gzip"}, 200, "gzipped!", map[string]string{"Content-Encoding": "gzip", "Content-Type": "text/css; charset=utf-8", "Content-Length": "8"}},
			{"GET /z.css", []string{"Accept-Encoding: gzip, br"}, 200, "brotli", map[string]string{"Content-Encoding": "br"}},
			{"GET /z.css", []string{"Accept-Encoding: gzip", "Accept-Encoding: br;q=0"}, 200, "gzipped!", nil},
			{"GET /z.css", []string{"Accept-Encoding: gzip", "Range: bytes=1-3"}, 206, "zip", map[string]string{"Content-Encoding": "gzip", "Content-Range": "bytes 1-3/8", "Content-Length": "3"}},
			{"GET /z.css", []string{"Accept-Encoding: gzip", "If-Modified-Since: " + past}, 200, "gzipped!", map[string]string{"Content-Length": "8"}},
			// Conditions (RFC 9110 §13).
			{"GET /a.js", []string{"If-None-Match: " + tag}, 304, "", map[string]string{"Etag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding", "Content-Type": "", "Last-Modified": ""}},
			{"GET /a.js", []string{`If-None-Match: "x", W/` + tag}, 304, "", nil},
			{"GET /a.js", []string{`If-None-Match: "x"`, "If-None-Match: " + tag}, 304, "", nil},
			{"GET /a.js", []string{`If-None-Match: "x"`}, 200, "0123456789", nil},
			{"HEAD /a.js", []string{"If-None-Match: *"}, 304, "", nil},
			{"GET /a.js", []string{"If-Modified-Since: " + future}, 304, "", nil},
			{"GET /a.js", []string{"If-Modified-Since: " + past}, 200, "0123456789", nil},
			{"GET /a.js", []string{`If-None-Match: "x"`, "If-Modified-Since: " + future}, 200, "0123456789", nil},
			{"GET /a.js", []string{`If-Match: "x"`}, 412, "", map[string]string{"Content-Length": "0", "Etag": ""}},
			{"GET /a.js", []string{"If-Match: " + tag}, 200, "0123456789", nil},
			{"GET /a.js", []string{"If-Unmodified-Since: " + past}, 412, "", nil},
			{"GET /a.js", []string{"Range: bytes=0-1", "If-Range: " + tag}, 206, "01", nil},
			{"GET /a.js", []string{"Range: bytes=0-1", `If-Range: "x"`}, 200, "0123456789", nil},
			{"GET /a.js", []string{"Range: bytes=0-1", "If-Range: W/" + tag}, 200, "0123456789", nil},
		}
		for _, test := range tests {
			method, path, _ := strings.Cut(test.ask, " ")
			res, body := s.ask(method, path, test.fields...)
			if res.StatusCode != test.status || test.body != "*" && body != test.body {
				t.Errorf("%s %q: %d with %d bytes %.30q, want %d with %d", test.ask, test.fields, res.StatusCode, len(body), body, test.status, len(test.body))
			}
			for name, want := range test.says {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s %q: %s is %q, want %q", test.ask, test.fields, name, got, want)
				}
			}
			if res.Header.Get("Date") == "" || res.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s %q: no Date or no id", test.ask, test.fields)
			}
		}
		s.waitFor("nobody is inside", func() bool { return s.backend.Gate.Inside() == 0 })
	})
}

func TestManyRanges(t *testing.T) {
	dir, big := site(t)
	overEachSite(t, dir, static.Rules{}, func(s *setup) {
		res, body := s.ask("GET", "/big.bin", "Range: bytes=0-9,200000-1300000, -5")
		kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil || res.StatusCode != 206 || kind != "multipart/byteranges" || res.Header.Get("Content-Range") != "" {
			t.Fatalf("%d %v %v", res.StatusCode, res.Header, err)
		}
		if res.ContentLength != int64(len(body)) {
			t.Errorf("announced %d, sent %d", res.ContentLength, len(body))
		}
		parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
		for _, want := range []string{big[:10], big[200000:1300001], big[len(big)-5:]} {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(part); err != nil || string(got) != want {
				t.Errorf("%s: %d bytes, %v", part.Header.Get("Content-Range"), len(got), err)
			}
		}
	})
}

// TestNoWayOut sends paths as they are: none leads out of the folder or to a hidden file, and none to another host.
func TestNoWayOut(t *testing.T) {
	dir, _ := site(t)
	for _, p := range protocols[:2] {
		s := newSetup(t, p, func(http.ResponseWriter, *http.Request) {})
		s.route(folderBackend(dir, static.Rules{}))
		for _, path := range []string{
			"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/.%2e/secret", "/sub/../../secret", "/sub/%2e%2e%2f%2e%2e%2fsecret", "/..%5csecret", "/..\\secret",
			"/%00", "/a.js%00", "/a.js%00.html", "//secret", "//../secret", "/%2fsecret", "/..;/secret", "/%252e%252e/secret", "/out.js", "/out.js/", "/.env", "/%2eenv",
			"/sub/..%2f.env", "//.env", "/.well-known/../.env", "/.well-known/%2e%2e/.env", "/%2e/.env", "//www.example.com/..", "//sub", "/%2fsub", "/\\sub", "/%5csub",
			"/%c0%ae%c0%ae/secret", "/..%c0%afsecret", "/....//secret", "/./.env", "/a.js/", "/a.js/..", "/proc/self/environ", "/" + strings.Repeat("a", 5000),
		} {
			nc := s.dial()
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(res.Body)
			location := res.Header.Get("Location")
			if err != nil || strings.Contains(string(body), "secret") || strings.HasPrefix(location, "//") || strings.Contains(location, "\\") {
				t.Errorf("%s: %d %q, to %q, %v", path, res.StatusCode, body, location, err)
			}
			if res.StatusCode != 400 && res.StatusCode != 404 && location == "" {
				t.Errorf("%s: %d %q", path, res.StatusCode, body)
			}
		}
	}
}

func TestOldClientGetsFiles(t *testing.T) {
	dir, big := site(t)
	s := newSetup(t, protocols[0], func(http.ResponseWriter, *http.Request) {})
	s.route(folderBackend(dir, static.Rules{}))
	nc := s.dial()
	io.WriteString(nc, "GET /big.bin HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(nc)
	if _, body, _ := bytes.Cut(got, []byte("\r\n\r\n")); err != nil || string(body) != big {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// TestFolderIsGone: nothing is claimed to be missing while it is the folder that is.
func TestFolderIsGone(t *testing.T) {
	overEachSite(t, filepath.Join(t.TempDir(), "nothing"), static.Rules{}, func(s *setup) {
		if res, body := s.ask("GET", "/"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "folder") {
			t.Errorf("%d %q", res.StatusCode, body)
		}
	})
}

// TestFileBecomesShorter: an answer that cannot be as long as it was announced is visibly incomplete.
func TestFileBecomesShorter(t *testing.T) {
	const size = 64 << 20
	for _, part := range []string{"", "Range: bytes=1-67108000", "Range: bytes=0-4,100-67108000"} {
		overEachSite(t, layOut(t, map[string]string{"f": ""}), static.Rules{}, func(s *setup) {
			path := filepath.Join(s.backend.Files.Path(), "f")
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			r, _ := http.NewRequest("GET", s.url+"/f", nil)
			if name, value, ok := strings.Cut(part, ": "); ok {
				r.Header.Set(name, value)
			}
			res, err := s.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if err := os.Truncate(path, 1000); err != nil { // more than all buffers on the way is still to be read from it
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Errorf("%q: %d bytes passed for whole", part, n)
			}
		})
	}
}

// TestDownloadIsCut holds that a drain ends a download that is not read, and that its client can tell.
func TestDownloadIsCut(t *testing.T) {
	overEachSite(t, layOut(t, map[string]string{"f": ""}), static.Rules{}, func(s *setup) {
		if err := os.Truncate(filepath.Join(s.backend.Files.Path(), "f"), 64<<20); err != nil {
			t.Fatal(err)
		}
		res, err := s.client.Get(s.url + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		items := s.proxy.Ledger.Inside(s.backend.Gate)
		if len(items) != 1 || items[0].Path != "/f" {
			t.Fatalf("inside: %+v", items)
		}
		s.backend.Gate.Close()
		if !items[0].Cut(0) {
			t.Fatal("it was not cut")
		}
		s.waitFor("it has left", func() bool { return s.backend.Gate.Inside() == 0 })
		if n, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Errorf("%d bytes passed for whole", n)
		}
	})
}

// TestEarlierRelease: an asset that the live release has not is asked for in the one before, and nothing else is.
func TestEarlierRelease(t *testing.T) {
	before := layOut(t, map[string]string{"assets/old.js": "old", "page.html": "old", "assets/both.js": "old", "assets/sub/index.html": "x"})
	live := layOut(t, map[string]string{"assets/both.js": "new"})
	rules := static.Rules{Assets: []string{"/assets/*"}}
	s := newSetup(t, protocols[0], func(http.ResponseWriter, *http.Request) {})
	counters := &proxy.Counters{}
	snapshot, err := proxy.NewSnapshot(1, []*proxy.Service{{
		Name: "web", Path: "/", Live: upstream.NewPool("green", upstream.RoundRobin, []*upstream.Backend{folderBackend(live, rules)}),
		Before:   &proxy.Before{Pool: upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{folderBackend(before, rules)}), Asset: rules.Asset},
		Counters: counters,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.proxy.Swap(snapshot)
	for path, want := range map[string]string{"/assets/old.js": "old", "/assets/both.js": "new", "/page.html": "", "/assets/none.js": "", "/assets/sub": ""} {
		res, body := s.ask("GET", path)
		if (res.StatusCode == 200) != (want != "") || want != "" && body != want {
			t.Errorf("%s: %d %q, want %q", path, res.StatusCode, body, want)
		}
		if want == "old" && res.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	if n := counters.Earlier.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
}

// TestSlowReaderGetsAll reads a file in small pieces, far more slowly than it could be sent.
func TestSlowReaderGetsAll(t *testing.T) {
	dir, big := site(t)
	s := newSetup(t, protocols[0], func(http.ResponseWriter, *http.Request) {})
	s.route(folderBackend(dir, static.Rules{}))
	nc := s.dial().(*net.TCPConn)
	nc.SetReadBuffer(64 << 10)
	io.WriteString(nc, "GET /big.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-999999\r\n\r\nGET /a.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for piece := make([]byte, 64<<10); err == nil; time.Sleep(time.Millisecond) {
		var n int
		n, err = res.Body.Read(piece)
		got.Write(piece[:n])
	}
	if err != io.EOF || got.String() != big[:1000000] {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if res, err = http.ReadResponse(br, nil); err != nil || res.ContentLength != 10 {
		t.Errorf("the next answer on the connection: %+v, %v", res, err)
	}
}
