package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRetire takes v41 out for good: it is blocked by what still serves it, one after the other, and then it never serves
// again, not even after a kill -9.
func TestRetire(t *testing.T) {
	t.Parallel()
	blue, green := startFronted(t, "v41"), startFronted(t, "v42")
	services := fmt.Sprintf("services:\n  web:\n    live: blue\n    pools:\n      blue: [%s]\n      green: [%s]\n"+
		"    health: {path: /health, interval: 300ms, timeout: 250ms, on_change: accept}\n    drain: {timeout: 30s, stream: 6s, websocket: 6s}\n", blue.address, green.address)
	s := newSluice(t, services).start()
	s.awaitRelease("v41")
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })
	blocked := func(why string, exit int, words ...string) {
		t.Helper()
		out, code := s.cli("retire", "web", "v41")
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in %s", why, w, out)
			}
		}
		if code != exit {
			t.Errorf("%s: exit %d: %s", why, code, out)
		}
	}
	blocked("it is live", 1, "blue/"+blue.address+" is up and reports v41, and takes the traffic")
	if hold, why := s.holds("v41"); !hold {
		t.Errorf("it is live, and need not be held: %s", why)
	}

	tunnel := s.enter("tunnel", "GET /echo HTTP/1.1\nConnection: Upgrade\nUpgrade: echo", "")
	s.await("the tunnel is inside", func() bool { return s.inside("").Total == 1 })
	s.must("flip", "web", "green", "--no-wait")
	blocked("a rollback goes to it", 1, "reports v41, and a rollback goes to it", "1 tunnel inside of blue/")

	// Another build takes the place of the old one; the tunnel is still of v41.
	blue.become("v43")
	s.await("v43 is seen", func() bool { return s.backend(blue.address)["release"] == "v43" })
	s.must("lease", "worker-1", "--release", "v41", "--ttl", "8s")
	s.must("lease", "worker-2", "--release", "v42", "--ttl", "1h")
	blocked("a tunnel and a worker", 1, "1 tunnel inside of blue/", "at the latest", "lease: lease worker-1")
	status, answer := s.post("/v1/services/web/retire?release=v41")
	blockers, _ := answer["blockers"].([]any)
	if status != http.StatusConflict || answer["type"] != "urn:sluice:problem:blocked" || len(blockers) != 2 {
		t.Fatalf("%d %v", status, answer)
	}
	for _, b := range blockers {
		ends, err := time.Parse(time.RFC3339, fmt.Sprint(b.(map[string]any)["ends"]))
		if left := time.Until(ends); err != nil || left <= 0 || left > 9*time.Second {
			t.Errorf("%v: ends in %s", b, left)
		}
	}
	if hold, why := s.holds("v41"); !hold || !strings.Contains(why, "tunnel") {
		t.Errorf("hold %v: %s", hold, why)
	}

	// Nobody knows what a silent backend is.
	blue.become("")
	s.await("it is silent", func() bool { return s.backend(blue.address)["release"] == nil })
	out, code := s.cli("retire", "web", "v41", "--wait", "10s")
	if code != 3 || !strings.Contains(out, "waiting for:") || !strings.Contains(out, "reports no release (unknown)") {
		t.Errorf("a silent backend: exit %d: %s", code, out)
	}
	if strings.Contains(out[strings.Index(out, "in the way:"):], "tunnel") || strings.Contains(out[strings.Index(out, "in the way:"):], "lease worker") {
		t.Errorf("the tunnel was cut and the lease is over by now: %s", out)
	}
	io.Copy(io.Discard, tunnel.conn)

	blue.become("v43")
	if out := s.must("retire", "web", "v41", "--wait", "10s", "--note", "drops username"); !strings.Contains(out, "retire web: unused → retired (release v41)") {
		t.Errorf("%s", out)
	}
	if out := s.must("retire", "web", "v41"); !strings.Contains(out, "already retired") {
		t.Errorf("%s", out)
	}
	if hold, why := s.holds("v41"); hold {
		t.Errorf("it is retired, and held: %s", why)
	}
	if out := s.must("history", "web"); !strings.Contains(out, "(release v41)") || !strings.Contains(out, "drops username") {
		t.Errorf("%s", out)
	}

	blue.become("v41")
	for _, when := range []string{"at once", "after a kill -9"} {
		s.await("it is refused "+when, func() bool { return s.backend(blue.address)["reason_kind"] == "retired" })
		if reason := s.backend(blue.address)["reason"]; reason != "release v41 is retired" {
			t.Errorf("%s: %v", when, reason)
		}
		for _, args := range [][]string{{"flip", "web", "blue"}, {"rollback", "web"}, {"rollback", "web", "--force", "--note", "x"}, {"flip", "web", "blue", "--release", "v41"}} {
			if out, code := s.cli(args...); code != 1 || !strings.Contains(out, "retired") {
				t.Errorf("%s: %v: exit %d: %s", when, args, code, out)
			}
		}
		if status, answer := s.post("/v1/services/web/rollback"); status != http.StatusConflict || answer["type"] != "urn:sluice:problem:retired" {
			t.Errorf("%s: %d %v", when, status, answer)
		}
		if out, code := s.cli("lease", "worker-3", "--release", "v41"); code != 1 || !strings.Contains(out, "release v41 of web is retired") {
			t.Errorf("%s: a worker of it: exit %d: %s", when, code, out)
		}
		if out := s.must("status"); !strings.Contains(out, "retired   v41") || !strings.Contains(out, "NOT READY") {
			t.Errorf("%s: %s", when, out)
		}
		if out := s.must("lease"); !strings.Contains(out, "worker-2") || strings.Contains(out, "worker-1") {
			t.Errorf("%s: %s", when, out)
		}
		s.awaitRelease("v42")
		s.kill()
		s.start()
	}
}

func (s *sluice) holds(release string) (hold bool, why string) {
	s.t.Helper()
	status, answer := s.get("/v1/services/web/hold/" + release)
	if status != 200 {
		s.t.Fatalf("%d %v", status, answer)
	}
	return answer["hold"].(bool), answer["why"].(string)
}

// TestRetireUnderTraffic: nothing is lost, and no request that began after the receipt is answered by the retired release,
// whatever is tried.
func TestRetireUnderTraffic(t *testing.T) {
	t.Parallel()
	blue, green := startFronted(t, "v41"), startFronted(t, "v42")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v41")
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })
	traffic := s.gets()
	s.await("v41 is asked", func() bool { return blue.asked.Load() > 100 })
	s.must("flip", "web", "green", "--no-wait")
	blue.become("v43")
	s.must("retire", "web", "v41", "--wait", "20s")
	retired := time.Now()
	blue.become("v41")
	s.await("it is refused", func() bool { return s.backend(blue.address)["reason_kind"] == "retired" })
	for _, args := range [][]string{{"rollback", "web"}, {"flip", "web", "blue"}, {"ready", "web", blue.address, "--wait", "--timeout", "2s"}} {
		if out, code := s.cli(args...); code == 0 {
			t.Errorf("%v: %s", args, out)
		}
	}
	if old, is := traffic.AnsweredBy("v41", retired), traffic.AnsweredBy("v42", retired); old != 0 || is == 0 {
		t.Errorf("%d answers of v41 to requests that began after the receipt, and %d of v42", old, is)
	}
	s.noneLost(traffic)
}
