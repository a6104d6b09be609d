package control

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/upstream"
)

// withHealth changes the health of the first service of a world.
func (w *world) withHealth(change func(*config.Service)) *world {
	change(&w.cfg.Services[0])
	return w
}

func onChange(what string) func(*config.Service) {
	return func(svc *config.Service) { svc.Health.OnChange, svc.Health.AppDrain = what, true }
}

// choice is who may get the next request.
func (w *world) choice(service string) string {
	var names []string
	for _, b := range w.proxy.Snapshot().Route(nil, []byte("/"+service)).Live.Backends() {
		names = append(names, b.Name)
	}
	return strings.Join(names, " ")
}

// condition is a backend in one line.
func (w *world) condition(k Key) string {
	state, kind, reason := w.c.State().Backend(k).condition()
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", state, kind, reason))
}

var a1 = Key{"web", "blue", "a:1"}

// TestIdentifiedTable makes each step of what a backend is taken for.
func TestIdentifiedTable(t *testing.T) {
	known, stranger := Identity{Known: true, Release: "v1"}, Identity{Known: true, Release: "v1", Stranger: true}
	now := func(release string) Identity { return Identity{Known: true, Release: release} }
	verdict := func(release string, steady bool) healthcheck.Verdict {
		return healthcheck.Verdict{State: healthcheck.Up, Passed: true, Release: release, Steady: steady}
	}
	failed := healthcheck.Verdict{State: healthcheck.Down, Release: "v2", Kind: healthcheck.Failed}
	rows := []struct {
		why                       string
		id                        Identity
		v                         healthcheck.Verdict
		quarantine, until, accept Identity // also: not live, drained, or a release is expected
	}{
		{"the first pass", Identity{}, verdict("v1", true), known, known, known},
		{"the first check fails, and names a release", Identity{}, failed, Identity{}, Identity{}, Identity{}},
		{"as before", known, verdict("v1", true), known, known, known},
		{"another release", known, verdict("v2", false), stranger, stranger, now("v2")},
		{"no release any more", known, verdict("", false), stranger, stranger, now("")},
		{"out, and not steady yet", stranger, verdict("v2", false), stranger, stranger, now("v2")},
		{"out, and steady", stranger, verdict("v2", true), now("v2"), stranger, now("v2")},
		{"out, and a third one", stranger, verdict("v3", false), stranger, stranger, now("v3")},
		{"out, and the old one again", stranger, verdict("v1", false), stranger, stranger, known},
		{"out, and the old one for good", stranger, verdict("v1", true), known, known, known},
		{"another one was steady and went down", known, healthcheck.Verdict{State: healthcheck.Down, Passed: true, Release: "v2", Steady: true}, stranger, stranger, now("v2")},
	}
	for _, row := range rows {
		for policy, want := range map[string]Identity{"quarantine": row.quarantine, "until_ready": row.until, "accept": row.accept, "": row.accept} {
			svc := &Service{Live: "blue", File: &config.Service{Health: config.Health{OnChange: policy}}}
			b := &Backend{Key: a1, Admin: Ready, Identity: row.id}
			if got := svc.identified(b, row.v); got != want {
				t.Errorf("%s, %s: %+v, want %+v", row.why, policy, got, want)
			}
			for why, other := range map[string]*Backend{
				"not live": {Key: Key{"web", "green", "a:1"}, Admin: Ready}, "drained": {Key: a1, Admin: Drain}, "in maint": {Key: a1, Admin: Maint},
				"a release is expected": {Key: a1, Admin: Ready, Want: "v1"},
			} {
				other.Identity = row.id
				if got := svc.identified(other, row.v); got != row.accept {
					t.Errorf("%s, %s, %s: %+v, want %+v", row.why, policy, why, got, row.accept)
				}
			}
		}
	}
}

// TestConditionTable has each state of the checks with each objection.
func TestConditionTable(t *testing.T) {
	up := healthcheck.Verdict{State: healthcheck.Up, Release: "v1"}
	shaky := healthcheck.Verdict{State: healthcheck.Up, Release: "v1", Kind: healthcheck.Failed, Reason: "refused", Fails: 1}
	down := healthcheck.Verdict{State: healthcheck.Down, Release: "v1", Kind: healthcheck.Failed, Reason: "refused"}
	rising := healthcheck.Verdict{State: healthcheck.Down, Release: "v1", Passes: 1}
	leaving := healthcheck.Verdict{State: healthcheck.Down, Release: "v1", Kind: healthcheck.Draining, Reason: healthcheck.DrainingReason}
	wrong, strange := "down wrong_build wrong build: reports v1, v2 is expected", "down changed changed identity: v0 → v1"
	rows := []struct {
		v                    healthcheck.Verdict
		none, wrong, strange string
	}{
		{healthcheck.Verdict{}, "unknown", "unknown", "unknown"},
		{up, "up", wrong, strange},
		{shaky, "up", wrong, strange},
		{down, "down failed refused", "down failed refused", "down failed refused"},
		{rising, "down", wrong, strange},
		{leaving, "down draining draining, the app asks", "down draining draining, the app asks", "down draining draining, the app asks"},
	}
	for _, row := range rows {
		for want, b := range map[string]Backend{
			row.none:    {Want: "v1"},
			row.wrong:   {Want: "v2"},
			row.strange: {Identity: Identity{Known: true, Release: "v0", Stranger: true}},
		} {
			b.Health, b.Admin = row.v, Ready
			state, kind, reason := b.condition()
			if got := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", state, kind, reason)), " "); got != want {
				t.Errorf("%+v: %q, want %q", row.v, got, want)
			}
			if b.Eligible() != (state == healthcheck.Up) {
				t.Errorf("%+v is %s and eligible is %v", row.v, state, b.Eligible())
			}
		}
	}
}

