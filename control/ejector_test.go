package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
	"sluice/upstream"
)

// ejecting is a world of a service whose backends are up, and that ejects for errors and latency too.
func ejecting(t *testing.T, service string, adjust func(*world)) *world {
	w := newWorld(t, service)
	file := &w.cfg.Services[0]
	file.Eject = limits
	for _, b := range file.Pools[0].Backends {
		w.servers.up("v1", b.Address)
	}
	if adjust != nil {
		adjust(w)
	}
	w.mustStart()
	t.Cleanup(w.c.Close)
	synctest.Wait()
	w.heard()
	return w
}

// fails lets requests fail at a backend, as the proxy counts them.
func (w *world) fails(k Key, n int) {
	w.t.Helper()
	s, ok := w.c.now.Load().built.services[k.Service].stay(k)
	if !ok {
		w.t.Fatalf("%s takes no requests", k)
	}
	for range n {
		s.watch.Failed(time.Now())
	}
	synctest.Wait()
	time.Sleep(2 * lookGap)
	synctest.Wait()
}

func (w *world) takes(k Key) bool {
	svc := w.proxy.Snapshot().Route(nil, []byte("/"+k.Service))
	for _, b := range svc.Live.Backends() {
		if b.Name == k.Backend && b.Pool == k.Pool {
			return true
		}
	}
	return false
}

func kinds(events []Event, kind string) (texts []string) {
	for _, e := range events {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func TestFailuresEject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1,a:2", nil)
		k, generation, saves := backend(0), w.c.Generation(), w.disk.saves
		w.fails(k, 4)
		if !w.takes(k) {
			t.Error("four failures are not five")
		}
		w.fails(k, 1)
		if w.takes(k) || w.c.State().Backend(k).Admin != Ready {
			t.Errorf("after five:\n%s", describe(w.c.State()))
		}
		s, _ := w.c.ServiceStatus("web")
		b := s.Pools[0].Backends[0]
		if b.Ejected == nil || b.Ejected.Times != 1 || b.Ejections != 1 || b.Ejected.Until.Sub(b.Ejected.Since) != 10*time.Second ||
			b.Health != healthcheck.Up || s.Pools[0].Eligible != 2 {
			t.Errorf("status %+v %+v", b, b.Ejected)
		}
		if got := kinds(w.heard(), "eject"); len(got) != 1 || got[0] != "web/blue/a:0 is ejected for 10s: 5 requests in a row failed" {
			t.Errorf("told %q", got)
		}
		w.fails(backend(1), 50)
		if !w.takes(backend(1)) {
			t.Error("a second one of three is more than half")
		}
		time.Sleep(9 * time.Second)
		if w.takes(k) {
			t.Error("back before its time")
		}
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if !w.takes(k) || w.takes(backend(1)) {
			t.Error("the first is not back, or the other that fails is still in: there was room for it")
		}
		if got := kinds(w.heard(), "eject"); len(got) != 2 || !strings.HasPrefix(got[0], "web/blue/a:0 is no longer ejected, after 10") {
			t.Errorf("told %q", got)
		}
		if w.c.Generation() != generation || w.disk.saves != saves {
			t.Error("an ejection is no decision, and is not saved")
		}
	})
}

// TestReturnNeedsAPass: it stays out while its checks fail, also those that do not bring it down.
func TestReturnNeedsAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1,a:2", func(w *world) { w.cfg.Services[0].Health.Fall = 100 })
		w.fails(backend(0), 5)
		w.servers.down("it says 500", "a:0")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if w.takes(backend(0)) || w.c.State().Backend(backend(0)).Health.State != healthcheck.Up {
			t.Errorf("it is back although no check passes:\n%s", describe(w.c.State()))
		}
		w.servers.up("v1", "a:0")
		time.Sleep(time.Second)
		synctest.Wait()
		if !w.takes(backend(0)) {
			t.Error("it passed, and is still out")
		}
	})
}

func TestReturnWithoutChecksIsByTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web unchecked=yes blue=a:0,a:1", nil)
		w.fails(backend(0), 5)
		if w.takes(backend(0)) {
			t.Fatal("it is in")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !w.takes(backend(0)) {
			t.Error("it is still out")
		}
	})
}

