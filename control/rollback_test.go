package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/healthcheck"
)

const (
	blue1, green1 = "10.0.0.1:1", "10.0.0.2:1"
	twoPools      = "pools: {blue: 10.0.0.1:1, green: 10.0.0.2:1}"
)

// written is a file of services, each with lines of its own.
func written(t testing.TB, services ...string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("sluice.yaml", []byte("services:\n  "+strings.ReplaceAll(strings.Join(services, "\n"), "\n", "\n  ")))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func service(name string, lines ...string) string {
	return name + ":\n  " + strings.Join(lines, "\n  ")
}

// begin starts a process with a file in a world whose servers are up.
func (w *world) begin(services ...string) {
	w.t.Helper()
	w.cfg = written(w.t, services...)
	w.servers.up("v41", blue1)
	w.servers.up("v42", green1)
	w.mustStart()
	synctest.Wait()
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

// again ends the process without a word, as kill -9 does, and starts another with a file.
func (w *world) again(services ...string) {
	w.t.Helper()
	w.disk = w.disk.copy()
	w.c.Close()
	w.begin(services...)
}

func (w *world) flips(to string) Receipt {
	w.t.Helper()
	op, err := w.c.Flip(w.t.Context(), "web", to, FlipWant{}, operator())
	if err != nil {
		w.t.Fatal(err)
	}
	return over(w.t, op)
}

func (w *world) rollsBack() Receipt {
	w.t.Helper()
	op, err := w.c.Rollback(w.t.Context(), "web", FlipWant{}, operator())
	if err != nil {
		w.t.Fatal(err)
	}
	return over(w.t, op)
}

func (w *world) web() ServiceStatus {
	w.t.Helper()
	s, _ := w.c.ServiceStatus("web")
	return s
}

// told are the events of some kinds since the last call.
func (w *world) told(kinds ...string) (all []string) {
	for _, e := range w.heard() {
		for _, kind := range kinds {
			if e.Kind == kind {
				all = append(all, kind+": "+e.Text)
			}
		}
	}
	return all
}

func is(t *testing.T, why string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", why, got, want)
	}
}

// inWorlds runs a test with clocks of its own.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.c.Close() }()
		test(t, w)
	})
}

// TestRollbackWindow: it begins with the flip, ends once and in the open, over a kill -9 too, and what it ends is the keeping
// of the old servers and not the way back.
func TestRollbackWindow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := service("web", twoPools, "rollback: 10m")
		w.begin(file)
		w.flips("green")
		at := time.Now()
		r := w.web().Rollback
		is(t, "ready", r.State, "ready")
		is(t, "until", r.Expires.Sub(at), 10*time.Minute)
		h, _ := w.c.HoldRelease("web", "v41", 0)
		is(t, "held", h.Hold && h.Until.Equal(*r.Expires), true)
		is(t, "and says for how long", strings.HasSuffix(h.Why, "a rollback goes to it (window until "+r.Expires.UTC().Format(time.RFC3339)+")"), true)
		time.Sleep(4 * time.Minute)
		w.again(file)
		svc := w.c.State().Services["web"]
		is(t, "nothing to bring back where the file is the same", svc.Back.File == svc.Written, true)
		is(t, "until, after kill -9", w.web().Rollback.Expires.Sub(at), 10*time.Minute)
		w.heard()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		is(t, "told", strings.Join(w.told("rollback_expired", "rollback_not_ready"), "|"),
			"rollback_expired: the rollback window of web to v41 (blue) is over: its servers may be stopped; while they are up, a rollback still goes there")
		r = w.web().Rollback
		is(t, "expired", r.State, "expired")
		is(t, "not ready", r.Ready, false)
		h, _ = w.c.HoldRelease("web", "v41", 0)
		is(t, "held no more", h.Hold, false)
		is(t, "because", strings.HasPrefix(h.Why, "a rollback would go to it, but its window is over since "), true)
		h, _ = w.c.HoldRelease("web", "v41", time.Hour)
		is(t, "held in a window of the caller's", h.Hold, true)
		w.again(file)
		time.Sleep(time.Hour)
		is(t, "what was over before is not told again", len(w.told("rollback_expired")), 0)
		is(t, "still expired", w.web().Rollback.State, "expired")
		w.servers.down("stopped", blue1)
		time.Sleep(10 * time.Second)
		is(t, "stopped", w.web().Rollback.State, "not_ready")
		w.servers.up("v41", blue1)
		time.Sleep(10 * time.Second)
		is(t, "nobody counts on it", len(w.told("rollback_ready", "rollback_not_ready")), 0)
		is(t, "and still the way back works", w.rollsBack().To, "blue")
		is(t, "with a window of its own", w.web().Rollback.State, "ready")
		is(t, "which is told of", strings.Join(w.told("rollback_ready"), "|"), "rollback_ready: rollback of web is READY → v42 (green)")
	})
}

func TestRollbackWindowWithoutEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(service("web", twoPools, "rollback: off"))
		w.flips("green")
		time.Sleep(3 * time.Hour)
		is(t, "still", w.web().Rollback.State, "ready")
		is(t, "no end", w.web().Rollback.Expires == nil, true)
		h, _ := w.c.HoldRelease("web", "v41", 0)
		is(t, "held", h.Hold && h.Until == nil, true)
		_, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{}, operator())
		is(t, "in the way", refusalOf(t, err).Blockers[0].What, "blue/10.0.0.1:1 is up and reports v41, and a rollback goes to it")
		w.again(service("web", twoPools, "rollback: 4h"))
		is(t, "the file's word is that of today", w.web().Rollback.State, "ready")
		w.again(service("web", twoPools, "rollback: 1h"))
		is(t, "be it shorter", w.web().Rollback.State, "expired")
	})
}

var (
	before = service("web", twoPools, "hosts: old.test", "max_body: 1MiB", "max_connections: 3", "health: {path: /old}")
	after  = service("web", twoPools, "path: /new", "max_body: 10MiB", "health: {path: /old}")
)

// TestRollbackBringsOptionsBack: those that held before the flip, where the file has changed since; until the next flip or the
// next change of the file, and over a kill -9.
func TestRollbackBringsOptionsBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(before)
		w.flips("green")
		w.again(after)
		holds := func(why, host, path string, body int, most int) {
			t.Helper()
			svc := w.c.State().Services["web"]
			s := w.proxy.Snapshot()
			routed := s.Route([]byte(host), []byte(path))
			if routed == nil || routed.Most != int64(body)<<20 || s.Route([]byte("x.test"), []byte("/other")) != nil {
				t.Errorf("%s: routes %v, %+v", why, svc.File.Hosts, routed)
			}
			is(t, why+": max_connections of its backends", svc.Pool("blue").Backends[0].Max, most)
		}
		holds("the file", "x.test", "/new", 10, 0)
		is(t, "what would come back", strings.Join(w.web().Rollback.Options, " "), "hosts max_body max_connections path")
		check := w.c.now.Load().checks[Key{"web", "blue", blue1}]

		r := w.rollsBack()
		const text = "hosts old.test (the file says nothing), max_body 1MiB (the file says 10MiB), max_connections 3 (the file says nothing), path nothing (the file says /new)"
		is(t, "the receipt", strings.Contains(r.String(), "rollback web: green → blue (release v41) with its options: "+text), true)
		holds("rolled back", "old.test", "/any", 1, 3)
		is(t, "checks whose way did not change go on", w.c.now.Load().checks[Key{"web", "blue", blue1}] == check, true)
		d := w.web().Drift
		is(t, "drift", len(d), 4)
		is(t, "drift", d[1], Drift{"option max_body", "1MiB", "10MiB", "of v41, rolled back by operator 0s ago"})

		w.again(after)
		holds("killed", "old.test", "/any", 1, 3)
		is(t, "drift, killed", len(w.web().Drift), 4)

		w.flips("green")
		holds("flipped forward", "x.test", "/new", 10, 0)
		is(t, "no drift but of the pool", len(w.web().Drift), 1)
		w.rollsBack()
		holds("and back", "old.test", "/any", 1, 3)
		w.rollsBack()
		holds("back from the rollback", "x.test", "/new", 10, 0)
		w.rollsBack()

		w.heard()
		w.again(service("web", twoPools, "path: /newer", "max_body: 10MiB"))
		holds("another file", "x.test", "/newer", 10, 0)
		is(t, "said", strings.Join(w.told("drift"), "|"), "drift: the file says something else of web since the rollback to v41 brought back its options: the file wins")
		is(t, "blue is live as before", w.web().Live, "blue")
	})
}

// TestRollbackLooksByItsOwnChecks: a release whose health is asked for elsewhere stays in rotation while that begins.
func TestRollbackLooksByItsOwnChecks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(before)
		w.flips("green")
		w.again(strings.Replace(before, "/old", "/health", 1))
		check := w.c.now.Load().checks[Key{"web", "blue", blue1}]
		w.rollsBack()
		is(t, "in rotation at once", w.c.State().Services["web"].Pool("blue").eligible(), 1)
		now := w.c.now.Load().checks[Key{"web", "blue", blue1}]
		is(t, "another check", now != check && now.spec.Path == "/old", true)
		w.heard()
		time.Sleep(time.Minute)
		synctest.Wait()
		is(t, "without a gap", strings.Join(w.told("health"), "|"), "")
		is(t, "and looked after", now.checker.Latest().State, healthcheck.Up)
	})
}

