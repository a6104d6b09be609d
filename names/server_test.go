package names

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// server is a DNS server on loopback, over UDP and TCP on one port. What it answers is in the hands of the test.
type server struct {
	t       *testing.T
	address string

	mu     sync.Mutex
	answer func(w dns.ResponseWriter, q *dns.Msg)
	asked  []string // "udp A app."
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	tcp, udp := bothOn(t)
	s.address = tcp.Addr().String()
	for _, one := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		one.Handler = dns.HandlerFunc(s.serve)
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			one.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() { one.Shutdown(); <-ended })
	}
	return s
}

// bothOn binds one port for both.
func bothOn(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

func (s *server) serve(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s", w.RemoteAddr().Network(), dns.TypeToString[q.Question[0].Qtype], q.Question[0].Name))
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, q)
	}
}

// answers sets what comes for any question from now on.
func (s *server) answers(f func(w dns.ResponseWriter, q *dns.Msg)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.asked = f, nil
}

// zone answers from lines as in a zone file. A name without any line is denied; a CNAME is followed within the zone.
func (s *server) zone(lines ...string) {
	all := make(map[string][]dns.RR)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		all[rr.Header().Name] = append(all[rr.Header().Name], rr)
	}
	s.answers(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		fill(m, all, q.Question[0].Name, q.Question[0].Qtype, 5)
		if size := sizeOf(q, w); m.Len() > size {
			m.Truncate(size)
		}
		w.WriteMsg(m)
	})
}

func fill(m *dns.Msg, all map[string][]dns.RR, name string, kind uint16, hops int) {
	if len(all[name]) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, rr := range all[name] {
		cname, ok := rr.(*dns.CNAME)
		switch {
		case rr.Header().Rrtype == kind:
			m.Answer = append(m.Answer, rr)
		case ok && hops > 0:
			m.Answer = append(m.Answer, rr)
			fill(m, all, cname.Target, kind, hops-1)
		}
	}
}

func sizeOf(q *dns.Msg, w dns.ResponseWriter) int {
	if w.RemoteAddr().Network() == "tcp" {
		return dns.MaxMsgSize
	}
	if opt := q.IsEdns0(); opt != nil {
		return int(opt.UDPSize())
	}
	return dns.MinMsgSize
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// resolver asks that server only.
func (s *server) resolver(o Options) *Resolver {
	if o.Servers == nil && o.ResolvConf == "" {
		o.Servers = []string{s.address}
	}
	if o.HostsFile == "" {
		o.HostsFile = filepath.Join(s.t.TempDir(), "hosts")
	}
	if o.Timeout == 0 {
		o.Timeout = 200 * time.Millisecond
	}
	return New(o)
}

func resolve(t *testing.T, r *Resolver, name string) (Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return r.Resolve(ctx, parse(name))
}

// parse reads a name as the configuration writes it.
func parse(name string) Name {
	if host, ok := strings.CutPrefix(name, "srv:"); ok {
		return Name{Host: host, Service: true}
	}
	host, port, _ := strings.Cut(name, ":")
	return Name{Host: host, Port: netip.MustParseAddrPort("1.1.1.1:" + port).Port()}
}

// show is an answer in one line: "10.0.0.1:80 10.0.0.2:80*3 ttl 5s".
func show(a Answer, err error) string {
	if err != nil {
		f, ok := err.(*Failure)
		switch {
		case !ok:
			return "error: " + err.Error()
		case f.Absent:
			return "absent: " + f.What
		}
		return "failed: " + f.What
	}
	var b strings.Builder
	for _, one := range a.Addresses {
		b.WriteString(one.At.String())
		if one.Weight != 1 {
			fmt.Fprintf(&b, "*%d", one.Weight)
		}
		b.WriteString(" ")
	}
	return b.String() + "ttl " + a.TTL.String()
}