// TestFlapping: one that fails whenever it is back is out for longer each time, up to the longest; the pool is never
// without the other one, and it is forgiven in the end.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1", nil)
		k := backend(0)
		var out []time.Duration
		for range 8 {
			w.fails(k, 5)
			began := time.Now()
			for w.c.State().Backend(k).Ejection.Out() {
				time.Sleep(time.Second)
			}
			out = append(out, time.Since(began).Round(10*time.Second))
		}
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300, 300} {
			if out[i] != want*time.Second {
				t.Errorf("absences %v", out)
				break
			}
		}
		time.Sleep(time.Hour)
		w.fails(k, 5)
		if e := w.c.State().Backend(k).Ejection; e.Times != 1 || e.Total != 9 {
			t.Errorf("after an hour of good behaviour: %+v", e)
		}
	})
}

// TestEvidenceOfAnEarlierStay: what was counted before a drain says nothing after it, and what fails while it drains
// counts for nothing.
func TestEvidenceOfAnEarlierStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1,a:2", nil)
		k := backend(0)
		w.fails(k, 4)
		old := w.c.now.Load().built.services["web"].stays[k].watch
		setAdminNow(t, w, "a:0", Drain)
		for range 100 {
			old.Failed(time.Now())
		}
		time.Sleep(time.Second)
		setAdminNow(t, w, "a:0", Ready)
		synctest.Wait()
		time.Sleep(5 * time.Second)
		w.fails(k, 4)
		if !w.takes(k) || w.c.State().Backend(k).Ejection.Total != 0 {
			t.Errorf("ejected: %+v", w.c.State().Backend(k).Ejection)
		}
	})
}

// TestReadyEndsAnEjection, once a check has passed: the operator knows that the server was mended.
func TestReadyEndsAnEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1", nil)
		w.fails(backend(0), 5)
		over(t, setAdminNow(t, w, "a:0", Drain))
		if r := over(t, setAdminNow(t, w, "a:0", Ready)); !r.Done || !w.takes(backend(0)) {
			t.Errorf("%s", r)
		}
	})
}

// TestTheOtherOneGoesDown: the ejected one comes back in the same step, so that no request finds nobody.
func TestTheOtherOneGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1", nil)
		w.fails(backend(0), 5)
		stop := make(chan struct{})
		done := make(chan error, 1)
		go func() { done <- claimAllTheTime(w, stop) }()
		setAdminNow(t, w, "a:1", Drain)
		close(stop)
		if err := <-done; err != nil || !w.takes(backend(0)) {
			t.Errorf("%v; it takes requests: %v", err, w.takes(backend(0)))
		}
		if got := kinds(w.heard(), "eject"); len(got) != 2 || got[1] != "web/blue/a:0 is no longer ejected, before its time: it is needed" {
			t.Errorf("told %q", got)
		}
		setAdminNow(t, w, "a:1", Ready)
		time.Sleep(time.Second)
		w.fails(backend(0), 5)
		w.servers.down("connection refused", "a:1")
		w.until("the other one is down", func() bool { return w.c.State().Backend(backend(1)).Health.State == healthcheck.Down })
		if !w.takes(backend(0)) {
			t.Error("nobody is left, and one is ejected")
		}
	})
}

func claimAllTheTime(w *world, stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		lease, err := w.claim("web")
		if err == upstream.ErrClosed {
			continue
		}
		if err != nil {
			return err
		}
		lease.Release()
	}
}

// refuse lets connections to a backend fail, as no server listens there.
func (w *world) refuse(k Key, n int) {
	w.t.Helper()
	up := w.c.now.Load().built.services[k.Service].open[k]
	for range n {
		lease, err := upstream.NewPool("x", upstream.RoundRobin, []*upstream.Backend{up}).Claim(&upstream.Tried{})
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := lease.Connect(w.t.Context(), time.Now(), false); err == nil {
			w.t.Fatal("somebody listens there")
		}
		lease.Release()
	}
	time.Sleep(2 * lookGap)
	synctest.Wait()
}

// nobody are addresses on which nothing listens.
const nobody = "web blue=127.0.0.1:1,127.0.0.2:1,127.0.0.3:1"

// TestRefusedConnectionIsCheckedAtOnce, and the third takes the backend out before the checks could.
func TestRefusedConnectionIsCheckedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, nobody, nil)
		k := Key{"web", "blue", "127.0.0.1:1"}
		time.Sleep(time.Second)
		before := w.asked(k.Backend)
		w.refuse(k, 1)
		time.Sleep(100 * time.Millisecond)
		if n := w.asked(k.Backend) - before; n == 0 {
			t.Error("a connection failed, and nobody checked")
		}
		if w.refuse(k, 2); w.takes(k) {
			t.Error("three connections failed, and it is in")
		}
	})
}

