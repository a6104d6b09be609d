package main

import (
	"strings"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	memoryRounds := func(bytes ...float64) (all []round) {
		for i, b := range bytes {
			all = append(all, round{Round: i + 1, Peer: "sluice", Memory: b})
		}
		return all
	}
	sized := func(size int, us ...int) []round {
		all := rounds("sluice", us...)
		for i := range all {
			all[i].Size = size
		}
		return all
	}
	for _, c := range []struct {
		reason string
		res    result
		says   string
		met    bool
	}{
		{"a ratio on its goal", result{figure: cost, Goal: 1.1, Rounds: join(rounds("sluice", 22), rounds("nginx", 20))}, "sluice / nginx: 1.10", true},
		{"a ratio above it", result{figure: cost, Goal: 1, Rounds: join(rounds("sluice", 22), rounds("nginx", 20))}, "sluice / nginx: 1.10", false},
		{"HAProxy that is told to splice is not the measure", result{figure: cost, Goal: 1, Rounds: join(rounds("sluice", 9), rounds("haproxy", 10), rounds("haproxy-splice", 5))},
			"sluice / haproxy: 0.90", true},
		{"proxies in Go are not what a ratio is about", result{figure: cost, Goal: 1, Rounds: join(rounds("sluice", 22), rounds("nginx", 44), rounds("caddy", 1))}, "sluice / nginx: 0.50", true},
		{"memory is judged alone", result{figure: memory, Unit: memory.unit, Goal: 4, Rounds: memoryRounds(3<<10, 4<<10, 9<<10)}, "sluice: 4.00 KiB/connection", true},
		{"too much of it", result{figure: memory, Unit: memory.unit, Goal: 4, Rounds: memoryRounds(5 << 10)}, "sluice: 5.00 KiB/connection", false},
		{"the start", result{figure: starting, Unit: starting.unit, Goal: 50, Rounds: []round{{Peer: "sluice", Start: 51 * time.Millisecond}}}, "51.00 ms", false},
		{"a cost that stays", result{figure: netCost, Goal: 1.1, Sizes: []int{1, 10}, Rounds: join(sized(1, 20), sized(10, 21))}, "sluice at 10 / at 1: 1.05", true},
		{"a cost that grows", result{figure: netCost, Goal: 1.1, Sizes: []int{1, 10}, Rounds: join(sized(1, 20), sized(10, 30))}, "sluice at 10 / at 1: 1.50", false},
	} {
		v, ok := c.res.judge()
		if !ok || !strings.Contains(v.String(), c.says) || v.met() != c.met {
			t.Errorf("%s: got %q, %v", c.reason, v, ok)
		}
	}
	for reason, res := range map[string]result{
		"nobody to compare with":               {figure: cost, Rounds: rounds("sluice", 1)},
		"no sluice":                            {figure: memory, Rounds: rounds("nginx", 1)},
		"more is subtracted than was measured": {figure: netCost, Sizes: []int{1, 10}, Rounds: join(sized(1, 20), sized(10, -5))},
		"one size only":                        {figure: netCost, Sizes: []int{1, 10}, Rounds: sized(1, 20)},
	} {
		if v, ok := res.judge(); ok {
			t.Errorf("%s: got %q", reason, v)
		}
	}
}

func TestTableOfGoals(t *testing.T) {
	sized := join(rounds("sluice", 20), rounds("sluice", 21))
	sized[0].Size, sized[1].Size = 1, 1000
	r := report{Works: []result{
		{Work: "small", Unit: cost.unit, figure: cost, Goal: 0.95, Rounds: join(rounds("caddy", 80), rounds("nginx", 20), rounds("sluice", 18))},
		{Work: "scale-backends", Unit: netCost.unit, figure: netCost, Goal: 1.1, Sizes: []int{1, 1000}, Rounds: sized},
		{Work: "idle", Unit: memory.unit, figure: memory, Goal: 4, Rounds: []round{{Peer: "nginx", Memory: 1024}}},
	}}
	var out strings.Builder
	r.printGoals(&out)
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, part := range []string{
		"work sluice nginx caddy unit got goal", "small 18.00 20.00 80.00 us CPU/request 0.90 0.95 met",
		"scale-backends 20.00 > 21.00 us CPU/request 1.05 1.10 met", "idle 1.00 KiB/connection",
		"small: sluice is 4.44 times cheaper than caddy; goal 4: met",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
}

// TestOneWorkThatFailsLeavesTheOthers: a run of half an hour must not be lost to one of its works.
func TestOneWorkThatFailsLeavesTheOthers(t *testing.T) {
	needs(t, "wrk", "nginx", "taskset")
	broken := works()[0]
	broken.name, broken.proxyCPUs = "broken", 1<<20 // more cores than there are
	start := workNamed(t, "start")
	p, _ := findPeer(nil, "nginx")
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	openToNginx(t, dir)
	var r report
	var out strings.Builder
	err = r.measure(t.Context(), options{rounds: 1, seconds: 1, works: []work{broken, start}}, []server{p}, dir, cpus, &out)
	if err == nil || !strings.Contains(err.Error(), "work broken: ") || !strings.Contains(out.String(), "failed: ") {
		t.Errorf("got %v", err)
	}
	if len(r.Works) != 1 || r.Works[0].Work != "start" {
		t.Errorf("%d works were kept, want the one that did not fail", len(r.Works))
	}
}
