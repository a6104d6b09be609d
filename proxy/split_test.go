package proxy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/drain"
	"sluice/message"
	"sluice/upstream"
)

// halves is a split whose second half of the numbers goes to an arm.
func halves(arm *upstream.Pool) *Split {
	return &Split{
		Tickets: NewTickets("web", "/", 7, secret), Counts: &SplitCounters{},
		Arms: []Arm{{Pool: arm, Spans: []Span{{Numbers / 2, Numbers}}}},
	}
}

// splits has the first origin be live, and the others the arm.
func (w *world) splits(change func(*Service)) *Split {
	pool := func(name string, origins []*origin) *upstream.Pool {
		var list []*upstream.Backend
		for _, o := range origins {
			b := *o.Backend
			b.Pool = name
			o.Backend = &b
			list = append(list, &b)
		}
		return upstream.NewPool(name, upstream.RoundRobin, list)
	}
	w.service = &Service{Name: "web", Path: "/", Live: pool("blue", w.origins[:1]), Line: w.proxy.Queues.NewQueue()}
	w.service.Split = halves(pool("green", w.origins[1:]))
	if change != nil {
		change(w.service)
	}
	w.swap()
	return w.service.Split
}

func (w *world) swap() { w.swapTo(w.service) }

func (w *world) swapTo(service *Service) {
	s, err := NewSnapshot(w.proxy.Snapshot().Generation+1, []*Service{service})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.Swap(s)
}

// draws has visitors draw these, one after the other and again from the first.
func (w *world) draws(numbers ...float64) {
	var n atomic.Int64
	w.proxy.Rand = func() float64 { return numbers[int(n.Add(1)-1)%len(numbers)] }
}

// ticketOf is the cookie that a head sets, or "".
func ticketOf(head string) string {
	_, rest, _ := strings.Cut(head, "Set-Cookie: sluice_split_web=")
	value, _, _ := strings.Cut(rest, ";")
	return value
}

// TestVisitorsComeBack: one draws once, and is taken by the same pool from then on; who takes no cookie draws each time.
func TestVisitorsComeBack(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.draws(0.1, 0.9)
	split := w.splits(nil)
	w.answering("")
	for _, want := range []string{"0", "1"} {
		head, first := w.visit("")
		ticket := ticketOf(head)
		if first != want || ticket == "" || !strings.Contains(head, "; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax\r\n") || !strings.Contains(head, "Cache-Control: private\r\n") {
			t.Fatalf("by %s, want %s:\n%s", first, want, head)
		}
		for range 4 {
			if head, body := w.visit("Cookie: a=b; sluice_split_web=" + ticket + "\r\n"); body != want || ticketOf(head) != "" {
				t.Errorf("drew %s, and is served by %s with\n%s", want, body, head)
			}
		}
	}
	for i := range 4 {
		if _, body := w.visit(""); body != fmt.Sprint(i%2) {
			t.Errorf("without a cookie for the %d. time: by %s", i, body)
		}
	}
	if n := split.Counts; n.Drawn.Load() != 6 || n.Kept.Load() != 8 || n.Fallback.Load() != 0 || n.Forged.Load() != 0 {
		t.Errorf("drawn %d kept %d", n.Drawn.Load(), n.Kept.Load())
	}
}

// TestTicketsAreOfOneSplit: what was given by another split, another service, as a pin or by nobody means nothing.
func TestTicketsAreOfOneSplit(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.draws(0.1)
	split := w.splits(nil)
	w.answering("")
	write := func(tickets *Tickets, id uint64) string {
		return string(tickets.cookie.signer.write(nil, pin{id: id, client: Numbers - 1, expires: 1<<32 - 1}))
	}
	for name, ticket := range map[string]string{
		"of an earlier split": write(NewTickets("web", "/", 6, secret), 6),
		"of another service":  write(NewTickets("api", "/", 7, secret), 7),
		"of another Sluice":   write(NewTickets("web", "/", 7, []byte("another")), 7),
		"a pin":               string(NewSticky("web", "/", "pin", 0, secret).signer.write(nil, pin{id: 7, client: Numbers - 1, expires: 1<<32 - 1})),
		"made up":             "green",
		"past its time":       string(split.Tickets.cookie.signer.write(nil, pin{id: 7, client: Numbers - 1, expires: 1})),
	} {
		if head, body := w.visit("Cookie: sluice_split_web=" + ticket + "\r\n"); body != "0" || ticketOf(head) == "" {
			t.Errorf("%s: served by %s with\n%s", name, body, head)
		}
	}
	if n := split.Counts; n.Kept.Load() != 0 || n.Forged.Load() != 4 {
		t.Errorf("kept %d forged %d", n.Kept.Load(), n.Forged.Load())
	}
}

