package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/upstream"
)

// theatre is a world in which blue is live and green can be seen: at green.test, behind a door, and by passes. A service beside
// it has no preview.
type theatre struct {
	*world
	passes *Passes
	tested *Counters
}

const theatreAnswer = "Cache-Control: public, max-age=60\r\nCDN-Cache-Control: max-age=60\r\nSurrogate-Control: max-age=60\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n"

func newTheatre(t *testing.T) *theatre {
	th := &theatre{world: newWorld(t, 2, generous), passes: NewPasses("peek", secret), tested: &Counters{}}
	for i, o := range th.origins {
		go th.echo(o, [2]string{"blue", "green"}[i])
	}
	th.stage(th.origins[1].Backend)
	return th
}

// stage swaps in a snapshot in which green has these backends.
func (th *theatre) stage(green ...*upstream.Backend) {
	blue := upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{th.origins[0].Backend})
	th.service = &Service{Name: "web", Hosts: []string{"web.test"}, Path: "/shop", Live: blue}
	look := Preview{Hosts: []string{"green.test"}, Doors: []string{"door"}, Passes: th.passes}
	th.service.Previews = []*Service{NewPreview(th.service, look, upstream.NewPool("green", upstream.RoundRobin, green), th.tested)}
	s, err := NewSnapshot(2, []*Service{th.service, {Name: "rest", Path: "/", Live: blue}})
	if err != nil {
		th.t.Fatal(err)
	}
	th.proxy.Swap(s)
}

// echo answers with who answers and the cookies that came.
func (th *theatre) echo(o *origin, name string) {
	for {
		select {
		case p := <-o.conns:
			go func() {
				for {
					req, err := http.ReadRequest(p.br)
					if err != nil {
						return
					}
					body := name + " " + req.Header.Get("Cookie") + " " + req.URL.String()
					fmt.Fprintf(p.Conn, "%s%sContent-Length: %d\r\n\r\n%s", ok, theatreAnswer, len(body), body)
				}
			}()
		case <-th.t.Context().Done():
			return
		}
	}
}

type seen struct {
	status int
	body   string
	header http.Header
}

