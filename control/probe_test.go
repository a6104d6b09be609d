package control

import (
	"fmt"
	"testing"
	"time"

	"sluice/proxy"
)

// TestProbesSeeEachPool, the one that visitors see and the one that they do not; and no drain waits for them.
func TestProbesSeeEachPool(t *testing.T) {
	blue, green := newRelease(t, "v1"), newRelease(t, "v2")
	w := startReal(t, fmt.Sprintf(`
services:
  web:
    hosts: ["*.example.com"]
    path: /shop
    live: blue
    pools: {blue: [%q], green: [%q]}
    health: {path: /health, interval: 200ms, release: version}
`, blue.Listener.Addr(), green.Listener.Addr()), t.TempDir())
	defer w.stop()
	w.untilUp("web", "blue")
	w.untilUp("web", "green")
	what := &proxy.Probe{Method: "GET", Host: "probe.example.com", Target: "/shop/x", Good: func(s int) bool { return s == 200 }, Timeout: 5 * time.Second}
	for _, pool := range []string{"blue", "green"} {
		figures := &proxy.Figures{Pool: pool}
		for range 3 {
			w.proxy.Probe(t.Context(), w.c.Probed("web", pool, figures), what)
		}
		if s := figures.Sample(); s.Requests != 3 || s.Errors != 0 {
			t.Errorf("%s: %d requests, %d errors", pool, s.Requests, s.Errors)
		}
		if s, ok := w.c.Sample("web", pool); !ok || s.Requests != 0 {
			t.Errorf("%s: %d of them are taken for visitors'", pool, s.Requests)
		}
	}
	over(t, setAdminNow(t, w.world, green.Listener.Addr().String(), Drain))
	if w.c.Probed("web", "green", &proxy.Figures{}) != nil || w.c.Probed("web", "red", nil) != nil || w.c.Probed("no", "blue", nil) != nil {
		t.Error("there is nobody to ask")
	}
	if s := w.c.Status().Services[0]; s.Traffic.Requests != 0 || s.Pools[0].Served != nil {
		t.Errorf("%+v", s.Traffic)
	}
}
