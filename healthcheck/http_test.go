package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// serve answers each connection on a loopback port with handle, which gets it after the request head was read. The
// connection is closed when handle returns, and when the test ends.
func serve(t *testing.T, network, address string, handle func(conn net.Conn, request string)) (at string) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handle(conn, readRequest(conn))
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

func readRequest(conn net.Conn) string {
	var head strings.Builder
	in := bufio.NewReader(conn)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		head.WriteString(line)
	}
	return head.String()
}

// say returns a handler that writes text and closes.
func say(text string) func(net.Conn, string) {
	return func(conn net.Conn, _ string) { io.WriteString(conn, text) }
}

// ok returns a 200 with that body.
func ok(body string) func(net.Conn, string) { return answer(200, body) }

func answer(status int, body string) func(net.Conn, string) {
	return say(fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body))
}

// silent never answers; it holds the connection until the other side has gone.
func silent(conn net.Conn, _ string) { io.Copy(io.Discard, conn) }

// drip writes text one byte each few milliseconds, for as long as the other side listens.
func drip(text string) func(net.Conn, string) {
	return func(conn net.Conn, _ string) {
		for i := range len(text) {
			if _, err := conn.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// quick runs into its timeout soon, patient never does, however busy the machine.
var (
	quick   = Spec{Network: "tcp", Timeout: 150 * time.Millisecond}
	patient = Spec{Network: "tcp", Timeout: time.Minute}
)

func probe(t *testing.T, spec Spec) Result {
	t.Helper()
	begun := time.Now()
	r := New(spec, time.Now).Probe(t.Context())
	if took := time.Since(begun); took > spec.normal().Timeout+time.Second {
		t.Errorf("the probe took %v", took)
	}
	if r.OK != (r.Reason == "") {
		t.Errorf("OK is %v with reason %q", r.OK, r.Reason)
	}
	if r.At.Before(begun) || r.Took < 0 || r.Took > time.Since(begun) {
		t.Errorf("ended at %v after %v; the probe began at %v", r.At, r.Took, begun)
	}
	return r
}

func TestProbeAnswers(t *testing.T) {
	wantOK := map[string]any{"status": "ok"}
	long := strings.Repeat("x", 10<<20)
	tests := []struct {
		why    string
		handle func(net.Conn, string)
		set    func(*Spec)
		reason string // empty: passes
	}{
		{"a plain 200", ok(""), nil, ""},
		{"204 is in the default range", say("HTTP/1.1 204 No Content\r\n\r\n"), nil, ""},
		{"503", answer(503, "no"), nil, "status 503, want 200-299"},
		{"a wanted 503", answer(503, "no"), func(s *Spec) { s.Status = []StatusRange{{503, 503}} }, ""},
		{"several ranges", answer(404, ""), func(s *Spec) { s.Status = []StatusRange{{200, 200}, {301, 302}} }, "status 404, want 200 or 301-302"},
		{"a redirect is an answer, not an order", say("HTTP/1.1 301 X\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"), nil, "status 301, want 200-299 (redirects are not followed)"},
		{"early hints come first", say("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n"), nil, ""},
		{"nothing but early hints", say(strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 50)), nil, "only interim answers"},
		{"101 nobody asked for", say("HTTP/1.1 101 X\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\n"), nil, "status 101, want 200-299"},
		{"accepts, then silence", silent, nil, "no answer within 150ms"},
		{"the head drips", drip("HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("z", 500)), nil, "no whole head within 150ms"},
		{"the body drips", drip("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("z", 500)), nil, "no whole answer within 150ms"},
		{"garbage", say("\x16\x03\x01\x02garbage\r\n\r\n"), nil, "answer is not HTTP"},
		{"another protocol", say("SSH-2.0-OpenSSH_9.9\r\n"), nil, "answer is not HTTP"},
		{"closes at once", say(""), nil, "connection closed without an answer"},
		{"closes within the head", say("HTTP/1.1 200 OK\r\nContent-Type: text/"), nil, "answer ended early"},
		{"closes within a field name", say("HTTP/1.1 200 OK\r\nContent-"), nil, "answer ended early"},
		{"closes within the status line", say("HTTP/1."), nil, "answer ended early"},
		{"the status line drips", drip(strings.Repeat("HTTP", 500)), nil, "no whole head within 150ms"},
		{"only early hints, then silence", func(c net.Conn, r string) { io.WriteString(c, "HTTP/1.1 103 X\r\n\r\n"); silent(c, r) }, nil, "no whole head within 150ms"},
		{"closes within the body", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"), nil, "answer ended early"},
		{"closes within a chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfour"), nil, "answer ended early"},
		{"a huge body is not read to its end", ok(long), nil, ""},
		{"a huge body of tiny chunks", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 1<<18)), nil, ""},
		{"a huge body cannot be matched", ok(long), func(s *Spec) { s.JSON = wantOK }, "body is longer than 64 KiB, too long to be checked"},
		{"a huge head", say("HTTP/1.1 200 OK\r\nX: " + long), nil, "head of the answer is too long"},
		{"matching JSON", ok(`{"status":"ok","more":[1]}`), func(s *Spec) { s.JSON = wantOK }, ""},
		{"other JSON", ok(`{"status":"starting"}`), func(s *Spec) { s.JSON = wantOK }, `json status is "starting", want "ok"`},
		{"JSON cut short", ok(`{"status":"ok"`), func(s *Spec) { s.JSON = wantOK }, "body is not JSON"},
		{"two JSON values", ok(`{"status":"ok"} {}`), func(s *Spec) { s.JSON = wantOK }, "body is not JSON"},
		{"bad JSON where none is asked for", ok(`{"status`), nil, ""},
		{"bad JSON where only a release is asked for", ok(`v1`), func(s *Spec) { s.Release = "version" }, ""},
		{"the status is judged before the body", answer(500, `{"status":"starting"}`), func(s *Spec) { s.JSON = wantOK }, "status 500, want 200-299"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			spec := patient
			if strings.Contains(test.reason, "within") {
				spec = quick
			}
			spec.Address = serve(t, "tcp", "127.0.0.1:0", test.handle)
			if test.set != nil {
				test.set(&spec)
			}
			if r := probe(t, spec); r.Reason != test.reason || r.Cancelled {
				t.Errorf("reason %q, want %q", r.Reason, test.reason)
			}
		})
	}
}

func TestProbeRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := patient
	spec.Address = listener.Addr().String()
	listener.Close()
	if r := probe(t, spec); r.Reason != "connection refused" {
		t.Errorf("reason %q", r.Reason)
	}
	spec.Network, spec.Address = "unix", filepath.Join(t.TempDir(), "none.sock")
	if r := probe(t, spec); r.Reason != "no socket at "+spec.Address {
		t.Errorf("reason %q", r.Reason)
	}
	spec.Network, spec.Address = "tcp", "no port"
	if r := probe(t, spec); r.Reason != "cannot connect to no port" {
		t.Errorf("reason %q", r.Reason)
	}
}

// TestProbeReset: the server answers and resets in one breath, before it has read the question.
func TestProbeReset(t *testing.T) {
	spec := patient
	spec.Address = serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn, _ string) {
		conn.(*net.TCPConn).SetLinger(0)
	})
	if r := probe(t, spec); r.Reason != "connection reset" {
		t.Errorf("reason %q", r.Reason)
	}
}

