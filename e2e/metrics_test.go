package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metric reads one sample of /metrics.
func (s *sluice) metric(name string) (value float64) {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			fmt.Sscan(rest, &value)
			return value
		}
	}
	s.t.Fatalf("no metric %s in\n%s", name, body)
	return 0
}

// TestNothingIsLeftBehind compares goroutines and connections before and after traffic of every class with flips.
func TestNothingIsLeftBehind(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	before := s.metric("go_goroutines")
	traffic := s.load()
	s.flipFor(4*time.Second, traffic)
	done := traffic.Stop().Total().Done
	s.await("all goroutines are gone", func() bool { return s.metric("go_goroutines") <= before+3 })
	s.await("all connections are gone", func() bool { return s.metric("sluice_connections") == 0 })
	if counted := s.metric(`sluice_requests_total{code="2xx",service="web"}`); counted < float64(done)/2 {
		t.Errorf("%v counted, and %d were done", counted, done)
	}
	s.checkAccessLog(done)
}

// checkAccessLog reads each line of the access log.
func (s *sluice) checkAccessLog(done int) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "access.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(data)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		for _, key := range []string{"time", "client", "method", "host", "path", "status", "bytes", "duration_ms", "request_id"} {
			if _, ok := entry[key]; !ok {
				s.t.Fatalf("no %s in %s", key, line)
			}
		}
		lines++
	}
	if lines < done/2 {
		s.t.Errorf("%d lines for %d requests", lines, done)
	}
}