func (w *world) asked(address string) int {
	w.servers.mu.Lock()
	defer w.servers.mu.Unlock()
	return w.servers.asked[address]
}

// TestPassesEndTheFirstAbsence of one that refused connections, as of a server that was just started again; the second
// time it has to wait.
func TestPassesEndTheFirstAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, nobody, nil)
		k := Key{"web", "blue", "127.0.0.1:1"}
		back := func() time.Duration {
			w.servers.down("connection refused", k.Backend)
			w.refuse(k, 3)
			began := time.Now()
			time.Sleep(time.Second)
			w.servers.up("v1", k.Backend)
			w.until("it is back", func() bool { return w.takes(k) })
			return time.Since(began)
		}
		if took := back(); took > 4*time.Second {
			t.Errorf("the first time it was out for %s, want about two passes", took)
		}
		if took := back(); took < 19*time.Second {
			t.Errorf("the second time it was out for %s, want 20s", took)
		}
	})
}

func TestASlowBackendIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1,a:2", func(w *world) {
			e := &w.cfg.Services[0].Eject
			e.Latency, e.Above, e.Window = 4, 100*time.Millisecond, 10*time.Second
		})
		answer := func(n int, slowest time.Duration) {
			for i := range 3 {
				took := 20 * time.Millisecond
				if i == 1 {
					took = slowest
				}
				s := w.c.now.Load().built.services["web"].stays[backend(i)]
				for range n {
					s.watch.Took(took)
				}
			}
		}
		answer(leastSamples-1, time.Second)
		time.Sleep(11 * time.Second)
		if synctest.Wait(); !w.takes(backend(1)) {
			t.Error("ejected by too few answers")
		}
		answer(1, time.Second)
		time.Sleep(10 * time.Second)
		if synctest.Wait(); w.takes(backend(1)) {
			t.Error("fifty times as slow as its siblings, and in")
		}
		if got := kinds(w.heard(), "eject"); len(got) != 1 || !strings.Contains(got[0], "half of its answers take more than 1") {
			t.Errorf("told %q", got)
		}
	})
}

func TestFailOpenIsToldAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1,a:2", func(w *world) { w.cfg.Services[0].FailOpen = 50 })
		w.servers.down("it says 500", "a:0", "a:1")
		w.until("two are down", func() bool {
			s := w.c.State()
			return s.Backend(backend(0)).Health.State == healthcheck.Down && s.Backend(backend(1)).Health.State == healthcheck.Down
		})
		synctest.Wait()
		s, _ := w.c.ServiceStatus("web")
		if !w.takes(backend(0)) || !w.takes(backend(1)) || !s.Pools[0].FailOpen {
			t.Errorf("one of three is up, and the checks are believed: %+v", s.Pools[0])
		}
		told := kinds(w.heard(), "fail_open")
		if len(told) != 1 || told[0] != "fail-open: 1 of 3 ready backends of web/blue are up, and fail_open is 50%: the checks are not believed, requests go also to 2 that fail them" {
			t.Errorf("told %q", told)
		}
		w.servers.up("v1", "a:0")
		w.until("it is up", func() bool { return w.c.State().Backend(backend(0)).Health.State == healthcheck.Up })
		synctest.Wait()
		if told := kinds(w.heard(), "fail_open"); w.takes(backend(1)) || len(told) != 1 || told[0] != "the checks are believed again: 2 of 3 ready backends of web/blue are up" {
			t.Errorf("told %q", told)
		}
	})
}

// TestSlowStartBeginsWithEachStay, and shows.
func TestSlowStartBeginsWithEachStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ejecting(t, "web blue=a:0,a:1", func(w *world) { w.cfg.Services[0].SlowStart = 10 * time.Second })
		warming := func(i int) float64 {
			s, _ := w.c.ServiceStatus("web")
			return s.Pools[0].Backends[i].Warming
		}
		if warming(0) != 0.1 || warming(1) != 0.1 {
			t.Errorf("at the start: %v %v", warming(0), warming(1))
		}
		time.Sleep(5 * time.Second)
		if got := warming(0); got < 0.5 || got > 0.6 {
			t.Errorf("after five seconds: %v", got)
		}
		time.Sleep(5 * time.Second)
		if warming(0) != 0 {
			t.Errorf("after ten: %v", warming(0))
		}
		w.fails(backend(0), 5)
		w.until("it is back", func() bool { return w.takes(backend(0)) })
		if warming(0) > 0.15 || warming(0) == 0 || warming(1) != 0 {
			t.Errorf("after an ejection: %v %v", warming(0), warming(1))
		}
	})
}
