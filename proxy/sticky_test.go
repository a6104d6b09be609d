package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/message"
	"sluice/upstream"
)

var secret = []byte("a secret of thirty-two bytes ...")

// stick makes the world's service sticky. The origins are pinned to by their own addresses.
func (w *world) stick(ttl time.Duration) *Sticky {
	s := NewSticky("web", "/", "pin", ttl, secret)
	var list []*upstream.Backend
	for _, o := range w.origins {
		b := *o.Backend
		b.ID, b.Pins = s.ID(b.Name), upstream.NewPins(time.Now())
		o.Backend = &b
		list = append(list, &b)
	}
	w.service = &Service{Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, list), Sticky: s}
	snapshot, err := NewSnapshot(2, []*Service{w.service})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.Swap(snapshot)
	return s
}

// answering makes each origin answer all that comes with its number, and with these fields.
func (w *world) answering(fields string) {
	for i, o := range w.origins {
		go w.answerConns(o, fmt.Sprintf("%s%sContent-Length: 1\r\n\r\n%d", ok, fields, i))
	}
}

func (w *world) answerConns(o *origin, answer string) {
	for {
		select {
		case p := <-o.conns:
			go p.answerAll(answer)
		case <-w.t.Context().Done():
			return
		}
	}
}

func (p *peer) answerAll(answer string) {
	for {
		if _, err := http.ReadRequest(p.br); err != nil {
			return
		}
		io.WriteString(p.Conn, answer)
	}
}

// visit asks with these fields and returns the answer's head and body.
func (w *world) visit(fields string) (head, body string) {
	p := w.ask("GET / HTTP/1.1\r\nHost: x\r\n", fields, "Connection: close\r\n\r\n")
	head = p.head()
	body, _ = p.rest()
	w.over()
	return head, body
}

// pinOf is the cookie that a head sets, or "".
func pinOf(head string) string {
	_, rest, _ := strings.Cut(head, "Set-Cookie: pin=")
	value, _, _ := strings.Cut(rest, ";")
	return value
}

func TestPinnedClientsComeBack(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Hour} {
		w := newWorld(t, 3, generous)
		w.stick(ttl)
		w.answering("")
		for range 3 {
			head, first := w.visit("")
			pin := pinOf(head)
			if pin == "" || !strings.Contains(head, "Cache-Control: private\r\n") {
				t.Fatalf("the first answer sets no pin, or caches may keep it:\n%s", head)
			}
			for range 4 {
				head, body := w.visit("Cookie: a=b; pin=" + pin + "\r\n")
				if body != first || pinOf(head) != "" || strings.Contains(head, "Cache-Control") {
					t.Errorf("pinned to %s, answered by %s with\n%s", first, body, head)
				}
			}
		}
		n := &w.service.Pins
		if n.Kept.Load() != 12 || n.Set.Load() != 3 || n.Moved.Load() != 0 || n.Forged.Load() != 0 || n.Expired.Load() != 0 {
			t.Errorf("kept %d set %d moved %d", n.Kept.Load(), n.Set.Load(), n.Moved.Load())
		}
		for _, o := range w.origins {
			if got := o.Pins.Count(time.Now()); got != 1 {
				t.Errorf("%d clients pinned to an origin, want 1", got)
			}
		}
	}
}

// TestForgedPinsAreIgnored: whatever a client makes up, the answer is that of one without a pin, and it is counted.
func TestForgedPinsAreIgnored(t *testing.T) {
	w := newWorld(t, 2, generous)
	s := w.stick(0)
	w.answering("")
	good := string(s.signer.write(nil, pin{id: w.origins[0].ID, client: 7}))
	of := func(s *Sticky, p pin) string { return string(s.signer.write(nil, p)) }
	late := uint32(time.Now().Add(-time.Second).Unix())
	forged := map[string]string{
		"empty": "", "short": good[:len(good)-1], "long": good + "A", "another sign": "!" + good[1:],
		"of another service": of(NewSticky("api", "/", "pin", 0, secret), pin{id: w.origins[0].ID}),
		"of another Sluice":  of(NewSticky("web", "/", "pin", 0, []byte("another")), pin{id: w.origins[0].ID}),
		"quoted":             `"` + good + `"`,
	}
	for i := range good {
		forged[fmt.Sprint("changed at ", i)] = good[:i] + string(rune('A'+(good[i]-'A'+1)%26)) + good[i+1:]
	}
	for reason, value := range forged {
		before := w.service.Pins.Forged.Load()
		if head, _ := w.visit("Cookie: pin=" + value + "\r\n"); pinOf(head) == "" || w.service.Pins.Forged.Load() != before+1 {
			t.Errorf("%s: not counted, or no fresh pin:\n%s", reason, head)
		}
	}
	if head, _ := w.visit("Cookie: pin=" + of(s, pin{id: w.origins[0].ID, expires: late}) + "\r\n"); pinOf(head) == "" || w.service.Pins.Expired.Load() != 1 {
		t.Errorf("past its time: not counted, or no fresh pin:\n%s", head)
	}
	before := w.service.Pins.Forged.Load()
	if head, body := w.visit("Cookie: pin=x; pin=" + good + "; pin=y\r\n"); body != "0" || pinOf(head) != "" || w.service.Pins.Forged.Load() != before {
		t.Errorf("a good one among others of its name is not followed: %s\n%s", body, head)
	}
	if head, _ := w.visit("Cookie: pin=1; pin=2; pin=3; pin=4; pin=" + good + "\r\n"); pinOf(head) == "" {
		t.Errorf("more than %d are looked at", mostTried)
	}
}

