package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/journal"
	"sluice/proxy"
	"sluice/upstream"
)

// memory is a Journal that outlives the Controllers of a test, as a disk outlives processes.
type memory struct {
	mu      sync.Mutex
	state   []byte
	records []journal.Record
	full    error // what Save and Append fail with
	damage  string
	saves   int
}

func (m *memory) Load() ([]byte, journal.Found, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, journal.Found{Fresh: m.state == nil, Damage: m.damage}, nil
}

func (m *memory) Save(state, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full != nil {
		return m.full
	}
	m.saves++
	m.state = append([]byte(nil), state...)
	m.add(record)
	return nil
}

func (m *memory) Append(record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full != nil {
		return m.full
	}
	m.add(record)
	return nil
}

func (m *memory) add(record []byte) {
	m.records = append(m.records, journal.Record{Seq: uint64(len(m.records) + 1), Data: append([]byte(nil), record...)})
}

func (m *memory) History(limit int) ([]journal.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]journal.Record(nil), m.records[max(0, len(m.records)-limit):]...), nil
}

func (m *memory) Head() (seq uint64, hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.records)), fmt.Sprintf("hash of %d", len(m.records))
}

func (m *memory) Verify(string) (journal.Chain, error) { return journal.Chain{}, nil }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = err
}

// copy returns what a process would find that starts now.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{state: m.state, records: m.records[:len(m.records):len(m.records)]}
}

// servers are what the probers ask. One that was never set is refusing.
type servers struct {
	mu     sync.Mutex
	answer map[string]healthcheck.Result
	asked  map[string]int
	slow   time.Duration // how long each answer takes
}

func (s *servers) set(address string, r healthcheck.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer[address] = r
}

func (s *servers) up(release string, addresses ...string) {
	for _, a := range addresses {
		s.set(a, healthcheck.Result{OK: true, Release: release})
	}
}

func (s *servers) down(reason string, addresses ...string) {
	for _, a := range addresses {
		s.set(a, healthcheck.Result{Reason: reason})
	}
}

func (s *servers) ask(address string) healthcheck.Result {
	s.mu.Lock()
	s.asked[address]++
	slow, r, known := s.slow, s.answer[address], s.answer[address] != healthcheck.Result{}
	s.mu.Unlock()
	time.Sleep(slow)
	if !known {
		r.Reason = "connection refused"
	}
	r.At = time.Now()
	return r
}

type fakeProber struct {
	servers *servers
	address string
}

func (p fakeProber) Probe(context.Context) healthcheck.Result { return p.servers.ask(p.address) }

// world is one Sluice and what is around it: a file, a disk and servers.
type world struct {
	t       testing.TB
	cfg     *config.Config
	disk    *memory
	servers *servers
	dns     *fakeDNS
	proxy   *proxy.Proxy
	alone   func() error
	c       *Controller

	mu     sync.Mutex
	events []Event
}

// newWorld makes a world of services, written "web live=blue blue=a:1,a:2 green=b:1", and
// "web blue=@app:3000" with a name.
func newWorld(t testing.TB, services ...string) *world {
	return &world{
		t: t, cfg: fileOf(t, services...), disk: &memory{},
		dns:     &fakeDNS{answers: map[string]dnsAnswer{}},
		servers: &servers{answer: map[string]healthcheck.Result{}, asked: map[string]int{}},
	}
}

// fileOf reads the short form of a configuration. Its digest is the text itself.
func fileOf(t testing.TB, services ...string) *config.Config {
	cfg := &config.Config{File: "sluice.yaml", State: "state", Digest: strings.Join(services, "\n"), DNS: config.DNS{Least: 1007 * time.Millisecond, Most: 9973 * time.Millisecond}} // never at the moment of a check
	for _, line := range services {
		fields := strings.Fields(line)
		svc := config.Service{Name: fields[0], Path: "/" + fields[0]}
		svc.Health = config.Health{
			Path: "/health", Interval: 2 * time.Second, FastInterval: 500 * time.Millisecond, Timeout: time.Second, Rise: 2, Fall: 3,
		}
		svc.Hold = config.Hold{Age: 30 * time.Second, Requests: 1000, Bytes: 64 << 20, Ramp: 100}
		svc.Drain = config.Drain{Timeout: 30 * time.Second, Stream: 10 * time.Second, WebSocket: 10 * time.Second}
		for _, f := range fields[1:] {
			key, value, ok := strings.Cut(f, "=")
			if !ok {
				t.Fatalf("%q: want key=value", f)
			}
			switch key {
			case "live":
				svc.Live = value
			case "hold":
				svc.Hold.On, svc.Hold.Age = true, mustDuration(t, value)
			case "when_down":
				svc.WhenDown = value
			case "balance":
				svc.Balance = value
			case "sticky":
				svc.Sticky = &config.Sticky{Cookie: value}
			case "keep":
				svc.Sticky = &config.Sticky{Cookie: "pin", Keep: true, KeepFor: mustDuration(t, value)}
			case "unchecked":
				svc.Health.Off = true
			default:
				svc.Pools = append(svc.Pools, poolOf(key, value))
			}
		}
		if svc.Live == "" {
			svc.Live = svc.Pools[0].Name
		}
		cfg.Services = append(cfg.Services, svc)
	}
	return cfg
}

