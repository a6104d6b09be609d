package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestASchemaRefusesFlipAndRollback plays a migration: expand and flip, contract, and the way back that is none.
func TestASchemaRefusesFlipAndRollback(t *testing.T) {
	blue, green := startFronted(t, "v41"), startFronted(t, "v42")
	blue.database(`{"have": 811, "min": 805, "max": 812}`)
	green.database(`{"have": 811, "min": 812, "max": 813}`)
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v41")
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })

	out, code := s.cli("flip", "web", "green")
	if code != 1 || !strings.Contains(out, "green does not work with schema 811") || !strings.Contains(out, "812 to 813") || !strings.Contains(out, "migrate first") {
		t.Errorf("not migrated: exit %d: %s", code, out)
	}
	if status, answer := s.post("/v1/services/web/flip?pool=green&force=true"); status != http.StatusBadRequest || !strings.Contains(answer["detail"].(string), "note") {
		t.Errorf("forced without a reason: %d %v", status, answer)
	}

	// Expand: both releases work with 812.
	blue.database(`{"have": 812, "min": 805, "max": 812}`)
	green.database(`{"have": 812, "min": 812, "max": 813}`)
	s.must("flip", "web", "green", "--patience", "10s")
	s.awaitRelease("v42")
	s.await("rollback is ready", func() bool {
		return strings.Contains(s.must("status"), "READY → v41 (blue), 1/1 healthy, schema ok")
	})
	s.hasMetric(`sluice_rollback_ready{service="web"} 1`)
	s.must("rollback", "web")
	s.must("flip", "web", "green")

	// Contract: the old one does not work with 813.
	blue.database(`{"have": 813, "min": 805, "max": 812}`)
	green.database(`{"have": 813, "min": 812, "max": 813}`)
	s.await("rollback is not ready", func() bool { return strings.Contains(s.must("status"), "NOT READY to blue") })
	s.hasMetric(`sluice_rollback_ready{service="web"} 0`)
	s.await("it is told", func() bool { return strings.Contains(s.out.String(), "rollback of web is NOT READY any more") })
	if out, code := s.cli("rollback", "web"); code != 1 || !strings.Contains(out, "blue does not work with schema 813") {
		t.Errorf("rollback after the contraction: exit %d: %s", code, out)
	}
	status, answer := s.post("/v1/services/web/rollback")
	if status != http.StatusConflict || answer["type"] != "urn:sluice:problem:schema" {
		t.Errorf("%d %v", status, answer)
	}
	if release := s.fetchRelease(); release != "v42" {
		t.Errorf("%s answers", release)
	}
	if out, code := s.cli("rollback", "web", "--force"); code != 2 {
		t.Errorf("--force without --note: exit %d: %s", code, out)
	}
	if out := s.must("rollback", "web", "--force", "--note", "read-only until noon"); !strings.Contains(out, "forced: blue does not work with schema 813") {
		t.Errorf("%s", out)
	}
	s.awaitRelease("v41")
}

func (s *sluice) fetchRelease() string {
	_, _, header := s.fetch("/bytes/10")
	return header.Get("X-Release")
}

func (s *sluice) hasMetric(line string) {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(body), line+"\n") {
		s.t.Errorf("no metric %s", line)
	}
}