// TestTheAppDoesNotSeeTickets: the cookie is Sluice's own, and is renewed in the second half of its time.
func TestTheAppDoesNotSeeTickets(t *testing.T) {
	w := newWorld(t, 2, generous)
	split := w.splits(nil)
	old := string(split.Tickets.cookie.signer.write(nil, pin{id: 7, client: Numbers - 1, expires: uint32(time.Now().Add(ticketTTL/2 - time.Minute).Unix())}))
	client := w.ask("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nCookie: a=b; sluice_split_web=", old, "; c=d\r\n\r\n")
	p := w.origins[1].conn()
	if head := p.has("Cookie: a=b; c=d"); strings.Contains(head, "sluice_split") {
		t.Error(head)
	}
	p.send(ok0)
	if ticket := ticketOf(client.has("HTTP/1.1 200")); ticket == "" || ticket == old {
		t.Errorf("renewed: %q", ticket)
	}
}

// TestRulesSayWhereToGo: whatever the number, and without a cookie.
func TestRulesSayWhereToGo(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.draws(0.1)
	split := w.splits(func(s *Service) {
		arm := s.Split.Arms[0].Pool
		s.Split.Rules = []Rule{
			{Header: "x-canary", Value: "never"},
			{Pool: arm, Header: "x-canary", Value: "yes"},
			{Pool: arm, Cookie: "canary", Value: "1"},
			{Pool: arm, From: netip.MustParsePrefix("198.51.100.0/24")},
			{Pool: arm, From: netip.MustParsePrefix("2001:db8::/32")},
		}
	})
	w.answering("")
	ticket := string(split.Tickets.cookie.signer.write(nil, pin{id: 7, client: Numbers - 1, expires: 1<<32 - 1}))
	for _, test := range []struct{ fields, want string }{
		{"X-Canary: yes\r\n", "1"}, {"x-CANARY: yes\r\n", "1"}, {"X-Canary: yess\r\n", "0"}, {"X-Canary: Yes\r\n", "0"},
		{"X-Canary: no\r\nX-Canary: yes\r\n", "1"},
		{"Cookie: a=b; canary=1\r\n", "1"}, {"Cookie: canary=12\r\n", "0"},
		{"X-Canary: never\r\nCookie: sluice_split_web=" + ticket + "\r\n", "0"},
		{"Cookie: sluice_split_web=" + ticket + "\r\n", "1"},
		{"X-Forwarded-For: 198.51.100.9\r\n", "0"}, // from whom nobody trusts
	} {
		head, body := w.visit(test.fields)
		if body != test.want || strings.Contains(test.fields, "anary") && test.want == "1" && ticketOf(head) != "" {
			t.Errorf("%q: served by %s, want %s, with\n%s", test.fields, body, test.want, head)
		}
	}
	w.mu.Lock()
	w.peer.Trusted = true
	w.mu.Unlock()
	for from, want := range map[string]string{"198.51.100.9": "1", "::ffff:198.51.100.9": "1", "198.51.101.9": "0", "2001:db8::7": "1", "unknown": "0"} {
		if _, body := w.visit("X-Forwarded-For: " + from + "\r\n"); body != want {
			t.Errorf("from %s: served by %s, want %s", from, body, want)
		}
	}
	if n := split.Counts.Ruled.Load(); n != 7+1 {
		t.Errorf("%d by rule", n)
	}
}