// look asks for a URL with these cookies, by the door if that is set.
func (th *theatre) look(method, target, cookies, door string) seen {
	th.t.Helper()
	th.mu.Lock()
	th.peer.Door = door
	th.mu.Unlock()
	u, err := url.Parse(target)
	if err != nil {
		th.t.Fatal(err)
	}
	if cookies != "" {
		cookies = "Cookie: " + cookies + "\r\n"
	}
	p := th.ask(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", method, u.RequestURI(), u.Host, cookies))
	res, err := http.ReadResponse(p.br, &http.Request{Method: method})
	if err != nil {
		th.t.Fatalf("%s: %v", target, err)
	}
	body, _ := io.ReadAll(res.Body)
	th.over()
	return seen{res.StatusCode, string(body), res.Header}
}

// TestPreviewHasItsOwnWays: a host and a listener lead to the idle pool, and to nothing else; visitors never come there.
func TestPreviewHasItsOwnWays(t *testing.T) {
	th := newTheatre(t)
	for _, tt := range []struct {
		url, door, body string
		status          int
	}{
		{"http://web.test/shop", "", "blue  /shop", 200},
		{"http://other.test/shop", "", "blue  /shop", 200},
		{"http://green.test/shop/a?b", "", "green  /shop/a?b", 200},
		{"http://GREEN.test:8080/shop", "", "green  /shop", 200},
		{"http://green.test/", "", "404 Not Found", 404}, // not the service of any host
		{"http://green.test/shopping", "", "404 Not Found", 404},
		{"http://web.test/shop", "door", "green  /shop", 200},
		{"http://anything/shop/x", "door", "green  /shop/x", 200},
		{"http://web.test/", "door", "404 Not Found", 404},
		{"http://web.test/shop", "another", "404 Not Found", 404},
	} {
		got := th.look("GET", tt.url, "", tt.door)
		if !strings.HasPrefix(got.body, tt.body) || tt.status != 0 && got.status != tt.status {
			t.Errorf("%s by %q: %d %q", tt.url, tt.door, got.status, got.body)
		}
		want := ""
		if strings.HasPrefix(got.body, "green") {
			want = "green"
		}
		if mark := got.header.Get("Sluice-Preview"); mark != want {
			t.Errorf("%s by %q is marked %q", tt.url, tt.door, mark)
		}
	}
	if visits, tests := th.service.Status[2].Load(), th.tested.Status[2].Load(); visits != 1 || tests != 4 {
		t.Errorf("%d visits and %d tests are counted", visits, tests)
	}
}

// TestPreviewIsNotKept: caches, of visitors or of testers, must not hand it out, nor search machines find it.
func TestPreviewIsNotKept(t *testing.T) {
	th := newTheatre(t)
	th.origins[1].Backend.Release = `v"42`
	for _, got := range []seen{th.look("GET", "http://green.test/shop", "", ""), th.look("GET", "http://web.test/shop", "peek="+th.pass("green", time.Hour), "")} {
		for name, want := range map[string]string{
			"Cache-Control": "private, no-store", "Cdn-Cache-Control": "", "Surrogate-Control": "", "Expires": "", "X-Robots-Tag": "noindex",
			"Sluice-Preview": `green; release="v\"42"`,
		} {
			if all := strings.Join(got.header.Values(name), "|"); all != want {
				t.Errorf("%s: %q, want %q", name, all, want)
			}
		}
	}
	if got := th.look("GET", "http://web.test/shop", "", ""); got.header.Get("Cache-Control") != "public, max-age=60" || got.header.Get("X-Robots-Tag") != "" {
		t.Errorf("visitors get %v", got.header)
	}
}

func (th *theatre) pass(pool string, left time.Duration) string {
	return th.passes.Issue("web", pool, time.Now().Add(left))
}

// TestPasses: a good one leads to its pool on the service's own host; any other leads to what is live, and it is said why. No
// backend ever sees one.
func TestPasses(t *testing.T) {
	th := newTheatre(t)
	good, expired := th.pass("green", time.Hour), th.pass("green", -time.Second)
	forged := NewPasses("peek", []byte("another secret of some length ..")).Issue("web", "green", time.Now().Add(time.Hour))
	flipped := []byte(good)
	flipped[12] ^= 1
	for _, tt := range []struct{ why, cookies, body, mark string }{
		{"alone", "peek=" + good, "green  /shop", "green"},
		{"among others", "a=1; peek=" + good + "; b=2", "green a=1; b=2 /shop", "green"},
		{"at the end", "a=1; peek=" + good, "green a=1 /shop", "green"},
		{"behind one that is not good", "peek=" + forged + "; peek=" + good, "green  /shop", "green"},
		{"expired", "a=1; peek=" + expired, "blue a=1 /shop", "none; reason=expired"},
		{"by another secret", "peek=" + forged + "; a=1", "blue a=1 /shop", "none; reason=invalid"},
		{"changed", "peek=" + string(flipped), "blue  /shop", "none; reason=invalid"},
		{"no base64", "peek=????", "blue  /shop", "none; reason=invalid"},
		{"empty", "peek=", "blue  /shop", "none; reason=invalid"},
		{"too long", "peek=" + strings.Repeat("A", 5000), "blue  /shop", "none; reason=invalid"},
		{"expired and forged", "peek=" + expired + "; peek=" + forged, "blue  /shop", "none; reason=expired"},
		{"more than are looked at", strings.Repeat("peek="+forged+"; ", 9) + "peek=" + good, "blue  /shop", "none; reason=invalid"},
		{"of a pool that cannot be seen", "peek=" + th.pass("red", time.Hour), "blue  /shop", "none; reason=gone"},
		{"of another service", "peek=" + th.passes.Issue("rest", "green", time.Now().Add(time.Hour)), "blue  /shop", ""},
		{"none", "a=1; peeks=1", "blue a=1; peeks=1 /shop", ""},
	} {
		got := th.look("GET", "http://web.test/shop", tt.cookies, "")
		if mark := got.header.Get("Sluice-Preview"); got.body != tt.body || mark != tt.mark {
			t.Errorf("%s: %q marked %q, want %q marked %q", tt.why, got.body, mark, tt.body, tt.mark)
		}
		if kept := strings.Join(got.header.Values("Cache-Control"), ", "); strings.HasPrefix(tt.mark, "none") && !strings.Contains(kept, "private") {
			t.Errorf("%s: an answer to one client says %q", tt.why, kept)
		}
	}
	for _, url := range []string{"http://any.test/", "http://green.test/shop"} {
		if got := th.look("GET", url, "a=1; peek="+good, ""); strings.Contains(got.body, "peek") || !strings.Contains(got.body, "a=1") {
			t.Errorf("%s: a backend was sent %q", url, got.body)
		}
	}
}

// TestPreviewOfNobody is refused by itself: it is not what is live, in silence.
func TestPreviewOfNobody(t *testing.T) {
	th := newTheatre(t)
	th.stage()
	for _, got := range []seen{
		th.look("GET", "http://green.test/shop", "", ""), th.look("GET", "http://x/shop", "", "door"),
		th.look("GET", "http://web.test/shop", "peek="+th.pass("green", time.Hour), ""),
	} {
		if got.status != 503 || !strings.Contains(got.body, "no backend of pool green is ready; this is its preview") || got.header.Get("Sluice-Preview") != "green" || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %q %v", got.status, got.body, got.header)
		}
	}
	if got := th.look("GET", "http://web.test/shop", "", ""); got.status != 200 {
		t.Errorf("a visitor gets %d", got.status)
	}
}