func TestProbeUnixSocket(t *testing.T) {
	var asked string
	spec := Spec{Network: "unix", Timeout: time.Minute, Path: "/health?deep=1", Address: filepath.Join(t.TempDir(), "app.sock")}
	serve(t, "unix", spec.Address, func(conn net.Conn, request string) {
		asked = request
		ok(`{}`)(conn, request)
	})
	if r := probe(t, spec); !r.OK {
		t.Fatalf("reason %q", r.Reason)
	}
	want := "GET /health?deep=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: sluice-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestRequestHead(t *testing.T) {
	tests := []struct {
		why          string
		spec         Spec
		target, host string
	}{
		{"nothing set", Spec{Network: "tcp", Address: "127.0.0.1:3000"}, "/", "127.0.0.1:3000"},
		{"a host of its own", Spec{Address: "127.0.0.1:3000", Host: "shop.example"}, "/", "shop.example"},
		{"a path without slash", Spec{Address: "a:1", Path: "up"}, "/up", "a:1"},
		{"bytes that would end the line", Spec{Address: "a:1", Path: "/a b\r\nX: y", Host: "h\r\nX: y"}, "/a%20b%0D%0AX:%20y", "h%0D%0AX:%20y"},
	}
	for _, test := range tests {
		lines := strings.Split(string(requestHead(test.spec)), "\r\n")
		if len(lines) != 7 || lines[0] != "GET "+test.target+" HTTP/1.1" || lines[1] != "Host: "+test.host {
			t.Errorf("%s: wrote %q", test.why, lines)
		}
	}
}

