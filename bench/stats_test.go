package main

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	values := []float64{9, 1, 5}
	median(values)
	if values[0] != 9 {
		t.Error("the caller's rounds were put into another order")
	}
}

func TestSpread(t *testing.T) {
	if got := spreadOf([]float64{9, 1, 5}); got != (spread{Median: 5, Min: 1, Max: 9}) {
		t.Errorf("got %+v", got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("of nothing: got %+v", got)
	}
}

// rounds makes one round per value, of so many microseconds per request.
func rounds(peer string, us ...int) []round {
	var all []round
	for i, n := range us {
		all = append(all, round{Round: i + 1, Peer: peer, CPU: time.Duration(n) * time.Millisecond, Load: load{Requests: 1000, Took: time.Second}})
	}
	return all
}

func join(parts ...[]round) []round {
	var all []round
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestRatio(t *testing.T) {
	for _, c := range []struct {
		reason  string
		rounds  []round
		against string
		medians float64
		round   float64
		ok      bool
	}{
		{"nginx is better", join(rounds("sluice", 20, 22, 24), rounds("nginx", 20, 20, 40), rounds("haproxy", 30, 30, 30)), "nginx", 1.1, 1, true},
		{"haproxy is better", join(rounds("haproxy", 10, 10), rounds("sluice", 15, 15), rounds("nginx", 30, 30)), "haproxy", 1.5, 1.5, true},
		{"only one to compare with", join(rounds("sluice", 15), rounds("haproxy", 30)), "haproxy", 0.5, 0.5, true},
		{"nobody to compare with", rounds("sluice", 15), "", 0, 0, false},
		{"no sluice", rounds("nginx", 15), "", 0, 0, false},
		{"nothing", nil, "", 0, 0, false},
	} {
		got, ok := cost.ratioOf(c.rounds, writtenInC)
		if ok != c.ok || got.Against != c.against || math.Abs(got.Medians-c.medians) > 1e-9 || math.Abs(got.PerRound.Median-c.round) > 1e-9 {
			t.Errorf("%s: got %+v, %v", c.reason, got, ok)
		}
	}
}

func TestMaxRatio(t *testing.T) {
	r := report{Works: []result{{Work: "small", Unit: cost.unit, figure: cost, Rounds: join(rounds("sluice", 22), rounds("nginx", 20))}}}
	for _, c := range []struct {
		limit float64
		fails bool
	}{{0, false}, {1.2, false}, {1.05, true}} {
		err := r.finish(options{maxRatio: c.limit})
		if (err != nil) != c.fails {
			t.Errorf("--max-ratio %v with a ratio of 1.1: %v", c.limit, err)
		}
		if err != nil && !strings.Contains(err.Error(), "1.10 times the us CPU/request of nginx") {
			t.Errorf("it says %q, want the ratio and the peer", err)
		}
	}
}

func TestReportTable(t *testing.T) {
	res := result{Work: "small", About: "about", Place: "here", Goal: 1.1, Unit: cost.unit, figure: cost,
		Rounds: join(rounds("sluice", 22, 24, 23), rounds("nginx", 20, 20, 20))}
	var out strings.Builder
	res.print(&out)
	for _, part := range []string{
		"work small: about\nhere\n",
		"sluice           23.00  22.00  24.00        1000",
		"sluice / nginx: 1.15 by medians; by round 1.15 (1.10 to 1.20)", "goal 1.10: missed",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in:\n%s", part, out.String())
		}
	}
	if strings.Contains(out.String(), "warning") {
		t.Errorf("a quiet run has a warning:\n%s", out.String())
	}
	res.Goal, res.Rounds[0].Steal, res.Rounds[1].Other = 1.2, 0.25, 0.5
	out.Reset()
	res.print(&out)
	for _, part := range []string{"goal 1.20: met", "up to 25% of a round's time was stolen", "up to 50% of a round's time on the proxy's cores"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in:\n%s", part, out.String())
		}
	}
}

func TestUnwritableFileIsAnError(t *testing.T) {
	if err := (report{}).finish(options{json: "/nonexistent/out.json"}); err == nil {
		t.Error("the numbers were lost without a word")
	}
}

func TestDisturbed(t *testing.T) {
	for _, c := range []struct {
		reason string
		round  round
		want   bool
	}{
		{"quiet", round{Steal: 0.01, Other: 0.02}, false},
		{"a neighbour took a fifth", round{Steal: 0.2}, true},
		{"another program ran on the proxy's core", round{Other: 0.3}, true},
		{"a slow figure alone is no reason: that would be choosing", round{CPU: time.Hour, Load: load{Requests: 1}}, false},
	} {
		if got := c.round.disturbed(); got != c.want {
			t.Errorf("%s: got %v", c.reason, got)
		}
	}
}

func TestCompare(t *testing.T) {
	before := sight{}
	after := sight{tree: 6 * time.Second, proxy: coreTime{busy: 7 * time.Second, idle: 3 * time.Second}, all: coreTime{busy: 15 * time.Second, idle: 4 * time.Second, steal: time.Second}}
	f := &field{}
	got := f.compare(load{Requests: 1_000_000}, before, after)
	if got.perRequest() != 6 || got.Idle != 0.3 || math.Abs(got.Other-0.1) > 1e-9 || got.Steal != 0.05 {
		t.Errorf("got %+v: want 6 us, 30%% idle, 10%% of the core unexplained, 5%% stolen", got)
	}
	f.place.shared = true
	if got := f.compare(load{Requests: 1}, before, after); got.Other != 0 || got.Idle != 0 {
		t.Errorf("got %+v: on shared cores the load would be counted as something else", got)
	}
}

func TestWorks(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range works() {
		if w.name == "" || w.about == "" || w.connections < 1 || w.proxyCPUs < 1 || w.measure == nil || w.figure.of == nil || w.goal == 0 || seen[w.name] {
			t.Errorf("a work is incomplete or there twice: %+v", w)
		}
		seen[w.name] = true
	}
	if all, err := findWorks("all"); err != nil || len(all) != len(seen) {
		t.Errorf("all is %d works, %v; there are %d", len(all), err, len(seen))
	}
}

// TestDocumentListsTheWorks keeps the table of docs/benchmarks.md to what can be run.
func TestDocumentListsTheWorks(t *testing.T) {
	text, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range works() {
		if !strings.Contains(string(text), "| `"+w.name+"` |") {
			t.Errorf("docs/benchmarks.md does not tell of the work %s", w.name)
		}
	}
}
