package control

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadyWithARelease: a backend that is put back with a release takes no request before it reports it, goes on to be held to
// it over a restart, and is free again with the next word of an operator.
func TestReadyWithARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		w.untilUp("web", "blue")
		admin := func(to Admin, want AdminWant) *Operation {
			t.Helper()
			op, err := w.c.SetAdmin(t.Context(), "web", "a:1", "", to, want, operator())
			if err != nil {
				t.Fatal(err)
			}
			return op
		}
		over(t, admin(Drain, AdminWant{}))
		op := admin(Ready, AdminWant{Release: "v2"})
		time.Sleep(10 * time.Second)
		b := w.c.State().Services["web"].Pool("blue").Backend("a:1")
		if _, _, reason := b.condition(); b.Eligible() || !strings.Contains(reason, "v2 is expected") {
			t.Errorf("with v1 where v2 is expected: eligible %v, %q", b.Eligible(), reason)
		}
		w.servers.up("v2", "a:1")
		if r := over(t, op); !r.Done || r.Release != "v2" {
			t.Errorf("with v2: %s", r)
		}
		w.c.Close()
		w.servers.up("v3", "a:1")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(10 * time.Second)
		if w.c.State().Services["web"].Pool("blue").Backend("a:1").Eligible() {
			t.Error("after a restart v3 is taken where v2 is expected")
		}
		over(t, admin(Drain, AdminWant{}))
		if r := over(t, admin(Ready, AdminWant{})); !r.Done || r.Release != "v3" {
			t.Errorf("put back without a release: %s", r)
		}
	})
}

// TestMinAvailable: it is asked in the moment of the drain, and only of one that takes requests.
func TestMinAvailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web live=blue blue=a:1,a:2,a:3 green=b:1")
		w.servers.up("v1", "a:1", "a:2", "a:3", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		two := 2
		drain := func(backend string, to Admin) error {
			_, err := w.c.SetAdmin(t.Context(), "web", backend, "", to, AdminWant{MinAvailable: &two}, operator())
			return err
		}
		if err := drain("a:1", Drain); err != nil {
			t.Fatal(err)
		}
		for _, to := range []Admin{Drain, Maint} {
			if r := refusalOf(t, drain("a:2", to)); r.Kind != "capacity" || !strings.Contains(r.What, "there would be 1 in blue") {
				t.Errorf("%s: %+v", to, r)
			}
		}
		if err := drain("a:1", Drain); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := drain("b:1", Drain); err != nil {
			t.Errorf("of an idle pool: %v", err)
		}
		w.servers.down("connection refused", "a:3")
		w.until("a:3 is down", func() bool { return w.c.State().Services["web"].Pool("blue").eligible() == 1 })
		if err := drain("a:3", Drain); err != nil {
			t.Errorf("of one that takes nothing: %v", err)
		}
	})
}

// TestRecord: a record is saved with its line, survives a restart, and raises no generation; one that cannot be saved is not kept.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1")
		w.servers.up("v1", "a:1")
		w.mustStart()
		generation := w.c.Generation()
		write := func(text string) error {
			return w.c.Record("web", func(_ State, last []byte) ([]byte, string, error) {
				if text == "" {
					return nil, "", ErrUnchanged
				}
				return []byte(`"` + text + `"`), "was " + string(last), nil
			}, Cause{By: "ann", Rollout: "r1"})
		}
		if err := errors.Join(write("one"), write("two")); err != nil {
			t.Fatal(err)
		}
		if err := write(""); !errors.Is(err, ErrUnchanged) {
			t.Errorf("a step that refuses: %v", err)
		}
		w.disk.fail(errors.New("no space left on device"))
		if r := refusalOf(t, write("three")); r.Kind != "storage" {
			t.Errorf("%+v", r)
		}
		w.disk.fail(nil)
		if r := refusalOf(t, w.c.Record("shop", nil, operator())); r.Kind != "unknown" {
			t.Errorf("%+v", r)
		}
		w.c.Close()
		w.mustStart()
		defer w.c.Close()
		if got := string(w.c.State().Rollouts["web"]); got != `"two"` || w.c.Generation() != generation {
			t.Errorf("after a restart: %s at %d, it was %d", got, w.c.Generation(), generation)
		}
		entries, err := w.c.History("web", 0)
		if err != nil || len(entries) < 2 {
			t.Fatalf("%v %v", entries, err)
		}
		if e := entries[1]; e.Kind != "rollout" || e.Text != `was "one"` || e.Cause.Rollout != "r1" {
			t.Errorf("%+v", e)
		}
	})
}