// TestPinsHaveTheirTime: the cookie says when a pin ends, whatever the client makes of Max-Age, and one that is used is made
// anew in its second half.
func TestPinsHaveTheirTime(t *testing.T) {
	s := NewSticky("web", "/", "pin", time.Hour, secret)
	now := time.Unix(1_700_000_000, 0)
	end := func(d time.Duration) uint32 { return uint32(now.Add(d).Unix()) }
	for _, test := range []struct {
		reason string
		old    pin
		had    bool
		want   uint32
	}{
		{"a new one", pin{}, false, end(time.Hour)},
		{"in its first half", pin{id: 1, expires: end(40 * time.Minute)}, true, end(40 * time.Minute)},
		{"in its second half", pin{id: 1, expires: end(20 * time.Minute)}, true, end(time.Hour)},
		{"moved", pin{id: 2, expires: end(40 * time.Minute)}, true, end(time.Hour)},
	} {
		if got := s.renewed(test.old, 1, now, test.had); got.expires != test.want || got.id != 1 {
			t.Errorf("%s: %+v, want the end %d", test.reason, got, test.want)
		}
	}
	for _, test := range []struct {
		reason string
		pin    pin
		ttl    time.Duration
		want   bool
	}{
		{"before its end", pin{expires: end(time.Second)}, time.Hour, false}, {"at its end", pin{expires: end(0)}, time.Hour, true},
		{"without an end where pins have one", pin{}, time.Hour, true}, {"without an end", pin{}, 0, false},
		{"with an end where pins have none", pin{expires: end(time.Second)}, 0, false},
	} {
		if got := test.pin.past(now, test.ttl); got != test.want {
			t.Errorf("%s: past is %v", test.reason, got)
		}
	}
}

// TestVoidPinsAreMoved: the pin is good and its backend is not there. Others have taken the session by the next answer.
func TestVoidPinsAreMoved(t *testing.T) {
	w := newWorld(t, 2, generous)
	s := w.stick(0)
	w.answering("")
	gone := string(s.signer.write(nil, pin{id: s.ID("10.0.0.9:1"), client: 7}))
	head, body := w.visit("Cookie: pin=" + gone + "\r\n")
	next, ok := s.signer.read([]byte(pinOf(head)))
	if !ok || next.client != 7 || next.id != w.origins[body[0]-'0'].ID || w.service.Pins.Moved.Load() != 1 {
		t.Errorf("moved to %+v by origin %s, counted %d", next, body, w.service.Pins.Moved.Load())
	}
	w.origins[0].l.Close()
	w.origins[0].Endpoint.CloseIdle()
	pinned := string(s.signer.write(nil, pin{id: w.origins[0].ID, client: 8}))
	head, body = w.visit("Cookie: pin=" + pinned + "\r\n")
	next, _ = s.signer.read([]byte(pinOf(head)))
	if body != "1" || next.id != w.origins[1].ID || next.client != 8 {
		t.Errorf("its backend refused the connection: answered by %s and pinned by %+v\n%s", body, next, head)
	}
}

func TestPinOnAnUpgrade(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.stick(0)
	c := w.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\nCookie: pin=forged; a=b\r\n\r\n")
	b := w.origins[0].conn()
	b.has("Cookie: a=b\r\n")
	b.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
	if head := c.head(); pinOf(head) == "" || strings.Contains(head, "Cache-Control") {
		t.Errorf("no pin on the 101, or a word to caches:\n%s", head)
	}
	b.Close()
	c.ends()
}

