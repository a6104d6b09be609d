package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// pageApp is an app that serves a page which names its release, and of all assets only those of its own.
func pageApp(t *testing.T, release, address string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"version": %q}`, release) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s assets/app-%s.js\n%s", release, release, strings.Repeat(release, 5000))
	})
	mux.HandleFunc("GET /assets/app-"+release+".js", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, asset(release)) })
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), func() { server.Close() }
}

// TestAssetsOfAppsAfterFlips: apps are flipped under visitors who load a page and then its asset. Each finds it, of whatever
// release the page was, until the release before is retired; then it is asked no more, though it runs.
func TestAssetsOfAppsAfterFlips(t *testing.T) {
	t.Parallel()
	blue, stopBlue := pageApp(t, "v1", "127.0.0.1:0")
	green, _ := pageApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    pools: {blue: [%s], green: [%s]}\n    assets: /assets/*\n    health: {path: /health, interval: 100ms}\n", blue, green)).start()
	s.await("v1 is served", func() bool { return s.page() == "v1" })
	s.await("green is up", func() bool { return strings.Contains(s.must("status"), "green armed") })
	if status, _, _ := s.fetch("/assets/app-v2.js"); status != 404 {
		t.Errorf("an asset of a release that was not live yet: %d", status)
	}
	load := s.visit(4)
	names, pools := [2]string{"v1", "v2"}, [2]string{"blue", "green"}
	flips := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) || flips%2 == 0; time.Sleep(30 * time.Millisecond) {
		flips++
		if status, answer := s.post("/v1/services/web/flip?pool=" + pools[flips%2]); status/100 != 2 {
			t.Fatalf("flip: %d %v", status, answer)
		}
		if got := s.page(); got != names[flips%2] {
			t.Fatalf("%s answers after the flip to %s", got, names[flips%2])
		}
	}
	load.end(t)
	earlier := s.metric(`sluice_assets_from_previous_total{service="web"}`)
	if earlier == 0 {
		t.Error("no page of before asked for its asset: this run proves nothing of that")
	}
	old := func() int { status, _, _ := s.fetch("/assets/app-v1.js"); return status }
	if status := old(); status != 200 {
		t.Errorf("the asset of v1 after the flip to v2: %d", status)
	}
	stopBlue()
	s.await("v1 has gone", func() bool { _, code := s.cli("retire", "web", "v1"); return code == 0 })
	pageApp(t, "v1", blue)
	s.await("v1 is refused", func() bool {
		return strings.Contains(s.must("status"), "retired") && s.backend(blue)["reason_kind"] == "retired"
	})
	if status := old(); status != 404 {
		t.Errorf("the asset of v1 after it was retired: %d", status)
	}
	t.Logf("%d flips, %d visits, %.0f assets of the release before", flips, load.visits.Load(), earlier)
}
