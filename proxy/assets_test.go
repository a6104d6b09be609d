package proxy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/static"
	"sluice/upstream"
)

const (
	nothing = "HTTP/1.1 404 Not Found\r\nX-App: live\r\nCache-Control: max-age=5\r\n"
	found   = "HTTP/1.1 200 OK\r\nX-App: before\r\nContent-Length: 5\r\n\r\nchunk"
)

var assetRules = static.Rules{Assets: []string{"/assets/*"}}

// withBefore makes the second origin the release before of the first.
func (w *world) withBefore(live, before *upstream.Backend) *Before {
	b := &Before{Asset: assetRules.Asset, Pool: upstream.NewPool("old", upstream.RoundRobin, []*upstream.Backend{before})}
	w.service = &Service{Name: "web", Path: "/", Live: upstream.NewPool("new", upstream.RoundRobin, []*upstream.Backend{live}), Before: b}
	s, err := NewSnapshot(w.proxy.Snapshot().Generation+1, []*Service{w.service})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.Swap(s)
	return b
}

// replying answers each request to an origin with one text.
func (w *world) replying(o *origin, answer string) {
	go w.answerConns(o, answer)
}

func (w *world) fetch(method, path, fields string) seen {
	w.t.Helper()
	p := w.ask(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + "\r\n")
	res, err := http.ReadResponse(p.br, &http.Request{Method: method})
	if err != nil {
		return seen{0, err.Error(), nil}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		body = append(body, " "+err.Error()...)
	}
	return seen{res.StatusCode, string(body), res.Header}
}

