package control

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
)

// TestPresenceTable has each state of the checks with each release, in each role of a pool.
func TestPresenceTable(t *testing.T) {
	verdict := func(state healthcheck.State, answer bool, release string) healthcheck.Verdict {
		return healthcheck.Verdict{State: state, Answer: answer, Release: release}
	}
	rows := []struct {
		state             healthcheck.State
		answer            bool
		of, another, none string // "" does not block; "1" blocks; "?" nobody knows
	}{
		{healthcheck.Up, true, "1", "", "?"},
		{healthcheck.Down, true, "1", "", "?"},
		{healthcheck.Down, false, "", "", ""},
		{healthcheck.Unknown, false, "1", "?", "?"},
		{healthcheck.Unknown, true, "1", "?", "?"},
	}
	for _, row := range rows {
		for release, want := range map[string]string{"v41": row.of, "v42": row.another, "": row.none} {
			for _, pool := range []string{"blue", "green"} {
				for _, admin := range []Admin{Ready, Drain, Maint} {
					svc := &Service{Live: "blue"}
					b := &Backend{Key: Key{"web", pool, "a:1"}, Admin: admin, Health: verdict(row.state, row.answer, release)}
					want := want
					if pool == "blue" && release == "v41" {
						want = "1" // the live pool was it last, and nothing else takes its place
					}
					got := ""
					if one, is := svc.presence(b, "v41"); is {
						got = map[bool]string{true: "?", false: "1"}[one.Unknown]
					}
					if got != want {
						t.Errorf("%s answering %v with %q in %s, %s: %q, want %q", row.state, row.answer, release, pool, admin, got, want)
					}
				}
			}
		}
	}
}

func TestRetireIsAPureStep(t *testing.T) {
	m := moment{time.Unix(100, 0), Cause{By: "anna", Verb: "retire"}}
	sure, unsure := Blocker{Kind: "lease", What: "lease x"}, Blocker{Kind: "backend", What: "y", Unknown: true}
	rows := []struct {
		why, release string
		blockers     []Blocker
		ifMatch      *uint64
		refuse       string
	}{
		{"nothing is in the way", "v41", nil, nil, ""},
		{"something is", "v41", []Blocker{sure}, nil, "blocked"},
		{"nobody knows", "v41", []Blocker{unsure}, nil, "uncertain"},
		{"what is known decides", "v41", []Blocker{unsure, sure}, nil, "blocked"},
		{"another generation", "v41", nil, generation(6), "generation"},
		{"no release", "", nil, nil, "conflict"},
		{"too long for one", strings.Repeat("v", 65), nil, nil, "conflict"},
		{"retired already", "v40", []Blocker{sure}, nil, "unchanged"},
	}
	for _, row := range rows {
		s := plain(t)
		svc := *s.Services["web"]
		svc.Retired = retirements([]Retirement{{Release: "v40"}})
		s = fill(s.with(svc.judged()), "v41", "b:1", "b:2")
		after, err := retire("web", row.release, row.ifMatch, func(State, *Service) []Blocker { return row.blockers }, m)(s)
		switch {
		case row.refuse == "unchanged":
			if !errors.Is(err, ErrUnchanged) {
				t.Errorf("%s: %v", row.why, err)
			}
		case row.refuse != "":
			if r := refusalOf(t, err); r.Kind != row.refuse || len(r.Blockers) != len(row.blockers) {
				t.Errorf("%s: %+v", row.why, r)
			}
		case err != nil || !after.Services["web"].retired("v40") || !after.Services["web"].retired("v41") || s.Services["web"].retired("v41"):
			t.Errorf("%s: %v", row.why, err)
		default:
			b := after.Backend(Key{"web", "green", "b:1"})
			if state, kind, reason := b.condition(); b.Eligible() || state != healthcheck.Down || kind != healthcheck.Retired || reason != "release v41 is retired" {
				t.Errorf("%s: %s %s %s", row.why, state, kind, reason)
			}
		}
	}
}

func TestRetirementsAreBounded(t *testing.T) {
	var r *Retirements
	for i := range mostRetired + 5 {
		r = r.and(Retirement{Release: fmt.Sprint("v", i)})
	}
	if len(r.list()) != mostRetired || r.has("v4") || !r.has("v5") || !r.has(fmt.Sprint("v", mostRetired+4)) {
		t.Errorf("%d are kept", len(r.list()))
	}
}

