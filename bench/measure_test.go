package main

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/bench/openloop"
)

// fieldOf is a work between nginx and its backend, on any core, for a second.
func fieldOf(t *testing.T, w work) *field {
	t.Helper()
	needs(t, "wrk", "nginx")
	p, _ := findPeer(nil, "nginx")
	dir := t.TempDir()
	openToNginx(t, dir)
	f := &field{work: w, peers: []server{p}, dir: dir, seconds: 1, out: io.Discard, place: placement{shared: true}}
	backend, err := f.prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.stop)
	return f
}

func workNamed(t *testing.T, name string) work {
	t.Helper()
	list := findWork(name)
	if len(list) != 1 {
		t.Fatalf("there is no work %s", name)
	}
	return list[0]
}

func TestPaceKeepsItsRate(t *testing.T) {
	w := workNamed(t, "scale-connections").at(20)
	w.rate = 500
	f := fieldOf(t, w)
	r, err := f.runRound(t.Context(), f.peers[0])
	if err != nil {
		t.Fatal(err)
	}
	if r.Load.Requests != 1000 || r.Load.P99 < r.Load.P50 || r.Load.P50 <= 0 || r.Rate != 500 || r.CPU <= 0 {
		t.Errorf("got %+v, want the 1000 requests of two seconds", r)
	}
}

func TestRateIsHalfOfTheSlowest(t *testing.T) {
	f := fieldOf(t, workNamed(t, "halfrate"))
	if f.rate < 100 || f.rate > 1e6 {
		t.Errorf("half of what nginx serves is %.0f requests per second", f.rate)
	}
}

func TestHeldConnectionsAreMeasured(t *testing.T) {
	before, after := beforeLoad, usualSettling
	beforeLoad = settling{every: 20 * time.Millisecond, steady: 3, within: 0.005, most: 100}
	usualSettling = beforeLoad
	defer func() { beforeLoad, usualSettling = before, after }()
	w := workNamed(t, "idle")
	w.connections = 2000
	f := fieldOf(t, w)
	r, err := f.runRound(t.Context(), f.peers[0])
	if err != nil {
		t.Fatal(err)
	}
	// nginx keeps some hundred bytes for each; wide bounds that a wrong unit would miss.
	if r.Memory < 50 || r.Memory > 20_000 {
		t.Errorf("%.0f bytes for each of 2000 connections of nginx", r.Memory)
	}
}

func TestStartIsMeasured(t *testing.T) {
	f := fieldOf(t, workNamed(t, "start"))
	r, err := f.runRound(t.Context(), f.peers[0])
	if err != nil || r.Start <= time.Millisecond/10 || r.Start > 10*time.Second {
		t.Errorf("%v, %v", r.Start, err)
	}
}

func TestCheapAtRestIsSubtracted(t *testing.T) {
	r := round{CPU: time.Second, Quiet: 0.1, Load: load{Requests: 10_000, Took: 4 * time.Second}}
	if r.perRequest() != 100 || math.Abs(r.perRequestNet()-60) > 1e-9 {
		t.Errorf("%v and %v us, want 100, and 60 without the 0.4 s of checks", r.perRequest(), r.perRequestNet())
	}
}

func TestLoadOfNobodySaysWhy(t *testing.T) {
	_, err := startGenerator(t.Context(), nil, openloop.Plan{Address: "127.0.0.1:1", Connections: 1, Rate: 1})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startGenerator(ctx, nil, openloop.Plan{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = 1
	}
	n, err := treeMemory(os.Getpid())
	if err != nil || n < int64(len(held)) || n > 16<<30 {
		t.Errorf("%d bytes, %v; 64 MiB are held", n, err)
	}
	_ = held[len(held)-1]
	if _, err := parsePSS([]byte("Rss: 3 kB\n")); err == nil {
		t.Error("no Pss is no error")
	}
	if n, err := parsePSS([]byte("00400000-7ffc [rollup]\nRss:  9 kB\nPss:      12 kB\nPss_Dirty: 4 kB\n")); n != 12<<10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestStraceTable(t *testing.T) {
	const table = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 40.00    0.500000           1      2000       500 read
 35.00    0.400000           1      1000           write
  0.00    0.000000           0         1           mmap
------ ----------- ----------- --------- --------- ----------------
100.00    0.900000           1      3001       500 total
`
	c, err := callsPer(1000, "nginx", []byte(table))
	if err != nil || c.Each["read"] != 2 || c.Each["write"] != 1 || math.Abs(c.total()-3.001) > 1e-9 {
		t.Errorf("%+v, %v", c, err)
	}
	var out strings.Builder
	printCalls(&out, "small", []calls{c, {Peer: "sluice", Each: map[string]float64{"read": 1.5}}})
	for _, part := range []string{"read   2.00    1.50", "all   3.00    1.50"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
	if strings.Contains(out.String(), "mmap") {
		t.Error("a call that nobody makes per request is shown")
	}
	if _, err := callsPer(1, "nginx", []byte("strace: attach: Operation not permitted\n")); err == nil {
		t.Error("nothing counted is no error")
	}
}

// TestCallsAreCounted traces nginx for a second.
func TestCallsAreCounted(t *testing.T) {
	needs(t, "strace")
	f := fieldOf(t, works()[0])
	c, err := f.callsOf(t.Context(), f.peers[0])
	if err != nil && strings.Contains(err.Error(), "not permitted") {
		t.Skip("tracing is not allowed here")
	}
	if err != nil || c.total() < 2 || c.total() > 100 {
		t.Errorf("%+v, %v: want a few calls per request", c, err)
	}
}
