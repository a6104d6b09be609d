package e2e

import (
	"fmt"
	"testing"
	"time"

	"sluice/demo"
)

func onePool(apps ...*app) string {
	list := ""
	for i, a := range apps {
		if i > 0 {
			list += ", "
		}
		list += a.address
	}
	return fmt.Sprintf("services:\n  web:\n    backends: [%s]\n    health: {path: /health, interval: 500ms, timeout: 400ms}\n%s", list, quickDrains)
}

// TestRollingRestartLosesNothing ends each app abruptly the moment `drain --wait` says that it is empty.
func TestRollingRestartLosesNothing(t *testing.T) {
	apps := []*app{startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v1", "127.0.0.1:0")}
	s := newSluice(t, onePool(apps...)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	for round := 2; round <= 3; round++ {
		for i, a := range apps {
			time.Sleep(500 * time.Millisecond)
			t.Log(s.must("drain", "web", a.address, "--wait"))
			if n := a.inside(); n != 0 {
				t.Errorf("%d inside of app %d when drain --wait said that it is empty", n, i)
			}
			a.kill()
			apps[i] = startApp(t, fmt.Sprintf("v%d", round), a.address)
			s.must("ready", "web", a.address, "--wait")
		}
	}
	time.Sleep(time.Second)
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	for class, c := range counts.Classes {
		if c.Release != "v3" && class != demo.Stream {
			t.Errorf("%s was answered last by %s", class, c.Release)
		}
	}
}

// TestKilledBackendCostsOnlyWhatWasSent kills one of three backends: requests that may be sent twice are saved by a
// retry, and others fail only if they had been sent.
func TestKilledBackendCostsOnlyWhatWasSent(t *testing.T) {
	apps := []*app{startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v1", "127.0.0.1:0")}
	s := newSluice(t, onePool(apps...)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	for range 4 {
		time.Sleep(1500 * time.Millisecond)
		apps[0].kill()
		time.Sleep(1500 * time.Millisecond)
		apps[0] = startApp(t, "v1", apps[0].address)
		s.await("it is up again", func() bool { return s.backendHealth(apps[0].address) == "up" })
	}
	counts := traffic.Stop()
	s.report(counts, traffic)
	for _, class := range []demo.Class{demo.Slow, demo.Close} {
		if n := counts.Classes[class].Lost; n != 0 {
			t.Errorf("%d lost of %s, which a retry saves", n, class)
		}
	}
	for _, r := range traffic.Lost() {
		// A GET whose answer was too large to be held whole may break off in the middle, and only there.
		if fault, ok := r.Err.(*demo.Fault); r.Class == demo.Get && (!ok || fault.Kind != demo.Short && fault.Kind != demo.Reset) {
			t.Errorf("%s: %v, which a retry saves", r.Class, r.Err)
		}
		if fault, ok := r.Err.(*demo.Fault); ok && (fault.Kind == demo.Refused || fault.Kind == demo.Mixed || fault.Kind == demo.Twice) {
			t.Errorf("%s: %v", r.Class, r.Err)
		}
	}
}

// backendHealth is what status says of a backend.
func (s *sluice) backendHealth(address string) string {
	_, status := s.get("/v1/status")
	for _, service := range status["services"].([]any) {
		for _, pool := range service.(map[string]any)["pools"].([]any) {
			for _, b := range pool.(map[string]any)["backends"].([]any) {
				if b := b.(map[string]any); b["address"] == address {
					return b["health"].(string)
				}
			}
		}
	}
	return ""
}