// TestTheAppSeesNoPin: its own cookies come as they were, and its own Set-Cookie goes out as it was.
func TestTheAppSeesNoPin(t *testing.T) {
	s := NewSticky("web", "/", "pin", 0, secret)
	for _, test := range []struct{ sent, want string }{
		{"pin=x", ""}, {"pin=x; a=b", "a=b"}, {"a=b; pin=x", "a=b"}, {"a=b; pin=x; c=d", "a=b; c=d"}, {"a=b;pin=x;c=d", "a=b;c=d"},
		{"a=b", "a=b"}, {"a=b; ", "a=b; "}, {"a=b ;pin=x", "a=b"}, {"spin=x; pin2=y; pin", "spin=x; pin2=y; pin"},
		{"pin=1; pin=2; pin=3; pin=4; pin=5; pin=6", ""}, {"Pin=x", "Pin=x"}, {"a=pin=x; pin=", "a=pin=x"}, {" pin = x", "pin = x"},
		{";;pin=x;;", ""}, {"a=\"b;pin=x\"", "a=\"b"},
	} {
		var h hold
		if got := string(h.take(s, []byte(test.sent), time.Now())); strings.TrimSpace(got) != strings.TrimSpace(test.want) {
			t.Errorf("%q: the app gets %q, want %q", test.sent, got, test.want)
		}
	}
	w := newWorld(t, 1, generous)
	w.stick(0)
	c := w.ask("GET / HTTP/1.1\r\nHost: x\r\nCookie: pin=x\r\nCookie: a=b\r\nX: y\r\n\r\n")
	b := w.origins[0].conn()
	if head := b.has("Cookie: a=b\r\n", "X: y\r\n"); strings.Contains(head, "pin") {
		t.Errorf("the app sees the pin:\n%s", head)
	}
	b.send("HTTP/1.1 200 OK\r\nSet-Cookie: mine=1; Path=/x\r\nContent-Length: 0\r\n\r\n")
	c.has("Set-Cookie: mine=1; Path=/x\r\n", "Set-Cookie: pin=")
	w.over() // and the connection is kept
	c = w.ask("GET / HTTP/1.1\r\nHost: x\r\nCookie: pin=x\r\n\r\n")
	if head := b.head(); strings.Contains(head, "Cookie") {
		t.Errorf("an empty Cookie is left:\n%s", head)
	}
	b.send(ok0)
	c.head()
}

func TestCachesKeepNoPin(t *testing.T) {
	for _, test := range []struct {
		fields  string
		pinned  bool
		private bool
	}{
		{"", true, true},
		{"Cache-Control: max-age=60\r\n", true, true},
		{"Cache-Control: private\r\n", true, false},
		{"Cache-Control: no-store\r\n", true, false},
		{"Cache-Control: public, max-age=60\r\n", false, false},
		{"Cache-Control: s-maxage=60\r\n", false, false},
		{"Cache-Control: max-age=60\r\nCache-Control: Public\r\n", false, false},
		{"CDN-Cache-Control: max-age=60\r\n", false, false},
		{"Surrogate-Control: max-age=60\r\n", false, false},
		{"CDN-Cache-Control: max-age=60\r\nCache-Control: private\r\n", true, false},
		{"Cache-Control: private=\"x\", public\r\n", true, false},
	} {
		w := newWorld(t, 1, generous)
		w.stick(0)
		w.answering(test.fields)
		head, _ := w.visit("")
		if (pinOf(head) != "") != test.pinned || strings.Contains(strings.Replace(head, test.fields, "", 1), "Cache-Control: private\r\n") != test.private || !strings.Contains(head, test.fields) {
			t.Errorf("%q: pinned and private should be %v and %v:\n%s", test.fields, test.pinned, test.private, head)
		}
		if n := w.service.Pins.Unset.Load(); (n == 1) == test.pinned {
			t.Errorf("%q: %d counted as unset", test.fields, n)
		}
	}
}

