package names

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestResolve(t *testing.T) {
	s := startServer(t)
	for _, tt := range []struct {
		why, name string
		family    Family
		zone      []string
		want      string // with SERVER for its address
	}{
		{"one address", "app:80", "", []string{"app. 30 A 10.0.0.1"}, "10.0.0.1:80 ttl 30s"},
		{"any order is one", "app:80", "", []string{"app. 30 A 10.0.0.3", "app. 20 A 10.0.0.1", "app. 30 A 10.0.0.2"}, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 ttl 20s"},
		{"TTL 0", "app:80", "", []string{"app. 0 A 10.0.0.1"}, "10.0.0.1:80 ttl 0s"},
		{"a TTL with the highest bit counts as 0", "app:80", "", []string{"app. 4294967295 A 10.0.0.1"}, "10.0.0.1:80 ttl 0s"},
		{"the longest TTL there is", "app:80", "", []string{"app. 2147483647 A 10.0.0.1"}, "10.0.0.1:80 ttl 596523h14m7s"},
		{"IPv4 where there is any", "app:80", "", []string{"app. 5 A 10.0.0.1", "app. 5 AAAA fd00::1"}, "10.0.0.1:80 ttl 5s"},
		{"IPv6 where there is nothing else", "app:80", "", []string{"app. 5 AAAA fd00::1"}, "[fd00::1]:80 ttl 5s"},
		{"both", "app:80", Both, []string{"app. 5 A 10.0.0.1", "app. 5 AAAA fd00::1"}, "10.0.0.1:80 [fd00::1]:80 ttl 5s"},
		{"both, of which there is one", "app:80", Both, []string{"app. 5 AAAA fd00::1"}, "[fd00::1]:80 ttl 5s"},
		{"only IPv6", "app:80", IPv6, []string{"app. 5 A 10.0.0.1", "app. 6 AAAA fd00::1"}, "[fd00::1]:80 ttl 6s"},
		{"only IPv4", "app:80", IPv4, []string{"app. 5 AAAA fd00::1"}, "absent: no address: an empty answer from SERVER"},
		{"an IPv4 address in IPv6 clothes", "app:80", IPv6, []string{"app. 5 AAAA ::ffff:10.0.0.1"}, "10.0.0.1:80 ttl 5s"},
		{"a chain of CNAMEs, with the shortest TTL", "app:80", "", []string{"app. 50 CNAME b.", "b. 7 CNAME C.", "C. 30 A 10.0.0.1"}, "10.0.0.1:80 ttl 7s"},
		{"a CNAME to nothing", "app:80", "", []string{"app. 5 CNAME b."}, "absent: no such name: NXDOMAIN from SERVER"},
		{"CNAMEs in a circle", "app:80", "", []string{"app. 5 CNAME b.", "b. 5 CNAME app."}, "failed: its CNAMEs do not end (from SERVER)"},
		{"a long chain", "app:80", "", []string{"app. 5 CNAME b.", "b. 5 CNAME c.", "c. 5 CNAME d.", "d. 5 CNAME e.", "e. 5 CNAME f.", "f. 5 CNAME g.", "g. 5 CNAME h.", "h. 5 A 10.0.0.1"}, "10.0.0.1:80 ttl 5s"},
		{"no such name", "app:80", "", nil, "absent: no such name: NXDOMAIN from SERVER"},
		{"no address", "app:80", "", []string{"app. 5 TXT hello"}, "absent: no address: an empty answer from SERVER"},
		{"addresses that are none", "app:80", "", []string{"app. 5 A 0.0.0.0", "app. 5 A 224.0.0.1", "app. 5 A 255.255.255.255"}, "absent: only addresses that no server has, as 0.0.0.0 (from SERVER)"},
		{"and one that is", "app:80", "", []string{"app. 5 A 0.0.0.0", "app. 5 A 10.0.0.1"}, "10.0.0.1:80 ttl 5s"},
		{"twice the same", "app:80", "", []string{"app. 5 A 10.0.0.1", "app. 5 A 10.0.0.1"}, "10.0.0.1:80 ttl 5s"},
		{"case", "App:80", "", []string{"app. 5 A 10.0.0.1", "App. 5 A 10.0.0.1"}, "10.0.0.1:80 ttl 5s"},

		{"services: port and weight", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 5 3000 a.", "_http._tcp.app. 9 SRV 0 10 3001 b.", "a. 5 A 10.0.0.1", "b. 9 A 10.0.0.2"}, "10.0.0.1:3000*5 10.0.0.2:3001*10 ttl 5s"},
		{"the lowest priority only", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 1 1 3000 a.", "_http._tcp.app. 9 SRV 2 1 3000 b.", "a. 5 A 10.0.0.1", "b. 9 A 10.0.0.2"}, "10.0.0.1:3000 ttl 5s"},
		{"the next when none of the lowest is there", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 1 1 3000 a.", "_http._tcp.app. 9 SRV 2 1 3000 b.", "b. 9 A 10.0.0.2"}, "10.0.0.2:3000 ttl 9s"},
		{"one of the lowest is there", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 1 1 3000 a.", "_http._tcp.app. 9 SRV 1 1 3000 c.", "_http._tcp.app. 9 SRV 2 1 3000 b.", "b. 9 A 10.0.0.2", "c. 9 A 10.0.0.3"}, "10.0.0.3:3000 ttl 9s"},
		{"no weights", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 0 3000 a.", "a. 9 A 10.0.0.1", "a. 9 A 10.0.0.2"}, "10.0.0.1:3000 10.0.0.2:3000 ttl 9s"},
		{"large weights", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 60000 3000 a.", "_http._tcp.app. 9 SRV 0 30000 3000 b.", "_http._tcp.app. 9 SRV 0 1 3000 c.", "a. 9 A 10.0.0.1", "b. 9 A 10.0.0.2", "c. 9 A 10.0.0.3"}, "10.0.0.1:3000*1000 10.0.0.2:3000*500 10.0.0.3:3000 ttl 9s"},
		{"weight 0 beside others is the least", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 2 3000 a.", "_http._tcp.app. 9 SRV 0 0 3000 b.", "a. 9 A 10.0.0.1", "b. 9 A 10.0.0.2"}, "10.0.0.1:3000*1000 10.0.0.2:3000 ttl 9s"},
		{"one address by two records", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 2 3000 a.", "_http._tcp.app. 9 SRV 0 7 3000 b.", "a. 9 A 10.0.0.1", "b. 9 A 10.0.0.1"}, "10.0.0.1:3000*7 ttl 9s"},
		{"two ports of one address", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 1 3000 a.", "_http._tcp.app. 9 SRV 0 1 3001 a.", "a. 9 A 10.0.0.1"}, "10.0.0.1:3000 10.0.0.1:3001 ttl 9s"},
		{"decidedly not available", "srv:_http._tcp.app", "", []string{"_http._tcp.app. 9 SRV 0 0 0 ."}, "absent: none of the hosts in its SRV records has an address (from SERVER)"},
		{"no records", "srv:_http._tcp.app", "", nil, "absent: no such name: NXDOMAIN from SERVER"},
	} {
		s.zone(tt.zone...)
		got := show(resolve(t, s.resolver(Options{Family: tt.family}), tt.name))
		if want := strings.ReplaceAll(tt.want, "SERVER", s.address); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.why, got, want)
		}
	}
}

// reply answers with a code and records.
func reply(rcode int, records ...string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(replyTo(q, rcode, records...)) }
}

func replyTo(q *dns.Msg, rcode int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Rcode, m.RecursionAvailable = rcode, true
	for _, line := range records {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// TestAnswersThatMustNotBeBelieved: what is no answer to the question is a failure, and after it the true one still counts.
func TestAnswersThatMustNotBeBelieved(t *testing.T) {
	const record = "app. 5 A 10.0.0.1"
	forged := func(change func(*dns.Msg)) func(dns.ResponseWriter, *dns.Msg) {
		return func(w dns.ResponseWriter, q *dns.Msg) {
			m := replyTo(q, dns.RcodeSuccess, "app. 5 A 6.6.6.6")
			change(m)
			w.WriteMsg(m)
			w.WriteMsg(replyTo(q, dns.RcodeSuccess, record))
		}
	}
	for _, tt := range []struct {
		why    string
		answer func(dns.ResponseWriter, *dns.Msg)
		want   string
	}{
		{"another id", forged(func(m *dns.Msg) { m.Id++ }), "10.0.0.1:80 ttl 5s"},
		{"another question", forged(func(m *dns.Msg) { m.Question[0].Name = "b." }), "10.0.0.1:80 ttl 5s"},
		{"another kind", forged(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), "10.0.0.1:80 ttl 5s"},
		{"no question", forged(func(m *dns.Msg) { m.Question = nil }), "10.0.0.1:80 ttl 5s"},
		{"a question", forged(func(m *dns.Msg) { m.Response = false }), "10.0.0.1:80 ttl 5s"},
		{"noise", func(w dns.ResponseWriter, q *dns.Msg) {
			w.Write([]byte("\x00\x01\x02"))
			w.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.WriteMsg(replyTo(q, dns.RcodeSuccess, record))
		}, "10.0.0.1:80 ttl 5s"},
		{"records of other names", reply(dns.RcodeSuccess, "b. 5 A 6.6.6.6", "x.app. 5 A 6.6.6.6", record), "10.0.0.1:80 ttl 5s"},
		{"only records of other names", reply(dns.RcodeSuccess, "b. 5 A 6.6.6.6"), "absent: no address: an empty answer from SERVER"},
		{"another class", reply(dns.RcodeSuccess, "app. 5 CH A 6.6.6.6"), "absent: no address: an empty answer from SERVER"},
		{"SERVFAIL", reply(dns.RcodeServerFailure), "failed: SERVFAIL from SERVER"},
		{"SERVFAIL with records", reply(dns.RcodeServerFailure, record), "failed: SERVFAIL from SERVER"},
		{"REFUSED", reply(dns.RcodeRefused), "failed: REFUSED from SERVER"},
		{"silence", func(dns.ResponseWriter, *dns.Msg) {}, "failed: no answer from SERVER within 200ms"},
		{"a referral", func(w dns.ResponseWriter, q *dns.Msg) {
			m := replyTo(q, dns.RcodeSuccess)
			ns, _ := dns.NewRR("app. 5 NS a.root.")
			m.RecursionAvailable, m.Ns = false, []dns.RR{ns}
			w.WriteMsg(m)
		}, "failed: SERVER knows nothing of it and asks nobody"},
	} {
		s := startServer(t)
		s.answers(tt.answer)
		got := show(resolve(t, s.resolver(Options{}), "app:80"))
		if want := strings.ReplaceAll(tt.want, "SERVER", s.address); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.why, got, want)
		}
	}
}

// TestNoTwoQuestionsAreAlike: an id and a port that could be guessed would let an answer be forged from afar.
func TestNoTwoQuestionsAreAlike(t *testing.T) {
	s := startServer(t)
	ids, ports := map[uint16]bool{}, map[string]bool{}
	s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
		s.mu.Lock()
		ids[q.Id], ports[w.RemoteAddr().String()] = true, true
		s.mu.Unlock()
		w.WriteMsg(replyTo(q, dns.RcodeSuccess, "app. 5 A 10.0.0.1"))
	})
	r := s.resolver(Options{})
	for range 50 {
		if _, err := resolve(t, r, "app:80"); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) < 45 || len(ports) < 40 {
		t.Errorf("of 50 questions %d had an id and %d a port of their own", len(ids), len(ports))
	}
}

func manyAddresses(n int) (zone []string) {
	for i := range n {
		zone = append(zone, fmt.Sprintf("app. 5 A 10.1.%d.%d", i/250, i%250+1))
	}
	return zone
}

func TestAnswersThatDoNotFit(t *testing.T) {
	s := startServer(t)
	s.zone(manyAddresses(300)...)
	a, err := resolve(t, s.resolver(Options{}), "app:80")
	if err != nil || len(a.Addresses) != 300 || a.More != 0 {
		t.Errorf("%d of 300 addresses, %v", len(a.Addresses), err)
	}
	if q := s.questions(); !slices.Equal(q, []string{"udp A app.", "tcp A app."}) {
		t.Errorf("asked %v", q)
	}
	s.zone(manyAddresses(maxAddresses + 7)...)
	if a, err = resolve(t, s.resolver(Options{}), "app:80"); err != nil || len(a.Addresses) != maxAddresses || a.More != 7 {
		t.Errorf("%d addresses and %d more, %v", len(a.Addresses), a.More, err)
	}
}

// TestHalfAnAnswerIsNone: the other half would be taken for gone.
func TestHalfAnAnswerIsNone(t *testing.T) {
	s := startServer(t)
	s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
		m := replyTo(q, dns.RcodeSuccess, "app. 5 A 10.0.0.1")
		m.Truncated = true
		w.WriteMsg(m)
	})
	if got := show(resolve(t, s.resolver(Options{}), "app:80")); got != "failed: half an answer from "+s.address {
		t.Error(got)
	}
}

// TestTooLongForUDPAndSentAnyway: a server that does not know how to truncate is read all the same.
func TestTooLongForUDPAndSentAnyway(t *testing.T) {
	s := startServer(t)
	s.answers(reply(dns.RcodeSuccess, manyAddresses(200)...))
	if a, err := resolve(t, s.resolver(Options{}), "app:80"); err != nil || len(a.Addresses) != 200 {
		t.Errorf("%d of 200, %v", len(a.Addresses), err)
	}
}

func TestServersOlderThanEDNS(t *testing.T) {
	s := startServer(t)
	s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() == nil {
			w.WriteMsg(replyTo(q, dns.RcodeSuccess, "app. 5 A 10.0.0.1"))
			return
		}
		m := replyTo(q, dns.RcodeFormatError)
		m.Question = nil
		w.WriteMsg(m)
	})
	if got := show(resolve(t, s.resolver(Options{}), "app:80")); got != "10.0.0.1:80 ttl 5s" {
		t.Error(got)
	}
}

func TestTheNextServerIsAsked(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := dead.LocalAddr().String()
	dead.Close()
	sick, well := startServer(t), startServer(t)
	sick.answers(reply(dns.RcodeServerFailure))
	well.zone("app. 5 A 10.0.0.1")
	a, err := resolve(t, well.resolver(Options{Servers: []string{nobody, sick.address, well.address}}), "app:80")
	if show(a, err) != "10.0.0.1:80 ttl 5s" || a.From != well.address {
		t.Errorf("%s from %s", show(a, err), a.From)
	}
	// "No such name" is an answer: no other server is asked.
	sick.answers(reply(dns.RcodeNameError))
	if got := show(resolve(t, well.resolver(Options{Servers: []string{sick.address, well.address}}), "app:80")); !strings.HasPrefix(got, "absent") {
		t.Error(got)
	}
	// Each is asked twice.
	sick.answers(reply(dns.RcodeServerFailure))
	resolve(t, sick.resolver(Options{Family: IPv4}), "app:80")
	if q := sick.questions(); len(q) != 2 {
		t.Errorf("asked %v", q)
	}
}

// TestOneFamilyThatFails: half of both is not enough, and IPv6 does not stand in for IPv4 that could not be asked for.
func TestOneFamilyThatFails(t *testing.T) {
	s := startServer(t)
	for _, broken := range []uint16{dns.TypeA, dns.TypeAAAA} {
		s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
			switch q.Question[0].Qtype {
			case broken:
				w.WriteMsg(replyTo(q, dns.RcodeServerFailure))
			case dns.TypeA:
				w.WriteMsg(replyTo(q, dns.RcodeSuccess, "app. 5 A 10.0.0.1"))
			default:
				w.WriteMsg(replyTo(q, dns.RcodeSuccess, "app. 5 AAAA fd00::1"))
			}
		})
		if got := show(resolve(t, s.resolver(Options{Family: Both}), "app:80")); !strings.HasPrefix(got, "failed: SERVFAIL") {
			t.Errorf("both: %s", got)
		}
		want := map[uint16]string{dns.TypeA: "failed: SERVFAIL from " + s.address, dns.TypeAAAA: "10.0.0.1:80 ttl 5s"}[broken]
		if got := show(resolve(t, s.resolver(Options{}), "app:80")); got != want {
			t.Errorf("auto: %s", got)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHostsFileComesFirst(t *testing.T) {
	s := startServer(t)
	s.zone("app. 5 A 10.0.0.1", "_http._tcp.app. 9 SRV 0 1 3000 App.")
	hosts := write(t, filepath.Join(t.TempDir(), "hosts"), "# names\n10.9.9.9 other App # mine\nfd00::9 app\n10.9.9.8\tapp\nnonsense app\n10.9.9.7\n")
	r := s.resolver(Options{HostsFile: hosts})
	if got := show(resolve(t, r, "app:80")); got != "10.9.9.8:80 10.9.9.9:80 ttl 5s" {
		t.Error(got)
	}
	if got := show(resolve(t, r, "srv:_http._tcp.app")); got != "10.9.9.8:3000 10.9.9.9:3000 ttl 5s" {
		t.Error(got)
	}
	if got := show(resolve(t, s.resolver(Options{HostsFile: hosts, Family: Both}), "app:80")); got != "10.9.9.8:80 10.9.9.9:80 [fd00::9]:80 ttl 5s" {
		t.Error(got)
	}
	write(t, hosts, "10.9.9.5 app\n")
	if got := show(resolve(t, r, "app:80")); got != "10.9.9.5:80 ttl 5s" {
		t.Errorf("after a change: %s", got)
	}
	os.Remove(hosts)
	if got := show(resolve(t, r, "app:80")); got != "10.0.0.1:80 ttl 5s" {
		t.Errorf("after its end: %s", got)
	}
}

func TestSearchList(t *testing.T) {
	for _, tt := range []struct {
		conf, host string
		want       []string
	}{
		{"", "app", []string{"app."}},
		{"search a.test b.test", "app", []string{"app.a.test.", "app.b.test.", "app."}},
		{"search a.test", "app.x", []string{"app.x.", "app.x.a.test."}},
		{"search a.test\noptions ndots:2", "app.x", []string{"app.x.a.test.", "app.x."}},
		{"search a.test\noptions ndots:0", "app", []string{"app.", "app.a.test."}},
		{"search .", "app", []string{"app.", "app."}},
		{"domain a.test", "app", []string{"app.a.test.", "app."}},
		{"search a.test", "app.", []string{"app."}},
	} {
		l := &lookup{system: readSystem(strings.NewReader(tt.conf))}
		if got := l.candidates(tt.host); !slices.Equal(got, tt.want) {
			t.Errorf("%q %s: %v, want %v", tt.conf, tt.host, got, tt.want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	s := readSystem(strings.NewReader("nameserver 10.0.0.53\nnameserver fe80::1%eth0\noptions timeout:1 attempts:9 rotate\n"))
	if !slices.Equal(s.servers, []string{"10.0.0.53:53", "[fe80::1%eth0]:53"}) || s.timeout != time.Second || s.attempts != mostAttempts {
		t.Errorf("%+v", s)
	}
	if s = readSystem(strings.NewReader("")); !slices.Equal(s.servers, []string{"127.0.0.1:53"}) || s.attempts != 2 {
		t.Errorf("nothing said: %+v", s)
	}
	r := New(Options{ResolvConf: filepath.Join(t.TempDir(), "none"), Timeout: 3 * time.Second})
	if l := r.lookup(t.Context()); l.timeout != 3*time.Second || !slices.Equal(l.servers, []string{"127.0.0.1:53"}) {
		t.Errorf("%+v", l.system)
	}
}

// TestSearchEndsWhereNobodyCanSay: the next name in the list would be another host.
func TestSearchEndsWhereNobodyCanSay(t *testing.T) {
	s := startServer(t)
	l := s.resolver(Options{}).lookup(t.Context())
	l.system.search, l.ndots = []string{"a.test"}, 1
	s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name == "app." {
			w.WriteMsg(replyTo(q, dns.RcodeSuccess, "app. 5 A 6.6.6.6"))
			return
		}
		w.WriteMsg(replyTo(q, dns.RcodeServerFailure))
	})
	if found, err := l.addresses("app"); err == nil || absent(err) || len(found) > 0 {
		t.Errorf("%v %v", found, err)
	}
	s.zone("app. 5 A 10.0.0.1")
	if found, err := l.addresses("app"); err != nil || len(found) != 1 {
		t.Errorf("denied in the first domain, there in the next: %v %v", found, err)
	}
}

func TestALookupCanBeCalledOff(t *testing.T) {
	s := startServer(t)
	asked := make(chan struct{}, 1)
	s.answers(func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	began := time.Now()
	if _, err := s.resolver(Options{Timeout: time.Minute}).Resolve(ctx, parse("app:80")); err == nil {
		t.Error("an answer from nobody")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
