package control

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
)

// lastEntry is the newest of a service.
func lastEntry(t *testing.T, w *world, service string) Entry {
	t.Helper()
	all, err := w.c.History(service, 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	return all[0]
}

// TestWhatEndedOtherwiseSaysHow: a pause that was resumed while something was inside, a backend that was drained before it was
// up, and one that Sluice's own end overtook.
func TestWhatEndedOtherwiseSaysHow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		w.untilUp("web", "blue")
		inside := w.mustClaim("web")
		paused, err := w.c.Pause(t.Context(), "web", PauseWant{}, operator())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.c.Resume(t.Context(), "web", nil, operator()); err != nil {
			t.Fatal(err)
		}
		if r := over(t, paused); r.Done || r.Why != "resumed with 1 inside" || r.String() != "pause web: serving → paused for 1h0m0s switched in 0.0 ms; resumed with 1 inside" {
			t.Errorf("%s", r)
		}
		synctest.Wait()
		all, _ := w.c.History("web", 2)
		if e := all[0]; e.ID != "2" || e.Outcome == nil || e.Outcome.Why != "resumed with 1 inside" {
			t.Errorf("%+v", e)
		}
		inside.Release()

		over(t, setAdminNow(t, w, "a:1", Drain))
		w.servers.set("a:1", healthcheck.Result{Reason: "connection refused"})
		ready := setAdminNow(t, w, "a:1", Ready)
		setAdminNow(t, w, "a:1", Maint)
		if r := over(t, ready); r.Done || r.Why != "put in maint meanwhile" {
			t.Errorf("%s", r)
		}
		ready = setAdminNow(t, w, "a:1", Ready)
		w.c.Close()
		if r := over(t, ready); r.Done || r.Why != endedBefore {
			t.Errorf("%s", r)
		}
	})
}

// TestInterruptedChange: the process dies before the outcome of a change is known.
func TestInterruptedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.servers.up("v1", "a:1", "b:1")
		w.mustStart()
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		inside := w.mustClaim("web")
		mustFlip(t, w, "green")
		if e := lastEntry(t, w, "web"); e.Outcome != nil || e.Interrupted || e.ID != "2" {
			t.Errorf("while it goes on: %+v", e)
		}
		dead := w.disk.copy()
		inside.Release()
		w.c.Close()
		w.disk = dead
		w.mustStart()
		defer w.c.Close()
		if e := lastEntry(t, w, "web"); e.Outcome != nil || !e.Interrupted {
			t.Errorf("after the restart: %+v", e)
		}
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		over(t, mustFlip(t, w, "blue"))
		if e := lastEntry(t, w, "web"); e.Outcome == nil || e.Interrupted {
			t.Errorf("one of this process: %+v", e)
		}
	})
}

// TestKeySurvivesTheProcess: a rollback whose answer was lost with the process is asked for again, and does not go forward.
func TestKeySurvivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web unchecked=1 blue=a:1 green=b:1")
		w.mustStart()
		synctest.Wait()
		over(t, mustFlip(t, w, "green"))
		keyed := operator()
		keyed.Key = "k1"
		rollback := func() Receipt {
			t.Helper()
			op, err := w.c.Rollback(t.Context(), "web", FlipWant{}, keyed)
			if err != nil {
				t.Fatal(err)
			}
			return over(t, op)
		}
		if r := rollback(); r.Unchanged || r.To != "blue" {
			t.Fatalf("%s", r)
		}
		w.c.Close()
		w.mustStart()
		defer func() { w.c.Close() }()
		synctest.Wait()
		if r := rollback(); !r.Unchanged || r.To != "blue" || w.c.Generation() != 3 {
			t.Errorf("asked again: %s", r)
		}
		keyed.Key = "k2"
		if r := rollback(); r.Unchanged || r.To != "green" {
			t.Errorf("with another key: %s", r)
		}
		time.Sleep(keysKept)
		if r := rollback(); r.Unchanged || r.To != "blue" {
			t.Errorf("with a key of long ago: %s", r)
		}
		if n := len(w.c.State().Keys); n != 1 {
			t.Errorf("%d keys are kept", n)
		}
		for i := range mostKeys + 5 {
			keyed.Key = fmt.Sprint("many", i)
			rollback()
		}
		if n := len(w.c.State().Keys); n != mostKeys {
			t.Errorf("%d keys are kept", n)
		}
	})
}