// TestWhoIsPinnedStays: a session that was here before the split stays where it is; one that is pinned to nobody draws.
func TestWhoIsPinnedStays(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.draws(0.9)
	sticky := NewSticky("web", "/", "pin", 0, secret)
	for _, o := range w.origins {
		b := *o.Backend
		b.ID = sticky.ID(b.Name)
		o.Backend = &b
	}
	split := w.splits(func(s *Service) { s.Sticky = sticky })
	w.answering("")
	pinTo := func(o *origin) string { return string(sticky.signer.write(nil, pin{id: o.ID, client: 3})) }
	for range 3 {
		if head, body := w.visit("Cookie: pin=" + pinTo(w.origins[0]) + "\r\n"); body != "0" || ticketOf(head) != "" {
			t.Errorf("pinned to blue, served by %s with\n%s", body, head)
		}
	}
	if head, body := w.visit(""); body != "1" || ticketOf(head) == "" || pinOf(head) == "" {
		t.Errorf("new, served by %s with\n%s", body, head)
	}
	if n := split.Counts; n.Stayed.Load() != 3 || n.Drawn.Load() != 1 {
		t.Errorf("stayed %d drawn %d", n.Stayed.Load(), n.Drawn.Load())
	}
}

// TestNothingIsLostWithAnArm: where no backend of an arm can take a request the live pool does; a retry stays in the arm for
// as long as it can.
func TestNothingIsLostWithAnArm(t *testing.T) {
	t.Run("an arm without backends", func(t *testing.T) {
		w := newWorld(t, 1, generous)
		w.draws(0.9)
		split := w.splits(nil)
		w.answering("")
		if head, body := w.visit(""); body != "0" || ticketOf(head) != "" || split.Counts.Fallback.Load() != 1 {
			t.Errorf("served by %s, %d fell back:\n%s", body, split.Counts.Fallback.Load(), head)
		}
	})
	t.Run("an arm that is full", func(t *testing.T) {
		w := newWorld(t, 2, generous)
		w.draws(0.9)
		w.origins[1].Max = 1
		split := w.splits(func(s *Service) { s.Queue = Queueing{Requests: 5, Wait: 5 * time.Second} })
		first := w.ask("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
		green := w.origins[1].conn()
		green.has("GET /1")
		second := w.ask("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
		blue := w.origins[0].conn()
		blue.has("GET /2")
		blue.send(ok0)
		second.has("HTTP/1.1 200")
		green.send(ok0)
		first.has("HTTP/1.1 200")
		if n := split.Counts.Fallback.Load(); n != 1 {
			t.Errorf("%d fell back", n)
		}
	})
	t.Run("a retry", func(t *testing.T) {
		w := newWorld(t, 3, generous)
		w.draws(0.9)
		split := w.splits(nil)
		client := w.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		for i := range 2 {
			var p *peer
			select {
			case p = <-w.origins[1].conns:
			case p = <-w.origins[2].conns:
			case <-time.After(8 * time.Second):
				t.Fatalf("attempt %d is not in the arm", i+1)
			}
			p.head()
			p.reset()
		}
		blue := w.origins[0].conn()
		blue.head()
		blue.send(ok0)
		client.has("HTTP/1.1 200")
		if o := w.over(); o.Retries != 2 || split.Counts.Fallback.Load() != 1 {
			t.Errorf("%d retries, %d fell back", o.Retries, split.Counts.Fallback.Load())
		}
	})
	t.Run("a live pool without backends", func(t *testing.T) {
		w := newWorld(t, 2, generous)
		w.draws(0.9)
		w.splits(func(s *Service) { s.Live, s.Hold = upstream.NewPool("blue", upstream.RoundRobin, nil), true })
		w.answering("")
		if _, body := w.visit(""); body != "1" {
			t.Errorf("served by %s", body)
		}
	})
}

// TestSharesOfDraws: of many visitors as many go to each pool as its share says, as exactly as chance allows.
func TestSharesOfDraws(t *testing.T) {
	blue, green, red := &upstream.Pool{Name: "blue"}, &upstream.Pool{Name: "green"}, &upstream.Pool{Name: "red"}
	rnd := rand.New(rand.NewPCG(3, 4))
	s := halves(green)
	s.Arms = []Arm{{Pool: green, Spans: []Span{{0, 400}, {9900, 10000}}}, {Pool: red, Spans: []Span{{400, 425}}}}
	const visitors = 200_000
	got := map[string]int{}
	for range visitors {
		ex := &Exchange{Service: &Service{Live: blue, Split: s}, pool: blue}
		ex.assign(rnd.Float64)
		got[ex.pool.Name]++
	}
	for pool, share := range map[string]float64{"blue": 0.9475, "green": 0.05, "red": 0.0025} {
		// Five standard deviations: one of millions of seeds goes beyond.
		if want := share * visitors; math.Abs(float64(got[pool])-want) > 5*math.Sqrt(want*(1-share)) {
			t.Errorf("%s has %d of %d, want about %.0f", pool, got[pool], visitors, want)
		}
	}
	ex := &Exchange{Service: &Service{Live: blue, Split: s}, pool: blue}
	if ex.assign(func() float64 { return math.Nextafter(1, 0) }); ex.visit.number != Numbers-1 || ex.pool != green {
		t.Errorf("the last number: %d, %s", ex.visit.number, ex.pool.Name)
	}
}

// TestEndOfASplitBetweenRouteAndClaim: each request loads the old snapshot and draws; before it claims, the split ends and
// the arm's gate closes. None is lost.
func TestEndOfASplitBetweenRouteAndClaim(t *testing.T) {
	w := newWorld(t, 2, generous)
	var ended atomic.Int64
	w.proxy.Rand = func() float64 {
		was := w.proxy.Snapshot().Route([]byte("x"), []byte("/"))
		whole := *was
		whole.Split = nil
		w.swapTo(&whole)
		was.Split.Arms[0].Pool.Backends()[0].Gate.Close()
		ended.Add(1)
		return 0.9
	}
	w.answering("")
	for i := range int64(50) {
		w.origins[1].Gate = drain.NewGate()
		w.splits(nil)
		if _, body := w.visit(""); body != "0" || ended.Load() != i+1 {
			t.Fatalf("%d: served by %q, and the split ended %d times", i, body, ended.Load())
		}
	}
}

// TestClaimsWhileSplitsComeAndGo: many claim by number while splits begin and end; nobody is refused, nobody enters an arm
// after its gate was closed, and some were turned away at a closed gate and went by the newer snapshot.
func TestClaimsWhileSplitsComeAndGo(t *testing.T) {
	w := newWorld(t, 0, generous)
	blue := upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{armBackend("blue")})
	var turned, entered atomic.Int64
	var gate atomic.Pointer[drain.Gate]
	stop := make(chan struct{})
	var all sync.WaitGroup
	service := &Service{Name: "web", Path: "/", Live: blue}
	begin := func() {
		b := armBackend("green")
		gate.Store(b.Gate)
		one := *service
		one.Split = halves(upstream.NewPool("green", upstream.RoundRobin, []*upstream.Backend{b}))
		w.swapTo(&one)
	}
	w.proxy.Rand = func() float64 {
		if g := gate.Load(); g != nil && g.Closed() {
			turned.Add(1) // the snapshot has an arm, whose gate is closed
		}
		return 0.9
	}
	begin()
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ex := &Exchange{Peer: &Peer{}}
				ex.Request = message.Head{Target: []byte("/"), Authority: []byte("x")}
				lease, err := w.proxy.claim(ex)
				if err != nil {
					t.Errorf("lost: %v", err)
					return
				}
				if lease.Backend.Pool == "green" {
					entered.Add(1)
				}
				lease.Release()
			}
		})
	}
	rounds := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && (rounds < 2000 || turned.Load() == 0); rounds++ {
		w.swapTo(service)
		gate.Load().Close()
		begin()
	}
	close(stop)
	all.Wait()
	if turned.Load() == 0 || entered.Load() == 0 {
		t.Errorf("in %d rounds %d were turned away and %d entered an arm: there was no race", rounds, turned.Load(), entered.Load())
	}
}

func armBackend(pool string) *upstream.Backend {
	return &upstream.Backend{
		Endpoint: upstream.NewEndpoint("tcp", "127.0.0.1:9", upstream.Options{}), Pool: pool, Name: pool, Weight: 1, Gate: drain.NewGate(),
	}
}
