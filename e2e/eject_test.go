package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sick is a backend that can be made ill. Its health checks pass as long as it listens.
type sick struct {
	t       *testing.T
	address string
	fails   atomic.Bool
	delay   atomic.Int64
	met     atomic.Int64 // requests while it was ill
	server  *http.Server
}

func startSick(t *testing.T) *sick {
	b := &sick{t: t}
	b.listen("127.0.0.1:0")
	t.Cleanup(func() { b.server.Close() })
	return b
}

func (b *sick) listen(address string) {
	b.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.address, b.server = l.Addr().String(), &http.Server{Handler: b}
	go b.server.Serve(l)
}

func (b *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		return
	}
	if b.fails.Load() {
		b.met.Add(1)
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	if d := b.delay.Load(); d > 0 {
		b.met.Add(1)
		time.Sleep(time.Duration(d))
	}
	fmt.Fprintf(w, "hello from %s", b.address)
}

// ask sends n requests from each of six clients at once and returns how many were answered 200, otherwise, or not at all.
func (s *sluice) ask(n int) (good, failed, lost int64) {
	var all sync.WaitGroup
	var counts [3]atomic.Int64
	for range 6 {
		all.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			for range n {
				counts[s.askOnce(client)].Add(1)
			}
		})
	}
	all.Wait()
	return counts[0].Load(), counts[1].Load(), counts[2].Load()
}

func (s *sluice) askOnce(client *http.Client) int {
	res, err := client.Get("http://" + s.listen + "/")
	if err != nil {
		return 2
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return 2
	case res.StatusCode != 200 || len(body) < 20:
		return 1
	}
	return 0
}

// backendStatus is what status says of one backend.
func (s *sluice) backendStatus(address string) map[string]any {
	s.t.Helper()
	_, status := s.get("/v1/services/web")
	for _, pool := range status["pools"].([]any) {
		for _, b := range pool.(map[string]any)["backends"].([]any) {
			if b := b.(map[string]any); b["address"] == address {
				return b
			}
		}
	}
	s.t.Fatalf("status has no %s", address)
	return nil
}

func (s *sluice) ejected(address string) bool { return s.backendStatus(address)["ejected"] != nil }

// illnesses are ways in which one of three backends stops serving well while its checks see nothing.
var illnesses = []struct {
	name       string
	begin, end func(*sick)
	met        func(*sluice, *sick) int64 // how many requests met it
	most       int64                      // how many may, until it is ejected
}{
	{"refuses", func(b *sick) { b.server.Close() }, func(b *sick) { b.listen(b.address) },
		func(s *sluice, b *sick) int64 { return int64(s.backendStatus(b.address)["failures"].(float64)) }, 40},
	{"fails", func(b *sick) { b.fails.Store(true) }, func(b *sick) { b.fails.Store(false) },
		func(_ *sluice, b *sick) int64 { return b.met.Load() }, 40},
	{"is slow", func(b *sick) { b.delay.Store(int64(60 * time.Millisecond)) }, func(b *sick) { b.delay.Store(0) },
		func(_ *sluice, b *sick) int64 { return b.met.Load() }, 250},
}

func passively(t *testing.T, eject string, backends []*sick) *sluice {
	s := newSluice(t, fmt.Sprintf(`services:
  web:
    backends: [%s, %s, %s]
    balance: round_robin
    health: {path: /health, interval: 1s, fall: 100, rise: 1}
    eject: %s
`, backends[0].address, backends[1].address, backends[2].address, eject)).start()
	for _, b := range backends {
		s.await("all are up", func() bool { return s.backendHealth(b.address) == "up" })
	}
	return s
}

// TestPassiveDetection: one of three backends falls ill in a way that its checks do not see. With ejection it meets a few
// requests, then none, and is back by itself once it is well; without, it goes on meeting a third of them. No request is
// lost either way, but for those that a failing app answers itself.
func TestPassiveDetection(t *testing.T) {
	t.Parallel()
	for _, ill := range illnesses {
		t.Run(ill.name, func(t *testing.T) {
			var met [2]int64
			for i, eject := range []string{
				"{connect: 3, errors: 5, answers: 5xx, latency: 4, above: 20ms, window: 1s, time: 1s}", "off",
			} {
				backends := []*sick{startSick(t), startSick(t), startSick(t)}
				s := passively(t, eject, backends)
				if good, failed, lost := s.ask(50); good != 300 {
					t.Fatalf("all are well: %d failed, %d lost", failed, lost)
				}
				ill.begin(backends[1])
				met[i] = s.fallsIll(backends[1], i == 0, ill.met)
				if ill.end(backends[1]); i == 0 {
					s.await("it is back", func() bool { return !s.ejected(backends[1].address) })
					if good, failed, lost := s.ask(20); good != 120 {
						t.Errorf("after it is back: %d failed, %d lost", failed, lost)
					}
				}
			}
			if t.Logf("%d requests met it, %d without ejection", met[0], met[1]); met[0] > ill.most || met[1] < met[0]+200 {
				t.Errorf("%d requests met it, %d without ejection; want %d at most, and 200 more without", met[0], met[1], ill.most)
			}
		})
	}
}

// fallsIll sends requests while the backend is ill and returns how many met it.
func (s *sluice) fallsIll(b *sick, ejects bool, metBy func(*sluice, *sick) int64) int64 {
	s.t.Helper()
	met, failed := int64(0), int64(0)
	for range 24 {
		good, bad, lost := s.ask(10)
		if failed += bad; lost > 0 {
			s.t.Errorf("%d lost, %d good", lost, good)
		}
		if met = metBy(s, b); ejects && s.ejected(b.address) {
			break
		}
	}
	if !ejects {
		return met
	}
	if !s.ejected(b.address) {
		s.t.Errorf("it is not ejected: %v", s.backendStatus(b.address))
	}
	if good, _, lost := s.ask(40); lost > 0 || good != 240 && s.ejected(b.address) {
		s.t.Errorf("while it is ejected %d of 240 are good, %d lost", good, lost)
	}
	if after := metBy(s, b); after != met && s.ejected(b.address) {
		s.t.Errorf("%d requests met it after it was ejected", after-met)
	}
	return met
}