// TestProbeIsHTTP asks a real net/http server, and counts that each check brings a connection of its own.
func TestProbeIsHTTP(t *testing.T) {
	conns := 0
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"path":%q,"version":"v7"}`, r.URL.Path)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns++
			}
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { server.Serve(listener); close(done) }()
	spec := Spec{
		Network: "tcp", Address: listener.Addr().String(), Path: "/up", Timeout: time.Minute,
		JSON: map[string]any{"path": "/up"}, Release: "version",
	}
	for range 3 {
		if r := probe(t, spec); !r.OK || r.Release != "v7" {
			t.Errorf("result %+v", r)
		}
	}
	server.Close()
	<-done
	if conns != 3 {
		t.Errorf("%d connections for 3 checks", conns)
	}
}

func TestRelease64(t *testing.T) {
	tests := []struct{ why, body, want string }{
		{"a string", `{"version":"2026-11-23.4"}`, "2026-11-23.4"},
		{"a number", `{"version":42}`, "42"},
		{"a number with its own spelling", `{"version":1.10}`, "1.10"},
		{"missing", `{}`, ""},
		{"null", `{"version":null}`, ""},
		{"an object", `{"version":{"a":1}}`, ""},
		{"a list instead of an object", `["version"]`, ""},
		{"giant", `{"version":"` + strings.Repeat("v", 1000) + `"}`, strings.Repeat("v", 64)},
		{"controls and escapes for a terminal", `{"version":"v\u001b[2J1\n\u202e"}`, "v[2J1"},
		{"not UTF-8", "{\"version\":\"v\xff\xfe1\"}", "v1"},
		{"wide characters count as one", `{"version":"` + strings.Repeat("é", 65) + `"}`, strings.Repeat("é", 64)},
	}
	for _, test := range tests {
		for _, status := range []int{200, 503} { // a failing answer names its release all the same
			spec := patient
			spec.Release = "version"
			spec.Address = serve(t, "tcp", "127.0.0.1:0", answer(status, test.body))
			if r := probe(t, spec); r.Release != test.want || r.OK != (status == 200) {
				t.Errorf("%s, %d: release %q ok %v, want %q", test.why, status, r.Release, r.OK, test.want)
			}
		}
	}
}

func TestProbeCancelled(t *testing.T) {
	spec := Spec{Network: "tcp", Timeout: time.Minute}
	asked := make(chan struct{})
	spec.Address = serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn, r string) {
		close(asked)
		silent(conn, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	r := New(spec, time.Now).Probe(ctx)
	if r.OK || !r.Cancelled {
		t.Errorf("result %+v, want cancelled", r)
	}
	if r = New(spec, time.Now).Probe(ctx); r.OK || !r.Cancelled {
		t.Errorf("with ctx done before the start: result %+v, want cancelled", r)
	}
}

// TestProbeLeavesNothing runs checks of every ending and looks for goroutines directly after the last.
func TestProbeLeavesNothing(t *testing.T) {
	specs := []Spec{}
	for _, handle := range []func(net.Conn, string){silent, ok("{}"), say("")} {
		spec := Spec{Network: "tcp", Timeout: 20 * time.Millisecond}
		spec.Address = serve(t, "tcp", "127.0.0.1:0", handle)
		specs = append(specs, spec)
	}
	for range 5 {
		for _, spec := range specs {
			New(spec, time.Now).Probe(t.Context())
			for _, stack := range testkit.Goroutines() {
				if bytes.Contains(stack, []byte("healthcheck.(*connProber)")) || bytes.Contains(stack, []byte("closeWith")) {
					t.Fatalf("left behind:\n%s", stack)
				}
			}
		}
	}
}