// TestRollbackYieldsRoutes: a route that another service has by now stays there, and the rollback goes on without it.
func TestRollbackYieldsRoutes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		web := service("web", twoPools, "hosts: [a.test, b.test]", "max_body: 1MiB")
		w.begin(web)
		w.flips("green")
		other := []string{service("web", twoPools, "hosts: c.test"), service("api", "hosts: b.test", "backends: 10.0.0.9:1")}
		w.again(other...)
		const missing = "hosts and path could not come back: b.test/ belongs to api now"
		is(t, "said before", w.web().Rollback.Missing, missing)
		is(t, "ready", w.web().Rollback.State, "ready")
		r := w.rollsBack()
		is(t, "the warning", r.Warning, missing)
		is(t, "the rest came back", optionsText(r.Options), "max_body 1MiB (the file says 0B)")
		for range 2 {
			is(t, "routes of the file", strings.Join(w.web().Hosts, " "), "c.test")
			is(t, "max_body of before", w.c.State().Services["web"].File.MaxBody, 1<<20)
			w.again(other...)
		}
		w.again(other[0], service("api", "hosts: b.test", "path: /api", "backends: 10.0.0.9:1"))
		is(t, "and what was given up is not taken back later", strings.Join(w.web().Hosts, " "), "c.test")
	})
}

// TestBroughtBackRoutesAreNobodysLater: while old routes hold, the file gives one to another service, which has it.
func TestBroughtBackRoutesAreNobodysLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(service("web", twoPools, "hosts: [a.test, b.test]"), service("api", "path: /api", "backends: 10.0.0.9:1"))
		w.flips("green")
		now := service("web", twoPools, "hosts: c.test")
		w.again(now, service("api", "path: /api", "backends: 10.0.0.9:1"))
		w.rollsBack()
		is(t, "brought back", strings.Join(w.web().Hosts, " "), "a.test b.test")
		w.heard()
		w.again(now, service("api", "hosts: b.test", "backends: 10.0.0.9:1"))
		is(t, "given up", strings.Join(w.web().Hosts, " "), "c.test")
		is(t, "and said", strings.Join(w.told("drift"), "|"), "drift: of what the rollback of web to v41 brought back, hosts and path could not come back: b.test/ belongs to api now")
	})
}

// TestRollbackKeepsVisitorsOffThePreview: a host that shows what is not live is none for visitors any more.
func TestRollbackKeepsVisitorsOffThePreview(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(service("web", twoPools, "hosts: [a.test, green.test]"))
		w.flips("green")
		w.again(service("web", twoPools, "hosts: a.test", "preview: green.test"))
		r := w.rollsBack()
		is(t, "made", r.To, "blue")
		is(t, "said", r.Warning, "hosts and path could not come back: green.test belongs to web now")
	})
}

// TestRollbackWithoutItsOptions: whatever keeps the options from coming back, the rollback is made and says so.
func TestRollbackWithoutItsOptions(t *testing.T) {
	for why, row := range map[string]struct {
		spoil   func(w *world)
		missing string
	}{
		"an option that this version does not know": {
			func(w *world) {
				w.disk.state = []byte(strings.Replace(string(w.disk.state), `"max_body": "1MiB"`, `"sparkle": "1MiB"`, 1))
			},
			"the options could not come back: sparkle: unknown key `sparkle`",
		},
		"another release": {
			func(w *world) { w.servers.up("v43", blue1) },
			"the options stay those of the file: they were those of v41, and v43 is there now",
		},
		"a state of before": {
			func(w *world) {
				w.disk.state = []byte(strings.Replace(string(w.disk.state), `"way_back"`, `"way_forth"`, 1))
			}, "",
		},
	} {
		t.Run(why, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.begin(before)
				w.flips("green")
				w.disk = w.disk.copy()
				w.c.Close()
				w.cfg = written(t, after)
				w.servers.up("v41", blue1)
				row.spoil(w)
				w.mustStart()
				time.Sleep(10 * time.Second)
				r := w.rollsBack()
				is(t, "made", r.To, "blue")
				is(t, "said", r.Warning, row.missing)
				is(t, "nothing came back", len(r.Options), 0)
				is(t, "the file's", w.web().Path, "/new")
			})
		})
	}
}

// TestRollbackIsPure: the same State and way back give the same State, and neither is touched.
func TestRollbackIsPure(t *testing.T) {
	cfg := written(t, before)
	s := fill(fromFile(cfg, time.Now(), Cause{}), "v41", blue1)
	s = fill(s, "v42", green1)
	s, err := flip("web", "green", FlipWant{}, moment{})(s)
	if err != nil {
		t.Fatal(err)
	}
	svc := *s.Services["web"]
	svc.Written = &written(t, after).Services[0]
	svc.Back = svc.Back.under(svc.Written)
	s = s.with(svc.under(svc.Written))
	old := *s.Services["web"]
	for range 2 {
		next, err := rollback("web", FlipWant{}, moment{})(s)
		if err != nil {
			t.Fatal(err)
		}
		is(t, "routes", next.Services["web"].File.Hosts[0], "old.test")
		is(t, "the State of before", s.Services["web"].Pools[0] == old.Pools[0] && s.Services["web"].Pools[0].Backends[0].Max == 0 && s.Services["web"].File.Path == "/new", true)
	}
}