func mustDuration(t testing.TB, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func poolOf(name, addresses string) config.Pool {
	p := config.Pool{Name: name}
	for _, a := range strings.Split(addresses, ",") {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			p.Backends = append(p.Backends, namedBackend(name))
			continue
		}
		p.Backends = append(p.Backends, config.Backend{Address: a, Network: "tcp", Dial: a, Weight: 1})
	}
	return p
}

// start starts a process in the world; close ends it.
func (w *world) start() error {
	w.proxy = proxy.New(proxy.Timeouts{}, nil)
	w.c = New(Options{
		Config: w.cfg, Proxy: w.proxy, Journal: w.disk, Alone: w.alone, Event: w.hear, Rand: func() float64 { return 0.5 },
		NewProber: w.prober,
		Resolve:   w.dns.resolve,
	})
	return w.c.Start(w.t.Context())
}

func (w *world) prober(spec healthcheck.Spec) healthcheck.Prober {
	return fakeProber{w.servers, spec.Address}
}

func (w *world) mustStart() {
	w.t.Helper()
	if err := w.start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) hear(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// heard returns the events since the last call.
func (w *world) heard() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.events
	w.events = nil
	return all
}

// claim sends a request that stays inside until its lease is released.
func (w *world) claim(service string) (upstream.Lease, error) {
	svc := w.proxy.Snapshot().Route(nil, []byte("/"+service))
	if svc == nil {
		return upstream.Lease{}, errors.New("no route")
	}
	return svc.Live.Claim(&upstream.Tried{})
}

func (w *world) mustClaim(service string) upstream.Lease {
	w.t.Helper()
	lease, err := w.claim(service)
	if err != nil {
		w.t.Fatalf("claim on %s: %v", service, err)
	}
	return lease
}

// until waits for something to become so by the Controller's own notices.
func (w *world) until(why string, so func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		news := w.c.Watch()
		if so() {
			return
		}
		select {
		case <-news:
		case <-deadline:
			w.t.Fatalf("never came to be: %s\n%s", why, describe(w.c.State()))
		}
	}
}

func (w *world) untilUp(service, pool string) {
	w.t.Helper()
	w.until(pool+" up", func() bool {
		p := w.c.State().Services[service].Pool(pool)
		return p.eligible() == len(p.Backends)
	})
}

// over waits for an operation and returns its receipt.
func over(t testing.TB, op *Operation) Receipt {
	t.Helper()
	select {
	case <-op.Done():
	case <-time.After(time.Minute):
		t.Fatalf("operation does not end: %s", op.Receipt())
	}
	return op.Receipt()
}

// describe is a State in a few lines.
func describe(s State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d\n", s.Generation)
	for _, name := range s.Order {
		svc := s.Services[name]
		fmt.Fprintf(&b, "%s: live %s, previous %s\n", name, svc.Live, orDash(svc.Previous))
		for _, p := range svc.Pools {
			for _, be := range p.Backends {
				fmt.Fprintf(&b, "  %s/%s %s %s %s\n", p.Name, be.Address(), be.Admin, be.Health.State, orDash(be.Health.Release))
			}
		}
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func refusalOf(t testing.TB, err error) *Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if r.What == "" || r.Hint == "" {
		t.Errorf("refusal without words: %+v", *r)
	}
	return r
}

func operator() Cause { return Cause{By: "operator", Via: "api"} }
