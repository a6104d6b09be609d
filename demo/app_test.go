package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func patternBytes(seed uint64, n int64) []byte {
	p, _ := io.ReadAll(Pattern(seed, n))
	return p
}

// uptime depends on how busy the machine is.
var uptime = regexp.MustCompile(`"uptime":\d+`)

func TestRoutes(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	tests := []struct {
		reason, method, target, body string
		status                       int
		want                         string // "" is anything
	}{
		{"health has the well-known shape", "GET", "/health", "", 200, `{"status":"ok","version":"blue","database":"connected","uptime":N}` + "\n"},
		{"nobody is inside but the question", "GET", "/inside", "", 200, `{"inside":0}` + "\n"},
		{"the api counts itself", "GET", "/api", "", 200, `{"release":"blue","hue":215,"inside":1}` + "\n"},
		{"bytes follow from the seed", "GET", "/bytes/100?seed=7", "", 200, string(patternBytes(7, 100))},
		{"bytes without a length are the same bytes", "GET", "/bytes/100?seed=7&chunked=1", "", 200, string(patternBytes(7, 100))},
		{"bytes at a rate are the same bytes", "GET", "/bytes/100?seed=7&rate=2000", "", 200, string(patternBytes(7, 100))},
		{"no bytes", "GET", "/bytes/0", "", 200, ""},
		{"bytes need a number", "GET", "/bytes/many", "", 400, ""},
		{"not fewer than none", "GET", "/bytes/-1", "", 400, ""},
		{"not more than the limit", "GET", fmt.Sprintf("/bytes/%d", maxBytes+1), "", 400, ""},
		{"the rate is a number", "GET", "/bytes/1?rate=fast", "", 400, ""},
		{"the rate does not run backwards", "GET", "/bytes/1?rate=-1", "", 400, ""},
		{"digest", "POST", "/digest", "hello", 200, fmt.Sprintf("{\"sha256\":\"%x\",\"length\":5}\n", sum)},
		{"slow", "GET", "/slow?ms=1", "", 200, "waited 1 ms\n"},
		{"slow needs a number", "GET", "/slow?ms=long", "", 400, ""},
		{"slow has a limit", "GET", "/slow?ms=99999999", "", 400, ""},
		{"events need an interval", "GET", "/events?ms=0", "", 400, ""},
		{"the first of its kind", "POST", "/unique?id=a", "", 200, `{"id":"a","count":1}` + "\n"},
		{"and the second", "POST", "/unique?id=a", "", 200, `{"id":"a","count":2}` + "\n"},
		{"another", "POST", "/unique?id=b", "", 200, `{"id":"b","count":1}` + "\n"},
		{"duplicates", "GET", "/unique", "", 200, `{"duplicates":1}` + "\n"},
		{"an id is needed", "POST", "/unique", "", 400, ""},
		{"an id is short", "POST", "/unique?id=" + strings.Repeat("x", 200), "", 400, ""},
		{"echo needs an upgrade", "GET", "/echo", "", 426, ""},
		{"a websocket too", "GET", "/ws", "", 426, ""},
		{"no such page", "GET", "/nothing", "", 404, ""},
		{"no such method", "DELETE", "/digest", "", 405, ""},
	}
	base := "http://" + serve(t, NewApp("blue"), listen(t))
	for _, test := range tests {
		r, _ := http.NewRequest(test.method, base+test.target, strings.NewReader(test.body))
		r.Header.Set("X-Request-Id", test.target)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", test.reason, err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		got = uptime.ReplaceAll(got, []byte(`"uptime":N`))
		if err != nil || res.StatusCode != test.status || test.want != "" && string(got) != test.want {
			t.Errorf("%s: %d %.100q %v; want %d %.100q", test.reason, res.StatusCode, got, err, test.status, test.want)
		}
		if res.Header.Get("X-Release") != "blue" || res.Header.Get("X-Seen-Request-Id") != test.target {
			t.Errorf("%s: not signed: %v", test.reason, res.Header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestBytesFraming(t *testing.T) {
	base := "http://" + serve(t, NewApp("blue"), listen(t))
	defer http.DefaultClient.CloseIdleConnections()
	for target, length := range map[string]int64{"/bytes/70000": 70000, "/bytes/70000?chunked=1": -1} {
		res, err := http.Get(base + target)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n != 70000 || res.ContentLength != length {
			t.Errorf("%s: %d bytes, Content-Length %d; want 70000, %d", target, n, res.ContentLength, length)
		}
	}
}

func TestPatternDoesNotDependOnReads(t *testing.T) {
	whole := patternBytes(3, 10_000)
	r := Pattern(3, 10_000)
	var pieces []byte
	for i := 1; len(pieces) < len(whole); i++ {
		p := make([]byte, i%37+1)
		n, _ := r.Read(p)
		pieces = append(pieces, p[:n]...)
	}
	if !bytes.Equal(whole, pieces) {
		t.Error("read in pieces, the bytes are others")
	}
	if bytes.Equal(whole, patternBytes(4, 10_000)) {
		t.Error("another seed, and the same bytes")
	}
}

func TestPageShowsTheRelease(t *testing.T) {
	w := httptest.NewRecorder()
	NewApp(`v1 <"&>`).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	page := w.Body.String()
	for _, want := range []string{"v1 &lt;", "/events", "/ws", "/api"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, `<"&>`) {
		t.Error("a release's name got into the page as markup")
	}
}

func TestHealthFollowsTheSwitch(t *testing.T) {
	a := NewApp("blue")
	for _, want := range []int{200, 503, 200} {
		a.SetHealthy(want == 200)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
		var said struct{ Status, Version string }
		json.Unmarshal(w.Body.Bytes(), &said)
		if w.Code != want || (said.Status == "ok") != (want == 200) || said.Version != "blue" {
			t.Errorf("status %d %+v, want %d", w.Code, said, want)
		}
	}
}

func TestDelaySparesProbes(t *testing.T) {
	a := NewApp("blue")
	a.SetDelay(time.Hour)
	for _, path := range []string{"/health", "/inside"} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/slow?ms=0", nil).WithContext(ctx))
	if w.Body.Len() != 0 {
		t.Error("answered before the delay was over")
	}
	if a.Inside() != 0 {
		t.Errorf("%d inside after all have left", a.Inside())
	}
}

func dial(t *testing.T, address, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, request)
	return c, bufio.NewReader(c)
}

// TestInsideCountsEverythingOnce: requests, streams and upgraded connections are inside from their head until they are
// gone, whoever ends them.
func TestInsideCountsEverythingOnce(t *testing.T) {
	const upgrade = " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	tests := []struct{ reason, request string }{
		{"a slow request", "GET /slow?ms=5000 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"half an upload", "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"},
		{"a stream", "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a websocket", "GET /ws" + upgrade + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"},
		{"a tunnel", "GET /echo" + upgrade + "Upgrade: echo\r\n\r\n"},
		{"a download at a rate", "GET /bytes/1000000?rate=1000 HTTP/1.1\r\nHost: x\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			a := NewApp("blue")
			address := serve(t, a, listen(t))
			first, _ := dial(t, address, test.request)
			second, _ := dial(t, address, test.request)
			eventually(t, "both are inside", func() bool { return a.Inside() == 2 })
			first.Close()
			eventually(t, "one has left", func() bool { return a.Inside() == 1 })
			a.Close()
			if _, err := io.Copy(io.Discard, second); err != nil && !ended(err) {
				t.Errorf("Close left a connection open: %v", err)
			}
			eventually(t, "both have left", func() bool { return a.Inside() == 0 })
		})
	}
}

// TestInsideUntilTheLastByteIsWritten: an app that counts a request out while its answer still waits to be written would
// let itself be ended too early. Here the client does not read, so that the answer cannot be written.
func TestInsideUntilTheLastByteIsWritten(t *testing.T) {
	a := NewApp("blue")
	c, _ := dial(t, serve(t, a, listen(t)), "GET /bytes/60000000 HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it is inside", func() bool { return a.Inside() == 1 })
	time.Sleep(50 * time.Millisecond)
	if a.Inside() != 1 {
		t.Fatal("counted out with most of the answer unwritten")
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != 60000000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	eventually(t, "it has left; its connection has not", func() bool { return a.Inside() == 0 })
}

func TestIdleAndUnusedConnectionsAreNotInside(t *testing.T) {
	a := NewApp("blue")
	address := serve(t, a, listen(t))
	dial(t, address, "")
	_, in := dial(t, address, "GET /slow?ms=0 HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 {
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		} else {
			io.Copy(io.Discard, res.Body)
		}
	}
	eventually(t, "nobody is inside", func() bool { return a.Inside() == 0 })
}

func TestEchoHonoursHalfClose(t *testing.T) {
	a := NewApp("blue")
	c, in := dial(t, serve(t, a, listen(t)), "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Request-Id: 9\r\n\r\nearly")
	io.WriteString(c, " and late")
	c.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("X-Release") != "blue" || res.Header.Get("X-Seen-Request-Id") != "9" {
		t.Fatal(res, err)
	}
	rest, err := io.ReadAll(in)
	if string(rest) != "early and late" || err != nil {
		t.Errorf("echoed %q, %v", rest, err)
	}
}

func TestWebSocketWithAnotherClient(t *testing.T) {
	a := NewApp("blue")
	c, res, err := websocket.Dial(t.Context(), "ws://"+serve(t, a, listen(t))+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Release") != "blue" {
		t.Error("the handshake does not name the release")
	}
	for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
		if err := c.Write(t.Context(), kind, []byte("gopher")); err != nil {
			t.Fatal(err)
		}
		if got, p, err := c.Read(t.Context()); got != kind || string(p) != "gopher" || err != nil {
			t.Errorf("%v %q %v", got, p, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the close was not answered: %v", err)
	}
	eventually(t, "it has left", func() bool { return a.Inside() == 0 })
}

// TestKilledApp runs the app as a process of its own and kills it: the strict traffic has to notice.
func TestKilledApp(t *testing.T) {
	app := exec.Command(os.Args[0])
	app.Env = append(os.Environ(), "SLUICE_DEMO_APP=-release v9")
	out, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer app.Wait()
	defer app.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok || err != nil {
		t.Fatalf("%q %v", line, err)
	}
	traffic := start(t, Config{Address: address, Workers: everyClass()})
	eventually(t, "all are served", func() bool {
		c := traffic.Count()
		return c.Classes[Get].Done > 10 && c.Classes[Stream].Messages > 1 && c.Classes[Tunnel].Messages > 1
	})
	if n := traffic.Count().Total(); n.Lost+n.Cut != 0 {
		t.Errorf("lost %d, cut %d before anything happened: %v", n.Lost, n.Cut, traffic.Lost())
	}
	app.Process.Kill()
	eventually(t, "the loss is noticed", func() bool { return traffic.Count().Classes[Stream].Lost > 0 })
	traffic.Stop()
}

func TestRunAppRefusesBadArguments(t *testing.T) {
	for reason, args := range map[string][]string{
		"an unknown flag":   {"-port", "1"},
		"a stray word":      {"blue"},
		"an impossible one": {"-listen", "127.0.0.1:99999"},
	} {
		if err := runApp(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%s was taken", reason)
		}
	}
}

func TestCloseBeforeServe(t *testing.T) {
	a := NewApp("blue")
	a.Close()
	l := listen(t)
	if err := a.Serve(l); err != nil {
		t.Errorf("Serve after Close: %v, want nil at once", err)
	}
}