func TestAttributesOfThePin(t *testing.T) {
	for _, test := range []struct {
		name, path, scheme string
		trusted            bool
		fields             string
		ttl                time.Duration
		want               string
	}{
		{"pin", "/", "http", false, "", 0, "; Path=/; HttpOnly; SameSite=Lax"},
		{"pin", "/api", "https", false, "", 0, "; Path=/api; HttpOnly; SameSite=Lax; Secure"},
		{"pin", "/", "https", false, "", 90 * time.Minute, "; Path=/; Max-Age=5400; HttpOnly; SameSite=Lax; Secure"},
		{"pin", "/", "http", true, "X-Forwarded-Proto: https\r\n", 0, "; Path=/; HttpOnly; SameSite=Lax; Secure"},
		{"pin", "/", "http", false, "X-Forwarded-Proto: https\r\n", 0, "; Path=/; HttpOnly; SameSite=Lax"},
		{"__Host-pin", "/", "http", false, "", 0, "; Path=/; HttpOnly; SameSite=Lax; Secure"},
	} {
		w := newWorld(t, 1, generous)
		w.mu.Lock()
		w.peer.Scheme, w.peer.Trusted = test.scheme, test.trusted
		w.mu.Unlock()
		w.stick(0)
		w.service.Sticky = NewSticky("web", test.path, test.name, test.ttl, secret)
		w.proxy.Swap(w.proxy.Snapshot()) // what was changed is for all to see
		w.answering("")
		head, _ := w.visit(test.fields)
		_, rest, _ := strings.Cut(head, "Set-Cookie: "+test.name+"=")
		if line, _, _ := strings.Cut(rest, "\r\n"); len(line) < tokenLength || line[tokenLength:] != test.want {
			t.Errorf("%+v: %q", test, line)
		}
	}
}

func TestTokensAreTheirOwnInverse(t *testing.T) {
	s := newSigner(secret, "web")
	for _, p := range []pin{{}, {1, 2, 3}, {1<<64 - 1, 1<<32 - 1, 1<<32 - 1}} {
		token := s.write([]byte("before "), p)[len("before "):]
		if got, ok := s.read(token); !ok || got != p {
			t.Errorf("%+v came back as %+v, %v", p, got, ok)
		}
		if strings.ContainsAny(string(token), "=;, \"\\") || len(token) != tokenLength {
			t.Errorf("%s is no value of a cookie", token)
		}
	}
	if a, b := s.id("10.0.0.1:1"), newSigner(secret, "api").id("10.0.0.1:1"); a == b || a == 0 {
		t.Errorf("two services name one address alike: %x", a)
	}
	var again [2]string
	for i := range again {
		again[i] = string(newSigner(secret, "web").write(nil, pin{1, 2, 3}))
	}
	if again[0] != again[1] {
		t.Error("two Sluices with one secret make two tokens of one pin")
	}
}

func TestHashKeys(t *testing.T) {
	for _, test := range []struct {
		by      HashBy
		trusted bool
		fields  []message.Field
		want    string
	}{
		{HashBy{}, false, field("X-Forwarded-For", "192.0.2.7"), "192.0.2.7"},
		{HashBy{}, true, field("X-Forwarded-For", "8.8.8.8, 1.1.1.1, 192.0.2.7"), "1.1.1.1"},
		{HashBy{}, true, field("X-Forwarded-For", "192.0.2.7"), "192.0.2.7"},
		{HashBy{Cookie: "sid"}, false, append(field("Cookie", "a=b; sid=42; c=d"), field("X-Forwarded-For", "h")...), "42"},
		{HashBy{Cookie: "sid"}, false, append(field("Cookie", "xsid=42; sid"), field("X-Forwarded-For", "h")...), "h"},
		{HashBy{Header: "x-user"}, false, append(field("X-User", "anna"), field("X-Forwarded-For", "h")...), "anna"},
		{HashBy{Header: "x-user"}, false, field("X-Forwarded-For", "h"), "h"},
	} {
		ex := &Exchange{Peer: &Peer{Address: "192.0.2.7", Trusted: test.trusted}}
		ex.Request.Fields = test.fields
		if got := ex.hashKey(&test.by); got != upstream.KeyOf(test.want) {
			t.Errorf("%+v of %q: another key than %q has", test.by, test.fields, test.want)
		}
	}
}

func field(name, value string) []message.Field {
	return []message.Field{{Name: []byte(name), Value: []byte(value), ID: message.Lookup([]byte(name))}}
}

func BenchmarkPin(b *testing.B) {
	s := NewSticky("web", "/", "pin", 0, secret)
	token := s.signer.write(nil, pin{id: 1, client: 2})
	list := []byte("a=b; pin=" + string(token) + "; c=d")
	room := make([]byte, len(list))
	b.ReportAllocs()
	for b.Loop() {
		var h hold
		copy(room, list)
		h.take(s, room, time.Unix(1, 0))
	}
}
