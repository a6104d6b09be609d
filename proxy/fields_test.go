package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/http1"
	"sluice/message"
)

// incoming is a request with these field lines, from a peer.
func incoming(trusted bool, lines ...string) *Exchange {
	ex := NewExchange(&link{Conn: nil}, &Peer{Address: "192.0.2.7", Scheme: "https", Trusted: trusted, Local: func() string { return "here:443" }})
	ex.Reset(time.Now())
	h := &ex.Request
	h.Reset()
	h.Method, h.Target, h.Authority = []byte("GET"), []byte("/"), []byte("example.com")
	addLines(h, lines)
	return ex
}

func addLines(h *message.Head, lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(message.Lookup([]byte(name)), []byte(name), []byte(value))
	}
}

func linesOf(h *message.Head) (lines []string) {
	for _, f := range h.Fields {
		lines = append(lines, fmt.Sprintf("%s: %s", f.Name, f.Value))
	}
	return lines
}

var testProxy = New(Timeouts{}, nil)

func prepared(t *testing.T, ex *Exchange) []string {
	t.Helper()
	if err := testProxy.prepare(ex); err != nil {
		t.Fatal(err)
	}
	return linesOf(&ex.Request)
}

func TestRequestFieldsThatEndHere(t *testing.T) {
	tests := []struct {
		reason string
		lines  []string
		gone   []string
		kept   []string
	}{
		{"about this connection", []string{"Connection: close", "Keep-Alive: 5", "Proxy-Connection: x", "TE: gzip;q=0.5", "Upgrade: foo", "HTTP2-Settings: x"},
			[]string{"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "HTTP2-Settings"}, nil},
		{"for a proxy that asks for credentials", []string{"Proxy-Authorization: Basic x", "Proxy-Authenticate: Basic"}, []string{"Proxy-Authorization", "Proxy-Authenticate"}, nil},
		{"the address of a proxy, to a CGI program", []string{"Proxy: http://evil.org"}, []string{"Proxy"}, nil},
		{"written anew", []string{"Host: a", "Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue"},
			[]string{"Host", "Content-Length", "Transfer-Encoding", "Expect"}, nil},
		{"nominated", []string{"Connection: keep-alive, X-Hop , x-hop2", "X-Hop: 1", "X-HOP2: 2", "X-Stays: 3"},
			[]string{"X-Hop", "X-HOP2"}, []string{"X-Stays: 3"}},
		{"nominated in two fields", []string{"Connection: X-A", "Connection: X-B", "X-A: 1", "X-B: 2"}, []string{"X-A", "X-B"}, nil},
		{"nominated, but needed behind us", []string{"Connection: Authorization, Cookie, Idempotency-Key, Via, Date, Content-Type", "Authorization: a", "Cookie: b", "Idempotency-Key: c", "Via: d", "Content-Type: e"},
			nil, []string{"Authorization: a", "Cookie: b", "Idempotency-Key: c", "Via: d", "Content-Type: e"}},
		{"aliases of ours", []string{"X_Forwarded_For: 6.6.6.6", "x-forwarded_proto: https", "Content_Length: 7", "Transfer_Encoding: chunked", "HOST_: x", "X_Real_IP: y", "X_Request_ID: z"},
			[]string{"X_Forwarded_For", "x-forwarded_proto", "Content_Length", "Transfer_Encoding", "HOST_", "X_Real_IP", "X_Request_ID"}, nil},
		{"with other bytes than underscores", []string{"X.Forwarded.For: 6.6.6.6", "x|real~ip: y", "_Host: z", "Content!Type: a", "X_Forwarded_Port: 1", "X_Original.URL: b", "_X-Forwarded-Client-Cert: c"},
			[]string{"X.Forwarded.For", "x|real~ip", "_Host", "Content!Type", "X_Forwarded_Port", "X_Original.URL", "_X-Forwarded-Client-Cert"}, nil},
		{"other underscores", []string{"my_field: 1", "csrf.token: 2", strings.Repeat("x_", 60) + ": 3"}, nil, []string{"my_field: 1", "csrf.token: 2", strings.Repeat("x_", 60) + ": 3"}},
		{"all else, in order", []string{"Accept: a", "X-Multi: 1", "X-Multi: 2", "Trailer: X-Sum"}, nil, []string{"Accept: a", "X-Multi: 1", "X-Multi: 2", "Trailer: X-Sum"}},
	}
	for _, test := range tests {
		got := prepared(t, incoming(false, test.lines...))
		for _, name := range test.gone {
			if slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, name+": ") }) {
				t.Errorf("%s: %s was passed on: %q", test.reason, name, got)
			}
		}
		if len(test.kept) > 0 && !slices.Equal(got[:len(test.kept)], test.kept) {
			t.Errorf("%s: %q, want first %q", test.reason, got, test.kept)
		}
	}
}