// TestLeases: what is refused, what a renewal costs, and what a restart makes of them.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.servers.up("v42", "a:1")
		w.mustStart()
		synctest.Wait()
		put := func(l Lease, ttl time.Duration) string {
			if _, err := w.c.PutLease(l, ttl); err != nil {
				return refusalOf(t, err).Kind
			}
			return ""
		}
		for _, row := range []struct {
			why  string
			l    Lease
			ttl  time.Duration
			want string
		}{
			{"too short", Lease{Name: "x", Release: "v41"}, time.Millisecond, "conflict"},
			{"too long", Lease{Name: "x", Release: "v41"}, 25 * time.Hour, "conflict"},
			{"no such service", Lease{Name: "x", Release: "v41", Service: "shop"}, time.Minute, "unknown"},
			{"fine", Lease{Name: "x", Release: "v41"}, time.Minute, ""},
			{"of one service", Lease{Name: "y", Release: "v41", Service: "web"}, 2 * time.Minute, ""},
		} {
			if got := put(row.l, row.ttl); got != row.want {
				t.Errorf("%s: %q, want %q", row.why, got, row.want)
			}
		}
		saves := w.disk.saves
		for range 5 {
			time.Sleep(30 * time.Second)
			put(Lease{Name: "x", Release: "v41"}, time.Minute)
		}
		if w.disk.saves != saves {
			t.Errorf("renewals were saved %d times", w.disk.saves-saves)
		}
		if all := w.c.Leases(); len(all) != 1 || all[0].Name != "x" || time.Until(all[0].Until) != time.Minute {
			t.Errorf("y is over by now: %+v", all)
		}
		w.disk.fail(errors.New("full"))
		if got := put(Lease{Name: "z", Release: "v41"}, time.Minute); got != "storage" || len(w.c.Leases()) != 1 {
			t.Errorf("a lease that is not saved: %q %+v", got, w.c.Leases())
		}
		w.disk.fail(nil)
		w.c.Close()
		time.Sleep(time.Hour)
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		if all := w.c.Leases(); len(all) != 2 || all[0].Name != "x" || time.Until(all[0].Until) != time.Minute {
			t.Errorf("after the restart: %+v", all)
		}
		if _, err := w.c.DropLease("x"); err != nil {
			t.Error(err)
		}
		if _, err := w.c.DropLease("x"); refusalOf(t, err).Kind != "unknown" {
			t.Error(err)
		}
		for i := range mostLeases - 1 {
			if got := put(Lease{Name: fmt.Sprint("w", i), Release: "v41"}, time.Minute); got != "" {
				t.Fatal(i, got)
			}
		}
		if got := put(Lease{Name: "one too many", Release: "v41"}, time.Minute); got != "conflict" {
			t.Errorf("a lease too many: %q", got)
		}
		time.Sleep(3 * time.Minute)
		if got := put(Lease{Name: "when the others are over", Release: "v41"}, time.Minute); got != "" {
			t.Errorf("%q", got)
		}
	})
}

func TestHoldWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1 red=c:1")
		w.servers.up("v41", "a:1")
		w.servers.up("v42", "b:1")
		w.servers.up("v40", "c:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		hold := func(release string, window time.Duration) string {
			h, err := w.c.HoldRelease("web", release, window)
			if err != nil {
				t.Fatal(err)
			}
			left := ""
			if h.Until != nil {
				left = " for " + time.Until(*h.Until).String()
			}
			return fmt.Sprint(h.Hold, left)
		}
		if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		for _, row := range []struct {
			release string
			window  time.Duration
			want    string
		}{
			{"v42", 0, "true"}, {"v42", time.Minute, "true"}, {"v41", 0, "true"}, {"v41", 30 * time.Minute, "true for 20m0s"},
			{"v41", 10 * time.Minute, "false"}, {"v40", 0, "false"}, {"v7", 0, "false"},
		} {
			if got := hold(row.release, row.window); got != row.want {
				t.Errorf("%s within %s: %s, want %s", row.release, row.window, got, row.want)
			}
		}
		if _, err := w.c.HoldRelease("shop", "v1", 0); refusalOf(t, err).Kind != "unknown" {
			t.Error(err)
		}
	})
}

// TestRetireLooksBeforeItRefuses: servers that were stopped just now are not in the way until their next check.
func TestRetireLooksBeforeItRefuses(t *testing.T) {
	for _, stopped := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web blue=a:1 green=b:1,b:2")
			w.servers.up("v42", "a:1")
			w.servers.up("v41", "b:1", "b:2")
			w.mustStart()
			defer w.c.Close()
			time.Sleep(3 * time.Second)
			w.servers.down("refused", "b:1")
			if stopped {
				w.servers.down("refused", "b:2")
			}
			began := time.Now()
			_, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{}, operator())
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
			if stopped && err != nil {
				t.Errorf("both are stopped: %v", err)
			}
			if !stopped {
				if r := refusalOf(t, err); r.Kind != "blocked" || len(r.Blockers) != 1 || !strings.HasPrefix(r.Blockers[0].What, "green/b:2 is up") {
					t.Errorf("one is up: %+v", r)
				}
			}
		})
	}
}
