package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sluice/demo"
)

// nameServer is a DNS server that knows one name. It stands in for that of docker compose.
type nameServer struct {
	address string

	mu        sync.Mutex
	addresses []string // none: it fails
}

func startNameServer(t *testing.T, addresses ...string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{address: conn.LocalAddr().String(), addresses: addresses}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(n.answer)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.ActivateAndServe()
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return n
}

func (n *nameServer) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = addresses
}

// answer gives 600 s to live, as Docker does.
func (n *nameServer) answer(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if len(n.addresses) == 0 {
		m.Rcode = dns.RcodeServerFailure
	}
	for _, a := range n.addresses {
		if q.Question[0].Qtype == dns.TypeA && strings.EqualFold(q.Question[0].Name, "app.") {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 600}, A: net.ParseIP(a),
			})
		}
	}
	w.WriteMsg(m)
}

// member is one container of a service: an app on an address of its own, at the port that all have. It notes what comes.
type member struct {
	app     *demo.App
	ip      string
	address string

	mu       sync.Mutex
	passed   time.Time // when it first passed a check
	first    time.Time // when the first request came
	last     time.Time
	requests int
}

func startMember(t *testing.T, ip, port string) *member {
	t.Helper()
	m := &member{app: demo.NewApp("v1"), ip: ip, address: net.JoinHostPort(ip, port)}
	l, err := net.Listen("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	inner := m.app.Handler()
	server := &http.Server{IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			noted := &statusNote{ResponseWriter: w}
			inner.ServeHTTP(noted, r)
			m.checked(noted.status)
			return
		}
		m.came()
		inner.ServeHTTP(w, r)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close(); m.app.Close() })
	return m
}

// statusNote remembers the status of an answer.
type statusNote struct {
	http.ResponseWriter
	status int
}

func (s *statusNote) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (m *member) checked(status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed.IsZero() && status < 300 {
		m.passed = time.Now()
	}
}

func (m *member) came() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = time.Now()
	if m.requests++; m.requests == 1 {
		m.first = m.last
	}
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func (m *member) latest() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// members are the backends that status has, as "address health", and those that leave with something inside.
func (s *sluice) members() (all map[string]string, leaving int) {
	_, status := s.get("/v1/status")
	pool := status["services"].([]any)[0].(map[string]any)["pools"].([]any)[0].(map[string]any)
	all = map[string]string{}
	for _, b := range pool["backends"].([]any) {
		b := b.(map[string]any)
		all[b["address"].(string)] = fmt.Sprint(b["health"])
	}
	gone, _ := pool["leaving"].([]any)
	return all, len(gone)
}

// awaitMembers waits until these are the backends and all of them are up.
func (s *sluice) awaitMembers(members ...*member) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d members", len(members)), func() bool {
		all, _ := s.members()
		for _, m := range members {
			if all[m.address] != "up" {
				return false
			}
		}
		return len(all) == len(members)
	})
}

// awaitTraffic waits until each has taken a few requests more.
func awaitTraffic(s *sluice, members ...*member) {
	s.t.Helper()
	for _, m := range members {
		n := m.count()
		s.await(m.address+" gets traffic", func() bool { return m.count() > n+20 })
	}
}

// onItsWay is how long a request may take to arrive that was sent just before its backend was gone.
const onItsWay = 500 * time.Millisecond

// emptied waits until nothing is inside of what is gone, and holds that nothing comes to it from now on. It returns what
// checks the latter.
func emptied(s *sluice, gone ...*member) (nothingCame func()) {
	s.t.Helper()
	seen := time.Now()
	s.await("what is gone is empty", func() bool { _, leaving := s.members(); return leaving == 0 })
	counts := make([]int, len(gone))
	for i, m := range gone {
		counts[i] = m.count()
		if n := m.app.Inside(); n != 0 {
			s.t.Errorf("%d inside of %s when it was drained", n, m.address)
		}
		if late := m.latest().Sub(seen); late > onItsWay {
			s.t.Errorf("a request came to %s when it had been gone for %s", m.address, late)
		}
	}
	return func() {
		s.t.Helper()
		for i, m := range gone {
			if n := m.count(); n != counts[i] {
				s.t.Errorf("%d requests came to %s after it was empty", n-counts[i], m.address)
			}
		}
	}
}