func TestWhereARequestCameFrom(t *testing.T) {
	forged := []string{
		"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7, 8.8.8.8", "X-Forwarded-Host: evil.org", "X-Forwarded-Proto: gopher",
		"X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Request-ID: theirs",
		"X-Forwarded-Port: 1", "X-Forwarded-Client-Cert: root", "True-Client-IP: a", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
	}
	got := prepared(t, incoming(false, forged...))
	want := []string{
		"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Host: example.com", "X-Forwarded-Proto: https",
		"X-Request-Id: theirs", "Via: " + string(testProxy.via), // an id says nothing of where a request came from
	}
	if !slices.Equal(got, want) {
		t.Errorf("from a stranger: %q, want %q", got, want)
	}

	friend := incoming(true, forged...)
	got = prepared(t, friend)
	want = []string{
		"X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Forwarded-Port: 1", "X-Forwarded-Client-Cert: root", "True-Client-IP: a",
		"X-Original-URL: /admin", "X-Rewrite-URL: /admin",
		"X-Forwarded-For: 6.6.6.6, 7.7.7.7, 8.8.8.8, 192.0.2.7", "X-Forwarded-Host: evil.org", "X-Forwarded-Proto: gopher",
		"X-Request-Id: theirs", "Via: " + string(testProxy.via),
	}
	if !slices.Equal(got, want) || friend.ID() != "theirs" {
		t.Errorf("from a trusted peer: %q, want %q", got, want)
	}
}

func TestRequestIDs(t *testing.T) {
	for value, adopted := range map[string]bool{
		"abc-123": true, strings.Repeat("a", maxID): true,
		"": false, strings.Repeat("a", maxID+1): false, "a b": false, "a\"b": false, "a{b}": false,
	} {
		ex := incoming(true, "X-Request-ID: "+value)
		lines := prepared(t, ex)
		if (ex.ID() == value) != adopted {
			t.Errorf("%q: the id is %q", value, ex.ID())
		}
		if !slices.Contains(lines, "X-Request-Id: "+ex.ID()) {
			t.Errorf("the backend was told another id: %q", lines)
		}
	}
	ex := incoming(false)
	seen := map[string]bool{}
	for range 300 {
		ex.Reset(time.Now())
		if id := ex.ID(); seen[id] || !message.IsToken([]byte(id)) {
			t.Fatalf("id %q", id)
		} else {
			seen[id] = true
		}
	}
	if a, b := NewExchange(nil, nil), NewExchange(nil, nil); a.id.base == b.id.base {
		t.Error("two connections with one base")
	}
}

func TestViaLoopIsEnded(t *testing.T) {
	for via, status := range map[string]int{
		string(testProxy.via):                        508,
		"1.0 fred, " + string(testProxy.via) + ", x": 508,
		"1.1 sluice-00000000":                        0,
		"1.1 vegur":                                  0,
	} {
		err := testProxy.prepare(incoming(false, "Via: "+via))
		if status == 0 && err != nil || status != 0 && (err == nil || err.Status != status) {
			t.Errorf("Via: %s: %v", via, err)
		}
	}
	if lines := prepared(t, incoming(false, "Via: 1.0 fred")); lines[0] != "Via: 1.0 fred" {
		t.Errorf("the Via of others: %q", lines)
	}
}

