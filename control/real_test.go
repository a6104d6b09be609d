package control

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"sluice/config"
	"sluice/journal"
	"sluice/proxy"
)

// release is a server that says which release it is, as a real one does.
type release struct {
	*httptest.Server
	version atomic.Pointer[string]
}

func newRelease(t *testing.T, version string) *release {
	r := &release{}
	r.version.Store(&version)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"ok","version":%q}`, *r.version.Load())
	}))
	t.Cleanup(r.Close)
	return r
}

// TestWithRealParts has a file, a disk, sockets and checks as the binary has them.
func TestWithRealParts(t *testing.T) {
	blue, green := newRelease(t, "v1"), newRelease(t, "v2")
	file := fmt.Sprintf(`
services:
  web:
    live: blue
    pools:
      blue: [%q]
      green: [%q]
    health: {path: /health, interval: 200ms, expect: {status: 200, json: {status: ok}}, release: version}
`, blue.Listener.Addr(), green.Listener.Addr())
	dir := t.TempDir()
	w := startReal(t, file, dir)
	w.untilUp("web", "blue")
	op, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v2"}, operator())
	if err != nil {
		t.Fatal(err)
	}
	if r := over(t, op); r.Release != "v2" || !r.Done {
		t.Errorf("%s", r)
	}
	over(t, setAdminNow(t, w.world, blue.Listener.Addr().String(), Drain))
	w.stop()

	w = startReal(t, file, dir)
	defer w.stop()
	s := w.c.State().Services["web"]
	if s.Live != "green" || s.Previous != "blue" || s.Pool("blue").Backends[0].Admin != Drain || w.c.Generation() != 3 {
		t.Errorf("after the restart:\n%s", describe(w.c.State()))
	}
	w.untilUp("web", "green")
	lease := w.mustClaim("web")
	if lease.Backend.Release != "v2" {
		t.Errorf("claimed %+v", lease.Backend)
	}
	lease.Release()
	all, err := w.c.History("", 0)
	if err != nil || len(all) != 4 || all[1].Outcome == nil || all[2].Outcome == nil || all[3].Kind != "start" {
		t.Errorf("history %+v, %v", all, err)
	}
}

type realWorld struct {
	*world
	journal *journal.Journal
}

// startReal starts a process without any fake.
func startReal(t *testing.T, file, dir string) *realWorld {
	t.Helper()
	cfg, err := config.Parse("sluice.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &realWorld{world: &world{t: t, cfg: cfg, proxy: proxy.New(proxy.Timeouts{}, nil)}, journal: j}
	w.c = New(Options{Config: cfg, Proxy: w.proxy, Journal: j, Event: w.hear})
	if err := w.c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *realWorld) stop() {
	w.c.Close()
	w.journal.Close()
}