// TestAServiceScales is docker compose behind Sluice: 1 → 5 → 2, a container that comes back with another address, and
// an outage of the DNS, under strict traffic of every class.
func TestAServiceScales(t *testing.T) {
	_, port, _ := net.SplitHostPort(freePort(t))
	one := startMember(t, "127.0.0.2", port)
	names := startNameServer(t, one.ip)
	s := newSluice(t, fmt.Sprintf("dns: {servers: [%s], least: 100ms, most: 300ms}\nservices:\n  web:\n    backends: [app:%s]\n"+
		"    health: {path: /health, interval: 300ms, timeout: 250ms}\n%s", names.address, port, quickDrains)).start()
	s.awaitRelease("v1")
	traffic := s.load()

	five := []*member{one}
	for i := 3; i <= 6; i++ {
		m := startMember(t, fmt.Sprintf("127.0.0.%d", i), port)
		m.app.SetHealthy(false)
		five = append(five, m)
	}
	names.set("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")
	s.await("five members", func() bool { all, _ := s.members(); return len(all) == 5 })
	for _, m := range five[1:] {
		m.app.SetHealthy(true)
	}
	s.awaitMembers(five...)
	awaitTraffic(s, five[1:]...) // the first has streams and sockets, and so not its turn

	two := []*member{five[1], five[3]}
	gone := []*member{five[0], five[2], five[4]}
	names.set("127.0.0.5", "127.0.0.3")
	s.awaitMembers(two...)
	nothingCame := emptied(s, gone...)
	awaitTraffic(s, two...)
	nothingCame()

	names.set() // an outage changes nothing
	s.await("the outage is seen", func() bool {
		out := s.must("status", "web")
		return strings.Contains(out, "2 addresses as last known") && strings.Contains(out, "SERVFAIL")
	})
	awaitTraffic(s, two...)

	// Both are replaced by one that is still starting: they serve until it is up.
	next := startMember(t, "127.0.0.7", port)
	next.app.SetHealthy(false)
	names.set("127.0.0.7")
	s.await("the new one is known", func() bool { all, _ := s.members(); return len(all) == 3 && all[next.address] == "down" })
	awaitTraffic(s, two...)
	next.app.SetHealthy(true)
	s.awaitMembers(next)
	nothingCame = emptied(s, two...)
	awaitTraffic(s, next)
	nothingCame()

	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	for _, m := range append(five, next) {
		if m.passed.IsZero() || !m.first.After(m.passed) {
			t.Errorf("%s got its first request at %s, and passed its first check at %s", m.address, m.first, m.passed)
		}
	}
	if out := s.must("history"); strings.Contains(out, "dns") {
		t.Errorf("nobody decided anything:\n%s", out)
	}
	t.Logf("%d requests; %s", counts.Total().Done, s.must("status", "web"))
}

// TestAPoolByNameFromTheStart: no answer at the start is no reason not to start, and a flip looks the name up by itself.
func TestAPoolByNameFromTheStart(t *testing.T) {
	_, port, _ := net.SplitHostPort(freePort(t))
	m := startMember(t, "127.0.0.2", port)
	names := startNameServer(t)
	blue := startApp(t, "v0", "127.0.0.1:0")
	s := newSluice(t, fmt.Sprintf("dns: {servers: [%s], least: 1m, most: 1m}\nservices:\n  web:\n    live: blue\n    pools: {blue: [%s], green: [app:%s]}\n"+
		"    health: {path: /health, interval: 300ms, timeout: 250ms}\n%s", names.address, blue.address, port, quickDrains))
	if out, code := runCLI(t, "check", s.configFile()); code != 0 {
		t.Errorf("check asks nobody: %d %s", code, out)
	}
	s.start().awaitRelease("v0")
	if out, code := s.cli("flip", "web", "green"); code != 1 || !strings.Contains(out, "SERVFAIL") {
		t.Errorf("a flip to a name that is not resolved: exit %d: %s", code, out)
	}
	names.set(m.ip)
	t.Log(s.must("flip", "web", "green", "--release", "v1"))
	s.awaitRelease("v1")
	out := s.must("drain", "web", "green/app:"+port, "--wait", "--json")
	if !strings.Contains(out, m.address) || !strings.Contains(out, `"name"`) {
		t.Errorf("the receipt names address and name: %s", out)
	}
	status, body, _ := s.fetch("/bytes/10")
	if status != 503 {
		t.Errorf("%d %s", status, body)
	}
	s.kill()
	s.start()
	s.await("the drain is remembered", func() bool {
		return strings.Contains(s.must("status", "web"), "drain") && s.backendHealth(m.address) == "up"
	})
	if status, body, _ := s.fetch("/bytes/10"); status != 503 {
		t.Errorf("after a restart: %d %s", status, body)
	}
	s.must("ready", "web", m.address, "--wait")
	s.awaitRelease("v1")
}