// TestTooManyNominatedFields: each name is compared with each field. That must not become an attack.
func TestTooManyNominatedFields(t *testing.T) {
	names := strings.Repeat("a,", 30000)
	if err := testProxy.prepare(incoming(false, "Connection: "+names)); err != errNominated {
		t.Errorf("%v", err)
	}
	if err := testProxy.prepare(incoming(false, "Connection: "+strings.Repeat("a,", maxNominated))); err != nil {
		t.Errorf("%d are allowed: %v", maxNominated, err)
	}
	if err := testProxy.prepare(incoming(false, "Connection: "+strings.Repeat("close,", 5000))); err != nil {
		t.Errorf("usual tokens name no field: %v", err)
	}
}

func TestHostOfAnOldClient(t *testing.T) {
	ex := incoming(false)
	ex.Request.Authority = nil
	if lines := prepared(t, ex); string(ex.Request.Authority) != "here:443" || !slices.Contains(lines, "X-Forwarded-Host: here:443") {
		t.Errorf("%q %q", ex.Request.Authority, lines)
	}
}

type noTunnel struct{ link }

func (*noTunnel) Tunnel() *http1.Conn { return nil }

func TestUpgradeIsAskedForAsAPair(t *testing.T) {
	websocket := []byte("websocket")
	tests := []struct {
		reason  string
		upgrade []byte
		framing message.Framing
		client  Client
		asks    bool
	}{
		{"a WebSocket", websocket, message.Framing{}, &link{Conn: &http1.Conn{}}, true},
		{"a body of no bytes", websocket, message.Framing{Kind: message.Length}, &link{Conn: &http1.Conn{}}, true},
		{"another protocol", []byte("echo"), message.Framing{}, &link{Conn: &http1.Conn{}}, true},
		{"TLS would hide requests", []byte("TLS"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"HTTP/2 would carry requests unread", []byte("H2C"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"by its other name", []byte("h2"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"with its version", []byte("HTTP/2.0"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"HTTP without one", []byte("Http"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"a list", []byte("websocket, x"), message.Framing{}, &link{Conn: &http1.Conn{}}, false},
		{"with a body", websocket, message.Framing{Kind: message.Length, Length: 1}, &link{Conn: &http1.Conn{}}, false},
		{"with a chunked body", websocket, message.Framing{Kind: message.Chunked}, &link{Conn: &http1.Conn{}}, false},
		{"a stream that cannot tunnel", websocket, message.Framing{}, &noTunnel{}, false},
		{"no wish", nil, message.Framing{}, &link{Conn: &http1.Conn{}}, false},
	}
	for _, test := range tests {
		ex := incoming(false, "Upgrade: forged", "Connection: upgrade")
		ex.Client = test.client
		ex.Request.Upgrade, ex.Request.Framing = test.upgrade, test.framing
		lines := prepared(t, ex)
		asks := slices.Contains(lines, "Connection: upgrade") && slices.Contains(lines, "Upgrade: "+string(test.upgrade))
		if asks != test.asks || (ex.Request.Upgrade != nil) != test.asks {
			t.Errorf("%s: %q, upgrade %q", test.reason, lines, ex.Request.Upgrade)
		}
	}
}

func TestTrailersAreWishedForAsAPair(t *testing.T) {
	for te, passed := range map[string]bool{"trailers": true, "Trailers": true, "gzip, trailers": true, "gzip": false, "trailers;q=0": false, "": false} {
		lines := prepared(t, incoming(false, "Connection: TE", "TE: "+te))
		if slices.Contains(lines, "TE: trailers") != passed || slices.Contains(lines, "Connection: TE") != passed {
			t.Errorf("TE: %s: %q", te, lines)
		}
	}
}

func TestUpgradeNamedTwiceIsNone(t *testing.T) {
	ex := incoming(false, "Connection: upgrade", "Upgrade: h2c", "Upgrade: websocket")
	ex.Client, ex.Request.Upgrade = &link{Conn: &http1.Conn{}}, []byte("websocket")
	if lines := prepared(t, ex); ex.Request.Upgrade != nil || slices.Contains(lines, "Upgrade: websocket") {
		t.Errorf("%q", lines)
	}
}

func TestFieldsThatHaveOneValue(t *testing.T) {
	for _, test := range []struct {
		name             string
		stranger, friend *Error
	}{
		{"Authorization", errTwice, errTwice},
		{"Content-Type", errTwice, errTwice},
		{"X-Forwarded-Host", nil, errTwice},
		{"X-Forwarded-Proto", nil, errTwice},
		{"X-Real-IP", nil, errTwice},
		{"X-Forwarded-For", nil, nil},
		{"Forwarded", nil, nil},
		{"Accept", nil, nil},
		{"X-Own", nil, nil},
	} {
		for trusted, want := range map[bool]*Error{false: test.stranger, true: test.friend} {
			if err := testProxy.prepare(incoming(trusted, test.name+": a", test.name+": a")); err != want {
				t.Errorf("two %s, trusted %v: %v, want %v", test.name, trusted, err, want)
			}
			if err := testProxy.prepare(incoming(trusted, test.name+": a")); err != nil {
				t.Errorf("one %s, trusted %v: %v", test.name, trusted, err)
			}
		}
	}
}

func TestCookiesBecomeOneField(t *testing.T) {
	lines := prepared(t, incoming(false, "Cookie: a=1", "X: y", "cookie: b=2; c=3", "COOKIE: d=4"))
	if want := []string{"Cookie: a=1; b=2; c=3; d=4", "X: y"}; !slices.Equal(lines[:2], want) {
		t.Errorf("%q, want first %q", lines, want)
	}
	if got := strings.Count(strings.ToLower(strings.Join(lines, "\n")), "cookie:"); got != 1 {
		t.Errorf("%d fields", got)
	}
	if lines := prepared(t, incoming(false, "Cookie: a=1", "Cookie: ", "Cookie: b=2", "Cookie: ")); lines[0] != "Cookie: a=1; b=2" {
		t.Errorf("%q", lines)
	}
	if lines := prepared(t, incoming(false, "Cookie: ", "Cookie: ")); strings.HasPrefix(lines[0], "Cookie") {
		t.Errorf("%q", lines)
	}
}

func TestMaxForwards(t *testing.T) {
	for _, test := range []struct {
		method string
		lines  []string
		passed string // what the backend is told
		err    *Error
		ends   bool // Sluice is the recipient
	}{
		{"OPTIONS", []string{"Max-Forwards: 0"}, "", nil, true},
		{"OPTIONS", []string{"Max-Forwards: 000"}, "", nil, true},
		{"OPTIONS", []string{"Max-Forwards: 1"}, "0", nil, false},
		{"OPTIONS", []string{"max-forwards: 10"}, "9", nil, false},
		{"OPTIONS", []string{"Max-Forwards: 99999999999999999999999"}, "999", nil, false},
		{"OPTIONS", []string{"Max-Forwards: "}, "", errForwards, false},
		{"OPTIONS", []string{"Max-Forwards: -1"}, "", errForwards, false},
		{"OPTIONS", []string{"Max-Forwards: +1"}, "", errForwards, false},
		{"OPTIONS", []string{"Max-Forwards: 1, 2"}, "", errForwards, false},
		{"OPTIONS", []string{"Max-Forwards: 1", "Max-Forwards: 1"}, "", errForwards, false},
		{"GET", []string{"Max-Forwards: 0"}, "0", nil, false},
		{"GET", []string{"Max-Forwards: x"}, "x", nil, false},
		{"TRACE", []string{"Max-Forwards: 0"}, "", errTrace, false},
		{"TRACE", nil, "", errTrace, false},
	} {
		ex := incoming(false, test.lines...)
		ex.Request.Method = []byte(test.method)
		err := testProxy.prepare(ex)
		passed := string(ex.Request.Get(message.MaxForwards))
		if err != test.err || ex.recipient != test.ends || err == nil && !test.ends && passed != test.passed {
			t.Errorf("%s %q: %v, recipient %v, passed on as %q", test.method, test.lines, err, ex.recipient, passed)
		}
	}
}

func TestOneAuthorityIsRoutedOnAndForwarded(t *testing.T) {
	for sent, want := range map[string]string{
		"EXAMPLE.com": "example.com", "Example.Com.": "example.com", "a.:8080": "a:8080", "[::A]:1": "[::a]:1", "a:80": "a:80",
	} {
		ex := incoming(false)
		ex.Request.Authority = []byte(sent)
		lines := prepared(t, ex)
		if got := string(ex.Request.Authority); got != want || !slices.Contains(lines, "X-Forwarded-Host: "+want) {
			t.Errorf("%s became %s, %q", sent, got, lines)
		}
	}
}

func TestResponseFields(t *testing.T) {
	tests := []struct {
		reason  string
		status  int
		framing message.Framing
		lines   []string
		want    []string
	}{
		{"about the backend's connection", 200, message.Framing{Kind: message.Chunked},
			[]string{"Connection: close, X-Hop", "Keep-Alive: 1", "Proxy-Connection: x", "Proxy-Authenticate: Basic", "TE: x", "Transfer-Encoding: chunked", "Upgrade: h2c", "X-Hop: 1", "Server: s"}, []string{"Server: s"}},
		{"a length is written anew", 200, message.Framing{Kind: message.Length, Length: 5}, []string{"Content-Length: 5", "A: b"}, []string{"A: b"}},
		{"the length of what a GET would bring", 200, message.Framing{}, []string{"Content-Length: 5"}, []string{"Content-Length: 5"}},
		{"of a 304 too", 304, message.Framing{}, []string{"Content-Length: 5"}, []string{"Content-Length: 5"}},
		{"a 204 has none", 204, message.Framing{}, []string{"Content-Length: 0"}, nil},
		{"nor has a 103", 103, message.Framing{}, []string{"Content-Length: 0", "Link: x"}, []string{"Link: x"}},
		{"cookies may not be nominated away", 200, message.Framing{}, []string{"Connection: Set-Cookie", "Set-Cookie: a=b"}, []string{"Set-Cookie: a=b"}},
	}
	for _, test := range tests {
		h := &message.Head{Status: test.status, Framing: test.framing}
		addLines(h, test.lines)
		if _, ok := filterResponse(h); !ok || !slices.Equal(linesOf(h), test.want) {
			t.Errorf("%s: %q, want %q", test.reason, linesOf(h), test.want)
		}
	}
	h := &message.Head{Status: 200}
	addLines(h, []string{"Connection: " + strings.Repeat("a,", 30000)})
	if _, ok := filterResponse(h); ok {
		t.Error("a backend may not name as many fields as it likes either")
	}
}

func TestABackendAsksForItsDrain(t *testing.T) {
	for line, want := range map[string]bool{
		"Sluice-Drain: 1": true, "sluice-drain: true": true, "Sluice-Drain: 0": false, "Sluice-Drain: ": false, "Sluice-Drain: yes": false,
		"Sluice-Draining: 1": false, "X-Sluice-Drain: 1": false,
	} {
		h := &message.Head{Status: 200}
		addLines(h, []string{"Server: s", line, "A: b"})
		drain, ok := filterResponse(h)
		if drain != want || !ok {
			t.Errorf("%s: drain %v, ok %v", line, drain, ok)
		}
		if strings.HasPrefix(strings.ToLower(line), "sluice-drain:") && len(h.Fields) != 2 {
			t.Errorf("%s: the client would see it: %q", line, linesOf(h))
		}
	}
}

func TestTrailersThatAreDropped(t *testing.T) {
	h := &message.Head{}
	addLines(h, []string{"X-Sum: 1", "Content-Length: 5", "Transfer-Encoding: chunked", "Host: x", "Authorization: y", "Set-Cookie: z",
		"Content-Type: a", "Cache-Control: b", "X-Forwarded-For: c", "X-Request-Id: d", "Connection: e", "Cookie: f", "Content-Encoding: gzip", "Content-Range: g", "Location: h",
		"If-Match: i", "Max-Forwards: 1", "X_Forwarded_For: j", "X-Forwarded-Port: k", "Content_Length: 9", "Proxy-Authorization: l", "WWW-Authenticate: m", "X-Last: 2"})
	h.Fields = keepTrailers(h.Fields)
	if got := linesOf(h); !slices.Equal(got, []string{"X-Sum: 1", "X-Last: 2"}) {
		t.Errorf("%q", got)
	}
}