// TestQuarantine changes one backend under us, and looks who gets requests from its first such answer on.
func TestQuarantine(t *testing.T) {
	for policy, out := range map[string]time.Duration{"quarantine": time.Second, "until_ready": time.Hour, "accept": 0} {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web blue=a:1,a:2").withHealth(onChange(policy))
				w.servers.up("v1", "a:1", "a:2")
				w.mustStart()
				defer w.c.Close()
				time.Sleep(10 * time.Second)
				w.servers.up("v2", "a:1")
				for w.c.State().Backend(a1).Health.Release != "v2" {
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				if got := w.choice("web"); (got == "a:2") != (out > 0) {
					t.Errorf("right after the first answer of v2 requests go to %q", got)
				}
				if out > 0 && w.condition(a1) != "down changed changed identity: v1 → v2" {
					t.Errorf("it %s", w.condition(a1))
				}
				began := time.Now()
				for w.choice("web") == "a:2" && time.Since(began) < time.Hour {
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(began); took < out || took > out+200*time.Millisecond {
					t.Errorf("it was out for %v, want %v", took, out)
				}
			})
		})
	}
}

// TestTheOnlyBackendComesBackSoon: an app that is restarted in place must not be gone for longer than it takes to ask.
func TestTheOnlyBackendComesBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1").withHealth(onChange("quarantine"))
		w.servers.up("v1", "a:1")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(10 * time.Second)
		w.heard()
		w.servers.up("v2", "a:1")
		for w.choice("web") != "" {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		began := time.Now()
		for w.choice("web") == "" {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(began); took > 110*time.Millisecond {
			t.Errorf("nobody took requests for %v", took)
		}
		var said []string
		for _, e := range w.heard() {
			said = append(said, e.Text)
		}
		want := "web/blue/a:1 is down: changed identity: v1 → v2|web/blue/a:1 is up, release v2"
		if got := strings.Join(said, "|"); got != want {
			t.Errorf("said %s, want %s", got, want)
		}
	})
}

// TestReadyEndsTheQuarantine: the operator has looked, so the new release is what is there from now on.
func TestReadyEndsTheQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2").withHealth(onChange("until_ready"))
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(time.Second)
		w.servers.up("v2", "a:1")
		time.Sleep(time.Minute)
		if got := w.choice("web"); got != "a:2" {
			t.Fatalf("requests go to %q", got)
		}
		if r := over(t, setAdminNow(t, w, "a:1", Ready)); r.Unchanged || !r.Done || r.Release != "v2" {
			t.Errorf("%s", r)
		}
		time.Sleep(time.Minute)
		if got := w.choice("web"); got != "a:1 a:2" {
			t.Errorf("requests go to %q", got)
		}
	})
}

// TestRollingInPlace: drain, another version, ready. Nothing is quarantined, for an operator says so.
func TestRollingInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2").withHealth(onChange("until_ready"))
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		for _, a := range []string{"a:1", "a:2"} {
			over(t, setAdminNow(t, w, a, Drain))
			w.servers.up("v2", a)
			time.Sleep(10 * time.Second)
			over(t, setAdminNow(t, w, a, Ready))
		}
		if got := w.choice("web"); got != "a:1 a:2" {
			t.Errorf("requests go to %q", got)
		}
	})
}

// TestExpectedRelease has a pool whose release the file names.
func TestExpectedRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1").withHealth(func(svc *config.Service) {
			svc.Pools[0].Release, svc.Pools[1].Release = "v1", "v2"
		})
		w.servers.up("v1", "a:1", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		_, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator())
		if r := refusalOf(t, err); r.Kind != "release" || !strings.Contains(r.What, "b:1 down (wrong build: reports v1, v2 is expected)") {
			t.Errorf("%+v", r)
		}
		_, err = w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v3"}, operator())
		if r := refusalOf(t, err); r.Kind != "release" || !strings.Contains(r.What, "the file expects") {
			t.Errorf("%+v", r)
		}
		for _, step := range []struct{ release, condition, choice string }{
			{"v9", "down wrong_build wrong build: reports v9, v1 is expected", "a:2"},
			{"", "down wrong_build wrong build: reports no release, v1 is expected", "a:2"},
			{"v1", "up", "a:1 a:2"},
		} {
			w.servers.up(step.release, "a:1")
			time.Sleep(3 * time.Second)
			if got := w.condition(a1); got != step.condition || w.choice("web") != step.choice {
				t.Errorf("reports %q: it is %q, and requests go to %q", step.release, got, w.choice("web"))
			}
		}
	})
}

