package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestProbesJudgeWhereNobodyComes: a release that fails, and one that does not, are told apart without a single visitor; and
// what Sluice asked for itself is among no visitors.
func TestProbesJudgeWhereNobodyComes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		fails, both int64
		length      time.Duration
		exit        int
		state, live string
		says        string
	}{
		{"all is well", 0, 0, 3 * time.Second, 0, "passed", "green", "by probes, errors 0 % (0 of "},
		{"the new release fails", 100, 0, 30 * time.Second, 1, "rolled_back", "blue", "probes: errors 100 % ("},
		{"both fail, so it is nothing about the new one", 0, 100, 3 * time.Second, 3, "not_enough", "green", "nobody can say"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			blue, green := startBaked(t, "v1"), startBaked(t, "v2")
			blue.fails.Store(row.both)
			green.fails.Store(row.fails + row.both)
			s := newSluice(t, twoPools(blue.address, green.address)+fmt.Sprintf("    bake: {for: %s, probes: [/, {path: /front, method: HEAD}], every: 20ms}\n", row.length)).start()
			s.await("both are up", func() bool { return s.backendHealth(blue.address) == "up" && s.backendHealth(green.address) == "up" })
			if blue.asked.Load()+green.asked.Load() != 0 {
				t.Error("probes are sent before there is anything to judge")
			}
			out, code := s.cli("flip", "web", "green", "--release", "v2")
			if code != row.exit || s.live() != row.live || s.bakeState() != row.state || !strings.Contains(out, row.says) {
				t.Errorf("exit %d, %s is live, %s:\n%s", code, s.live(), s.bakeState(), out)
			}
			if blue.asked.Load() < 20 || green.asked.Load() < 20 {
				t.Errorf("blue was asked %d times, green %d", blue.asked.Load(), green.asked.Load())
			}
			s.await("probes end with the bake", func() bool {
				asked := blue.asked.Load() + green.asked.Load()
				time.Sleep(100 * time.Millisecond) // five more would come
				return blue.asked.Load()+green.asked.Load() == asked
			})
			s.hasMetric(`sluice_requests_total{code="2xx",service="web"} 0`)
			s.hasMetric(`sluice_requests_total{code="5xx",service="web"} 0`)
		})
	}
}
