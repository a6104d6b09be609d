package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
)

// says gives backends of a State a word on the schema, said at a second.
func says(s State, second int64, have, least, most int64, addresses ...string) State {
	return withSchema(s, healthcheck.Schema{Given: true, Have: have, Min: least, Max: most, Since: time.Unix(second, 0)}, addresses...)
}

func withSchema(s State, word healthcheck.Schema, addresses ...string) State {
	for _, b := range s.backends {
		for _, a := range addresses {
			if b.Address() == a {
				v := b.Health
				v.Schema = word
				s = s.observed(b.Key, v)
			}
		}
	}
	return s
}

func TestSchemaRefusesFlipAndRollback(t *testing.T) {
	faulty := healthcheck.Schema{Given: true, Fault: "schema.min is missing"}
	rows := []struct {
		why    string
		state  func(State) State
		want   FlipWant
		refuse string // part of what the refusal says; empty: it is made
	}{
		{"nobody speaks of it", func(s State) State { return s }, FlipWant{}, ""},
		{"in the range", func(s State) State { return says(s, 1, 812, 808, 830, "b:1", "b:2") }, FlipWant{}, ""},
		{"at its ends", func(s State) State { return says(says(s, 1, 812, 812, 830, "b:1"), 1, 812, 1, 812, "b:2") }, FlipWant{}, ""},
		{"below", func(s State) State { return says(s, 1, 812, 813, 830, "b:1", "b:2") }, FlipWant{},
			"green does not work with schema 812, which green/b:1 finds: b:1 (release v2) works with 813 to 830, b:2"},
		{"above", func(s State) State { return says(s, 1, 812, 1, 811, "b:2") }, FlipWant{}, "b:2 (release v2) works with 1 to 811"},
		{"forced", func(s State) State { return says(s, 1, 812, 1, 811, "b:2") }, FlipWant{Force: true}, ""},
		{"one of them says nothing", func(s State) State { return says(s, 1, 812, 808, 830, "b:1") }, FlipWant{}, ""},
		{"another pool has seen a migration since", func(s State) State { return says(says(s, 1, 812, 808, 830, "b:1"), 2, 831, 812, 840, "a:1") }, FlipWant{},
			"schema 831, which blue/a:1 finds: b:1 (release v2) works with 808 to 830"},
		{"another pool had seen it before", func(s State) State { return says(says(s, 2, 812, 808, 830, "b:1"), 1, 831, 812, 840, "a:1") }, FlipWant{}, ""},
		{"at the same time the higher one", func(s State) State { return says(says(s, 2, 812, 808, 830, "b:1"), 2, 831, 812, 840, "a:1") }, FlipWant{}, "schema 831"},
		{"malformed", func(s State) State { return withSchema(s, faulty, "b:1") }, FlipWant{}, "b:1 (release v2): schema.min is missing"},
		{"malformed and forced", func(s State) State { return withSchema(s, faulty, "b:1") }, FlipWant{Force: true}, ""},
		{"malformed where nobody flips to", func(s State) State { return withSchema(s, faulty, "a:1") }, FlipWant{}, ""},
		{"who does not fit is drained", func(s State) State { return drained(says(s, 1, 812, 1, 811, "b:2"), "b:2") }, FlipWant{}, ""},
	}
	for _, row := range rows {
		s := row.state(fill(plain(t), "v2", "b:1", "b:2"))
		svc := *s.Services["web"]
		svc.Previous = "green"
		s = s.with(&svc)
		for verb, change := range map[string]Change{
			"flip": flip("web", "green", row.want, moment{}), "rollback": rollback("web", row.want, moment{}),
		} {
			_, err := change(s)
			if row.refuse == "" {
				if err != nil {
					t.Errorf("%s, %s: %v", row.why, verb, err)
				}
			} else if r := refusalOf(t, err); r.Kind != "schema" || !strings.Contains(r.What, row.refuse) {
				t.Errorf("%s, %s: %+v", row.why, verb, r)
			}
		}
		if r := svc.rollbackStatus(); r.Ready != (row.refuse == "" || row.want.Force) && !row.want.Force {
			t.Errorf("%s: rollback is %+v", row.why, r)
		}
	}
}

// TestRollbackReadinessIsTold: as it comes and goes, by a flip, by health and by a migration.
func TestRollbackReadinessIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		word := func(address, release string, have, least, most int64) {
			w.servers.set(address, healthcheck.Result{OK: true, Release: release, Schema: healthcheck.Schema{Given: true, Have: have, Min: least, Max: most}})
		}
		word("a:1", "v1", 5, 1, 5)
		word("b:1", "v2", 5, 5, 6)
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		step := func(why, want string, do func()) {
			t.Helper()
			w.heard()
			do()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			var said []string
			for _, e := range w.heard() {
				if strings.HasPrefix(e.Kind, "rollback") {
					said = append(said, e.Kind+": "+e.Text)
				}
			}
			if got := strings.Join(said, "|"); got != want {
				t.Errorf("%s: said %q, want %q", why, got, want)
			}
		}
		step("flip", "rollback_ready: rollback of web is READY → v1 (blue)", func() {
			if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator()); err != nil {
				t.Fatal(err)
			}
		})
		step("down", "rollback_not_ready: rollback of web is NOT READY any more: 0/1 healthy: a:1 down (refused)", func() { w.servers.down("refused", "a:1") })
		step("up", "rollback_ready: rollback of web is READY → v1 (blue)", func() { word("a:1", "v1", 5, 1, 5) })
		if r, _ := w.c.ServiceStatus("web"); r.Rollback.Why != "1/1 healthy, schema ok" || r.Schema.Have != 5 {
			t.Errorf("%+v", r.Rollback)
		}
		step("migrated", "rollback_not_ready: rollback of web is NOT READY any more: blue does not work with schema 6, which green/b:1 finds: a:1 (release v1) works with 1 to 5",
			func() { word("b:1", "v2", 6, 5, 6) })
		_, err := w.c.Rollback(t.Context(), "web", FlipWant{}, operator())
		if r := refusalOf(t, err); r.Kind != "schema" {
			t.Errorf("%+v", r)
		}
		op, err := w.c.Rollback(t.Context(), "web", FlipWant{Force: true}, operator())
		if err != nil || !strings.HasPrefix(op.Receipt().Warning, "forced: blue does not work with schema 6") {
			t.Errorf("%v %+v", err, op)
		}
	})
}