// TestTheFlipsReleaseIsRemembered: over a restart too; and it ends for a backend that an operator takes out.
func TestTheFlipsReleaseIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1,b:2")
		w.servers.up("v1", "a:1")
		w.servers.up("v2", "b:1", "b:2")
		w.mustStart()
		synctest.Wait()
		if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v2"}, operator()); err != nil {
			t.Fatal(err)
		}
		w.c.Close() // kill -9 leaves no less: what was decided is on disk
		w.servers.up("v3", "b:1")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(10 * time.Second)
		b1 := Key{"web", "green", "b:1"}
		if got := w.condition(b1); got != "down wrong_build wrong build: reports v3, v2 is expected" || w.choice("web") != "b:2" {
			t.Errorf("after the restart it is %q, and requests go to %q", got, w.choice("web"))
		}
		over(t, setAdminNow(t, w, "b:1", Drain))
		over(t, setAdminNow(t, w, "b:1", Ready))
		if got := w.choice("web"); got != "b:1 b:2" {
			t.Errorf("after drain and ready requests go to %q", got)
		}
		w.servers.up("v3", "b:2")
		time.Sleep(10 * time.Second)
		_, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v4"}, operator())
		if r := refusalOf(t, err); r.Kind != "release" {
			t.Errorf("%+v", r)
		}
		op, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v3"}, operator())
		if err != nil || over(t, op).Unchanged || w.choice("web") != "b:1 b:2" {
			t.Errorf("the live pool is asked for v3: %v, and requests go to %q", err, w.choice("web"))
		}
	})
}

// TestTheAppAsksForItsDrain by an answer to a client: it is out at once, and back by passing checks.
func TestTheAppAsksForItsDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2").withHealth(onChange("quarantine"))
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		lease := w.mustClaim("web")
		who := lease.Backend
		k := Key{"web", "blue", who.Name}
		for range 1000 {
			w.c.AppDrain(who)
		}
		synctest.Wait()
		if got := w.condition(k); got != "down draining draining, the app asks" || strings.Contains(w.choice("web"), who.Name) {
			t.Errorf("it is %q, and requests go to %q", got, w.choice("web"))
		}
		if who.Gate.Closed() || w.c.State().Backend(k).Admin != Ready {
			t.Error("it is a fact of health: what is inside goes on, and administration is as it was")
		}
		lease.Release()
		time.Sleep(5 * time.Second)
		if got := w.choice("web"); got != "a:1 a:2" {
			t.Errorf("after some passes requests go to %q", got)
		}
		checkAsksOfOthers(t, w, who)
	})
}

// checkAsksOfOthers: nobody else's word counts, nor that of a place which was left.
func checkAsksOfOthers(t *testing.T, w *world, who *upstream.Backend) {
	t.Helper()
	over(t, setAdminNow(t, w, who.Name, Drain))
	over(t, setAdminNow(t, w, who.Name, Ready))
	stranger := *who
	stranger.Name = "x:1"
	elsewhere := *who
	elsewhere.Service = "api"
	for _, b := range []*upstream.Backend{who, &stranger, &elsewhere} {
		w.c.AppDrain(b)
	}
	synctest.Wait()
	if got := w.choice("web"); got != "a:1 a:2" {
		t.Errorf("requests go to %q", got)
	}
}

// TestAThousandFirstChecks start without a burst, and each is checked soon.
func TestAThousandFirstChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []string
		for i := range 1000 {
			all = append(all, fmt.Sprintf("a:%d", i+1))
		}
		w := newWorld(t, "web blue="+strings.Join(all, ","))
		w.servers.up("v1", all...)
		w.mustStart()
		defer w.c.Close()
		time.Sleep(time.Second)
		if n := w.c.State().Services["web"].Pool("blue").eligible(); n != 1000 {
			t.Errorf("after a second %d of 1000 are up", n)
		}
	})
}

func TestWhereABackendIsChecked(t *testing.T) {
	for _, row := range []struct {
		b    Backend
		want string
	}{
		{Backend{Network: "tcp", Dial: "10.0.0.1:3000"}, "10.0.0.1:3000"},
		{Backend{Network: "tcp", Dial: "10.0.0.1:3000", HealthPort: 9000}, "10.0.0.1:9000"},
		{Backend{Network: "tcp", Dial: "[::1]:3000", HealthPort: 9000}, "[::1]:9000"},
		{Backend{Network: "unix", Dial: "/run/a.sock"}, "/run/a.sock"},
	} {
		spec := specOf(&config.Health{Type: "grpc", Service: "s", AppDrain: true}, &row.b)
		if spec.Address != row.want || spec.Type != healthcheck.OverGRPC || spec.Service != "s" || !spec.AskedDrain {
			t.Errorf("%+v: %+v", row.b, spec)
		}
	}
}