// TestAssetsOfTheReleaseBefore: what the live app has not is asked for once where it may be; else the live answer stands as it
// was, whatever its framing.
func TestAssetsOfTheReleaseBefore(t *testing.T) {
	long := strings.Repeat("x", mostMissBytes+1)
	sized := func(status, body string) string {
		return fmt.Sprintf("%sX-App: live\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	const gone = "HTTP/1.1 404 Not Found\r\n"
	for _, tt := range []struct {
		why, request, live, before string
		status                     int
		body, app                  string
		asks                       int64 // how often the release before is asked
	}{
		{"found there", "GET /assets/a.js", sized(gone, "no"), found, 200, "chunk", "before", 1},
		{"with a query", "GET /assets/a.js?v=1", sized(gone, "no"), found, 200, "chunk", "before", 1},
		{"escaped", "GET /%61ssets/a%20b.js", sized(gone, "no"), found, 200, "chunk", "before", 1},
		{"a part of it", "GET /assets/a.js", sized(gone, "no"), "HTTP/1.1 206 Partial Content\r\nX-App: before\r\nContent-Length: 1\r\n\r\nc", 206, "c", "before", 1},
		{"not changed", "GET /assets/a.js", sized(gone, "no"), "HTTP/1.1 304 Not Modified\r\nX-App: before\r\n\r\n", 304, "", "before", 1},
		{"by HEAD", "HEAD /assets/a.js", gone + "Content-Length: 7\r\n\r\n", "HTTP/1.1 200 OK\r\nX-App: before\r\nContent-Length: 5\r\n\r\n", 200, "", "before", 1},
		{"a chunked miss", "GET /assets/a.js", nothing + "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", found, 200, "chunk", "before", 1},
		{"a miss without end", "GET /assets/a.js", nothing + "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", found, 200, "chunk", "before", 1},
		{"a long miss", "GET /assets/a.js", sized(gone, long), found, 200, "chunk", "before", 1},
		{"neither has it", "GET /assets/a.js", sized(gone, "no"), sized(gone, "no such thing"), 404, "no", "live", 1},
		{"neither has it, chunked", "GET /assets/a.js", nothing + "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", gone + "Content-Length: 0\r\n\r\n", 404, "no", "live", 1},
		{"neither has it, by HEAD", "HEAD /assets/a.js", gone + "X-App: live\r\nContent-Length: 7\r\n\r\n", gone + "\r\n", 404, "", "live", 1},
		{"neither has it, and the miss is long", "GET /assets/a.js", sized(gone, long), gone + "Content-Length: 0\r\n\r\n", 404, "404 Not Found: there is no such file", "", 1},
		{"the one before sends elsewhere", "GET /assets/a.js", sized(gone, "no"), "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 404, "no", "live", 1},
		{"the one before fails", "GET /assets/a.js", sized(gone, "no"), "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 404, "no", "live", 1},
		{"the one before answers no HTTP", "GET /assets/a.js", sized(gone, "no"), "hello\r\n\r\n", 404, "no", "live", 1},
		{"no asset", "GET /page", sized(gone, "no"), found, 404, "no", "live", 0},
		{"no question", "DELETE /assets/a.js", sized(gone, "no"), found, 404, "no", "live", 0},
		{"another answer", "GET /assets/a.js", sized("HTTP/1.1 410 Gone\r\n", "no"), found, 410, "no", "live", 0},
		{"the live one has it", "GET /assets/a.js", sized(ok, "mine"), found, 200, "mine", "live", 0},
	} {
		t.Run(tt.why, func(t *testing.T) {
			w := newWorld(t, 2, generous)
			w.withBefore(w.origins[0].Backend, w.origins[1].Backend)
			w.replying(w.origins[0], tt.live)
			w.replying(w.origins[1], tt.before)
			method, path, _ := strings.Cut(tt.request, " ")
			got := w.fetch(method, path, "")
			if got.status != tt.status || !strings.HasPrefix(got.body, tt.body) || tt.app != "" && got.body != tt.body || got.header.Get("X-App") != tt.app {
				t.Errorf("%d %.80q by %q", got.status, got.body, got.header.Get("X-App"))
			}
			if length := got.header.Get("Content-Length"); tt.status == 404 && method == "HEAD" && length != "7" {
				t.Errorf("the length of what GET would bring is %q", length)
			}
			w.over()
			counted := int64(0)
			if tt.app == "before" {
				counted = 1
			}
			if asks, n := w.origins[1].Endpoint.Stats.Requests.Load(), w.service.Earlier.Load(); asks != tt.asks || n != counted {
				t.Errorf("asked %d times, %d counted", asks, n)
			}
			for i, o := range w.origins {
				if n := o.Gate.Inside(); n != 0 {
					t.Errorf("%d still inside of origin %d", n, i)
				}
			}
		})
	}
}

// TestMissesKeepTheirConnections: the next request finds them, on both sides.
func TestMissesKeepTheirConnections(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.withBefore(w.origins[0].Backend, w.origins[1].Backend)
	c := w.dial()
	var live, before *peer
	for n := range 4 {
		c.send("GET /assets/a.js HTTP/1.1\r\nHost: x\r\n\r\n")
		if n == 0 {
			live = w.origins[0].conn()
		}
		live.has("GET /assets/a.js")
		live.send(nothing, "Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
		if n == 0 {
			before = w.origins[1].conn()
		}
		before.has("GET /assets/a.js")
		if n%2 == 0 {
			before.send(found)
			c.has("HTTP/1.1 200", "X-App: before")
			c.expect("chunk")
		} else {
			before.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
			c.has("HTTP/1.1 404", "X-App: live", "Cache-Control: max-age=5", "Content-Length: 2")
			c.expect("no")
		}
		w.over()
	}
	w.origins[0].unused()
	w.origins[1].unused()
}

// TestReleaseBeforeIsInside: who waits for the release before to be empty waits for an asset that it is asked for, and its
// end is the end of it. One that has left is not asked.
func TestReleaseBeforeIsInside(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.withBefore(w.origins[0].Backend, w.origins[1].Backend)
	w.replying(w.origins[0], nothing+"Content-Length: 2\r\n\r\nno")
	c := w.ask("GET /assets/a.js HTTP/1.1\r\nHost: x\r\n\r\n")
	before := w.origins[1].conn()
	before.has("GET /assets/a.js")
	gate := w.origins[1].Gate
	if items := w.proxy.Ledger.Inside(gate); len(items) != 1 || gate.Inside() != 1 || w.origins[0].Gate.Inside() != 0 {
		t.Fatalf("inside of the release before: %v, of the live one: %d", items, w.origins[0].Gate.Inside())
	}
	w.withBefore(w.origins[0].Backend, w.origins[1].Backend)
	w.service.Before = nil
	done := make(chan drain.Report, 1)
	go func() {
		done <- drain.Run(t.Context(), drain.Job{
			Gates: []*drain.Gate{gate}, Inside: func() []drain.Item { return w.proxy.Ledger.Inside(gate) },
			Policy: drain.Policy{Timeout: time.Minute},
		})
	}()
	waitFor(t, "the drain began", gate.Closed)
	if got := w.fetch("GET", "/assets/b.js", ""); got.status != 404 || got.body != "no" {
		t.Errorf("of a release that left: %d %q", got.status, got.body)
	}
	w.over()
	before.send(found)
	c.has("HTTP/1.1 200", "X-App: before")
	c.expect("chunk")
	if r := <-done; r.Finished != 1 || r.Found != 1 {
		t.Errorf("%+v", r)
	}
}

// TestReleaseBeforeMoved: one whose gate closed in between means that there is a newer snapshot, and the request goes by that.
func TestReleaseBeforeMoved(t *testing.T) {
	w := newWorld(t, 3, generous)
	closed := *w.origins[1].Backend
	closed.Gate = drain.NewGate()
	w.withBefore(w.origins[0].Backend, &closed)
	c := w.ask("GET /assets/a.js HTTP/1.1\r\nHost: x\r\n\r\n")
	live := w.origins[0].conn()
	live.has("GET /assets/a.js")
	w.withBefore(w.origins[0].Backend, w.origins[2].Backend) // swap, then close
	closed.Gate.Close()
	w.replying(w.origins[2], found)
	live.send(nothing, "Content-Length: 2\r\n\r\nno")
	live.has("GET /assets/a.js")
	live.send(nothing, "Content-Length: 2\r\n\r\nno")
	c.has("HTTP/1.1 200", "X-App: before")
	w.origins[1].unused()
	w.over()
}

// TestReleaseBeforeBreaksOff: what has begun to come from there is as any answer that breaks off.
func TestReleaseBeforeBreaksOff(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.withBefore(w.origins[0].Backend, w.origins[1].Backend)
	w.replying(w.origins[0], nothing+"Content-Length: 2\r\n\r\nno")
	c := w.ask("GET /assets/a.js HTTP/1.1\r\nHost: x\r\n\r\n")
	before := w.origins[1].conn()
	before.has("GET /assets/a.js")
	before.send("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\nchunk")
	c.has("HTTP/1.1 200")
	before.reset()
	if _, whole := c.rest(); whole {
		t.Error("the rest passed for whole")
	}
	if o := w.over(); !o.Lost || o.Retries != 0 {
		t.Errorf("%+v", o)
	}
}

// TestAssetsOfFolders: servers and folders ask each other.
func TestAssetsOfFolders(t *testing.T) {
	folder := func(t *testing.T, files ...string) *upstream.Backend {
		dir := t.TempDir()
		for _, name := range files {
			at := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, []byte("file "+name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return &upstream.Backend{
			Name: dir, Weight: 1, Gate: drain.NewGate(), Files: static.New(dir, assetRules),
			Endpoint: upstream.NewEndpoint("root", dir, upstream.Options{}),
		}
	}
	app := func(answer string) func(*testing.T, *world) *upstream.Backend {
		return func(_ *testing.T, w *world) *upstream.Backend {
			w.replying(w.origins[0], answer)
			return w.origins[0].Backend
		}
	}
	dir := func(files ...string) func(*testing.T, *world) *upstream.Backend {
		return func(t *testing.T, _ *world) *upstream.Backend { return folder(t, files...) }
	}
	miss := nothing + "Content-Length: 2\r\n\r\nno"
	for _, tt := range []struct {
		why          string
		live, before func(*testing.T, *world) *upstream.Backend
		path, fields string
		status       int
		body         string
	}{
		{"a folder before an app", app(miss), dir("assets/a.js"), "/assets/a.js", "", 200, "file assets/a.js"},
		{"a part of a file", app(miss), dir("assets/a.js"), "/assets/a.js", "Range: bytes=0-3\r\n", 206, "file"},
		{"a folder before an app has it not", app(miss), dir(), "/assets/a.js", "", 404, "no"},
		{"nor is it a folder there", app(miss), dir("assets/a/x.js"), "/assets/a", "", 404, "no"},
		{"an app before a folder", dir(), app(found), "/assets/a.js", "", 200, "chunk"},
		{"an app before a folder has it not", dir(), app(miss), "/assets/a.js", "", 404, "404 Not Found: there is no such file"},
		{"a folder before a folder", dir("index.html"), dir("assets/a.js"), "/assets/a.js", "", 200, "file assets/a.js"},
		{"no asset", dir(), dir("page.html"), "/page.html", "", 404, "404 Not Found: there is no such file"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			w := newWorld(t, 1, generous)
			w.withBefore(tt.live(t, w), tt.before(t, w))
			got := w.fetch("GET", tt.path, tt.fields)
			if got.status != tt.status || !strings.HasPrefix(got.body, tt.body) {
				t.Errorf("%d %q", got.status, got.body)
			}
			w.over()
			if n := w.service.Earlier.Load(); n != int64(map[bool]int{true: 1}[tt.status/100 == 2]) {
				t.Errorf("%d counted", n)
			}
		})
	}
}