// TestLinks: a good one sets the cookie and leads to the service without the pass in the address; others are refused in words.
func TestLinks(t *testing.T) {
	th := newTheatre(t)
	good := th.pass("green", time.Hour)
	got := th.look("GET", "http://web.test"+PreviewPath+"?token="+good, "a=1", "")
	cookie := got.header.Get("Set-Cookie")
	if got.status != 303 || got.header.Get("Location") != "/shop" || !strings.HasPrefix(cookie, "peek="+good+"; Path=/shop; Max-Age=3") ||
		!strings.HasSuffix(cookie, "; HttpOnly; SameSite=Lax") || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("a good link: %d %v", got.status, got.header)
	}
	end := th.look("GET", "http://web.test"+PreviewEnd, "peek="+good, "")
	if end.status != 303 || end.header.Get("Location") != "/shop" || end.header.Get("Set-Cookie") != "peek=; Path=/shop; Max-Age=0; HttpOnly; SameSite=Lax" {
		t.Errorf("the end: %d %v", end.status, end.header)
	}
	for query, want := range map[string]string{
		"": "was not made here", "?token=": "was not made here", "?token=" + good[:20]: "was not made here", "?token=%00": "was not made here",
		"?token=" + th.pass("green", -time.Second):                              "has expired; ask for another: sluice preview web",
		"?token=" + th.pass("red", time.Hour):                                   "link is to pool red of service web, which has no preview on this host",
		"?token=" + th.passes.Issue("rest", "green", time.Now().Add(time.Hour)): "service rest",
	} {
		got := th.look("GET", "http://web.test"+PreviewPath+query, "", "")
		if got.status != 403 || !strings.Contains(got.body, want) || got.header.Get("Set-Cookie") != "" || got.header.Get("Location") != "" {
			t.Errorf("%q: %d %q %v", query, got.status, got.body, got.header)
		}
	}
	if got := th.look("DELETE", "http://web.test"+PreviewPath+"?token="+good, "", ""); got.status != 405 {
		t.Errorf("another method: %d", got.status)
	}
	if got := th.look("GET", "http://any.test"+PreviewPath, "", ""); got.body != "blue  "+PreviewPath {
		t.Errorf("a host without such previews: %q", got.body)
	}
	if visits, tests := th.service.Status[3].Load()+th.service.Status[4].Load(), th.tested.Status[3].Load(); visits != 0 || tests != 0 {
		t.Errorf("%d, %d are counted", visits, tests)
	}
}

// TestRoutesOfPreviews: two at one place are an error, as two services are.
func TestRoutesOfPreviews(t *testing.T) {
	pool := upstream.NewPool("green", upstream.RoundRobin, nil)
	of := func(name string, p Preview) *Service {
		svc := &Service{Name: name, Hosts: []string{name + ".test"}, Path: "/", Live: pool}
		svc.Previews = []*Service{NewPreview(svc, p, pool, nil)}
		return svc
	}
	for _, p := range []Preview{{Hosts: []string{"green.test"}}, {Doors: []string{":8081"}}} {
		if _, err := NewSnapshot(1, []*Service{of("a", p), of("b", p)}); err == nil {
			t.Errorf("%+v is taken twice", p)
		}
	}
}

// TestPreviewIsNotHeld: what visitors wait for is none of a tester's business, and neither is a queue of theirs.
func TestPreviewIsNotHeld(t *testing.T) {
	th := newTheatre(t)
	th.service.Hold, th.service.Planned = true, true
	th.service.Holds = Holds{Age: time.Minute, Requests: 10, Bytes: 1 << 20}
	s, err := NewSnapshot(3, []*Service{th.service})
	if err != nil {
		t.Fatal(err)
	}
	th.proxy.Swap(s)
	visitor := th.ask("GET /shop HTTP/1.1\r\nHost: web.test\r\n\r\n")
	waitFor(t, "the visitor waits", func() bool { return th.service.Room.Waiting().Inside == 1 })
	for _, got := range []seen{th.look("GET", "http://green.test/shop", "", ""), th.look("GET", "http://web.test/shop", "peek="+th.pass("green", time.Hour), "")} {
		if got.status != 200 || !strings.HasPrefix(got.body, "green") {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	served := *th.service
	served.Hold = false
	if s, err = NewSnapshot(4, []*Service{&served}); err != nil {
		t.Fatal(err)
	}
	th.proxy.Swap(s)
	visitor.has("HTTP/1.1 200")
}
