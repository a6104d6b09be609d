package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"sluice/demo"
)

// runFor is how long the long runs last; SLUICE_SOAK makes them longer.
func runFor(t *testing.T) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SLUICE_SOAK")); err == nil {
		return d
	}
	if testing.Short() {
		return 5 * time.Second
	}
	return 30 * time.Second
}

const quickDrains = "    drain: {timeout: 30s, stream: 1s, websocket: 1s}\n"

func twoPools(blue, green string) string {
	return fmt.Sprintf("services:\n  web:\n    live: blue\n    pools:\n      blue: [%s]\n      green: [%s]\n"+
		"    health: {path: /health, interval: 500ms, timeout: 400ms}\n%s", blue, green, quickDrains)
}

// load starts strict traffic of every class through the proxy.
func (s *sluice) load() *demo.Traffic {
	s.t.Helper()
	traffic, err := demo.Start(context.Background(), demo.Config{
		Address: s.listen, Seed: 1, Host: "shop.example",
		Workers: map[demo.Class]int{demo.Get: 6, demo.Post: 6, demo.Close: 3, demo.Slow: 6, demo.Upload: 3, demo.Stream: 4, demo.WebSocket: 4, demo.Tunnel: 2},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { traffic.Stop() })
	return traffic
}

// report logs what happened, and fails on anything lost.
func (s *sluice) report(counts demo.Counts, traffic *demo.Traffic) (lost int) {
	s.t.Helper()
	for _, class := range demo.Classes() {
		c := counts.Classes[class]
		s.t.Logf("%-9s done %6d lost %d cut %d ended %d p99 %s", class, c.Done, c.Lost, c.Cut, c.Ended, c.P99)
		// A session that a drain ended was carried up to its end too: with a flip every 300 ms few tunnels end by themselves.
		if c.Done+c.Cut == 0 {
			s.t.Errorf("no %s was ever done: this run proves nothing about it", class)
		}
		lost += c.Lost
	}
	for i, r := range traffic.Lost() {
		if i < 10 {
			s.t.Logf("lost: %s %s %s after %s: %v", r.Class, r.RequestID, r.Release, r.Ended.Sub(r.Began), r.Err)
		}
	}
	return lost
}

// TestFlipsLoseNothing flips every 300 ms under strict traffic of every class.
func TestFlipsLoseNothing(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	flips, late := s.flipFor(runFor(t), traffic)
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost in %d flips", lost, flips)
	}
	if late != 0 {
		t.Errorf("%d answered by the old release after a flip's answer", late)
	}
	if flips < int(runFor(t)/time.Second) {
		t.Errorf("only %d flips", flips)
	}
	t.Logf("%d flips, %d requests", flips, counts.Total().Done)
}

// flipFor flips between the pools and counts what the old release answered of what began after each flip's answer.
func (s *sluice) flipFor(d time.Duration, traffic *demo.Traffic) (flips, late int) {
	s.t.Helper()
	pools, releases := [2]string{"blue", "green"}, [2]string{"v1", "v2"}
	for end := time.Now().Add(d); time.Now().Before(end); flips++ {
		to := (flips + 1) % 2
		status, answer := s.post("/v1/services/web/flip?pool=" + pools[to] + "&release=" + releases[to])
		answered := time.Now()
		if status/100 != 2 {
			s.t.Fatalf("flip: %d %v", status, answer)
		}
		time.Sleep(300 * time.Millisecond)
		late += traffic.AnsweredBy(releases[1-to], answered)
	}
	return flips, late
}

// TestTheRunCanSee is the same run with a Sluice that closes the gate before it swaps: if that loses nothing, the run
// above proves nothing.
func TestTheRunCanSee(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address))
	s.bin = gateFirst
	s.start().awaitRelease("v1")
	traffic := s.load()
	s.flipFor(5*time.Second, traffic)
	if lost := traffic.Stop().Total().Lost; lost == 0 {
		t.Error("nothing was lost: the strict clients do not see a gate closed too early")
	} else {
		t.Logf("%d lost, as it must be", lost)
	}
}

// TestFlipAndRollbackByCommand is the deployment of the README.
func TestFlipAndRollbackByCommand(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	t.Log(s.must("flip", "web", "green", "--release", "v2"))
	s.awaitRelease("v2")
	began := time.Now()
	t.Log(s.must("rollback", "web"))
	t.Logf("rollback took %s", time.Since(began))
	s.awaitRelease("v1")
	if out, code := s.cli("flip", "web", "green", "--release", "v3"); code != 1 {
		t.Errorf("a flip to a release that is not there: exit %d: %s", code, out)
	}
	green.kill()
	if out, code := s.cli("flip", "web", "green"); code != 1 {
		t.Errorf("a flip to a dead pool: exit %d: %s", code, out)
	} else {
		t.Log(out)
	}
	t.Log(s.must("status"))
	t.Log(s.must("history"))
	if lost := s.report(traffic.Stop(), traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
}
