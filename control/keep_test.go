package control

import (
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
	"sluice/upstream"
)

// pinned sends a request that is pinned to a backend, and stays inside until its lease is released.
func (w *world) pinned(backend string) (upstream.Lease, error) {
	svc := w.proxy.Snapshot().Route(nil, []byte("/web"))
	return svc.Live.ClaimFor(&upstream.Tried{}, upstream.Ask{Pin: svc.Sticky.ID(backend)})
}

// lands checks where a request goes, pinned or not, and gives its place back.
func (w *world) lands(reason, pin, want string) {
	w.t.Helper()
	lease, err := w.pinned(pin)
	if err != nil {
		w.t.Fatalf("%s: %v", reason, err)
	}
	defer lease.Release()
	if lease.Backend.Name != want {
		w.t.Errorf("%s: on %s, want %s", reason, lease.Backend.Name, want)
	}
}

func keepingWorld(t *testing.T) *world {
	w := newWorld(t, "web keep=1m blue=a:1,a:2 green=b:1")
	w.servers.up("v1", "a:1", "a:2", "b:1")
	w.mustStart()
	w.untilUp("web", "blue")
	w.untilUp("web", "green")
	return w
}

func (w *world) drain(backend string) *Operation {
	w.t.Helper()
	op, err := w.c.SetAdmin(w.t.Context(), "web", backend, "", Drain, AdminWant{}, operator())
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

func isOver(op *Operation) bool {
	select {
	case <-op.Done():
		return true
	default:
		return false
	}
}

// TestKeepEndsInTime: those who are pinned are taken until the end and nobody else is; then the gate closes, they move,
// and the receipt waits for what is inside.
func TestKeepEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := keepingWorld(t)
		defer w.c.Close()
		op := w.drain("a:1")
		for range 59 {
			w.lands("pinned to what is kept", "a:1", "a:1")
			w.lands("pinned elsewhere", "a:2", "a:2")
			w.lands("pinned to nobody", "", "a:2")
			time.Sleep(time.Second)
		}
		inside, err := w.pinned("a:1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		w.lands("its time is over", "a:1", "a:2")
		if isOver(op) {
			t.Error("the drain is over with one inside")
		}
		inside.Release()
		r := over(t, op)
		if !r.Done || r.Drain == nil || r.Drain.Found != 1 || r.Drain.Finished != 1 {
			t.Errorf("%s", r)
		}
		if b := w.c.State().Backend(Key{"web", "blue", "a:1"}); b.kept() || b.Admin != Drain {
			t.Errorf("%+v", b)
		}
	})
}

// TestKeepEndsWhenNobodyComes: nobody was seen for long, so there is nobody to keep: not after minutes, and not at all.
func TestKeepEndsWhenNobodyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := keepingWorld(t)
		defer w.c.Close()
		w.cfg.Services[0].Sticky.KeepFor = time.Hour
		op := w.drain("a:1")
		time.Sleep(upstream.Lately - 5*time.Second)
		if isOver(op) {
			t.Error("over before anybody had the time to come")
		}
		time.Sleep(10 * time.Second)
		if !isOver(op) || !over(t, op).Done {
			t.Error("not over, and nobody has come for long")
		}
		if op := w.drain("a:2"); over(t, op).Done != true || w.c.State().Backend(Key{"web", "blue", "a:2"}).kept() {
			t.Error("kept for nobody")
		}
	})
}

// TestKeepOutlivesTheProcess: it goes on to the end that was decided, or is over when that has passed.
func TestKeepOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := keepingWorld(t)
		w.drain("a:1")
		until := w.c.State().Backend(Key{"web", "blue", "a:1"}).Keep
		for i, wait := range []time.Duration{20 * time.Second, time.Minute} {
			w.disk = w.disk.copy()
			w.c.Close()
			time.Sleep(wait)
			w.mustStart()
			w.until("both are up", func() bool {
				p := w.c.State().Services["web"].Pool("blue")
				return p.Backends[0].Health.State == healthcheck.Up && p.Backends[1].Health.State == healthcheck.Up
			})
			b := w.c.State().Backend(Key{"web", "blue", "a:1"})
			if i == 0 && !b.Keep.Equal(until) {
				t.Errorf("kept until %s, and it was %s", b.Keep, until)
			}
			if i == 0 {
				w.lands("kept after a restart", "a:1", "a:1")
			} else {
				w.until("its end has passed", func() bool { return !w.c.State().Backend(Key{"web", "blue", "a:1"}).kept() })
				w.lands("its end has passed", "a:1", "a:2")
			}
		}
		w.c.Close()
	})
}

// TestWhatEndsAKeep: each other command does at once what it says.
func TestWhatEndsAKeep(t *testing.T) {
	for _, test := range []struct {
		verb string
		want string // where who is pinned goes then
		do   func(w *world) (*Operation, error)
	}{
		{"flip", "b:1", func(w *world) (*Operation, error) {
			return w.c.Flip(w.t.Context(), "web", "green", FlipWant{}, operator())
		}},
		{"maint", "a:2", func(w *world) (*Operation, error) {
			return w.c.SetAdmin(w.t.Context(), "web", "a:1", "", Maint, AdminWant{}, operator())
		}},
		{"ready", "a:1", func(w *world) (*Operation, error) {
			op, err := w.c.SetAdmin(w.t.Context(), "web", "a:1", "", Ready, AdminWant{}, operator())
			w.untilUp("web", "blue")
			return op, err
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := keepingWorld(t)
			defer w.c.Close()
			first := w.drain("a:1")
			again := w.drain("a:1") // a script that asks again waits for the same
			op, err := test.do(w)
			if err != nil {
				t.Fatal(err)
			}
			over(t, op)
			w.lands(test.verb, "a:1", test.want)
			over(t, first)
			over(t, again)
			if b := w.c.State().Backend(Key{"web", "blue", "a:1"}); b.kept() {
				t.Errorf("%s: still kept", test.verb)
			}
		})
	}
}
