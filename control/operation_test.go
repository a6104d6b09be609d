package control

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// The old gate of an earlier flip still holds work when the same pool is left a second time: both are seen to the end.
func TestTwoDrainsOfOneBackendAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.servers.up("v1", "a:1", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		first := w.mustClaim("web")
		op1 := mustFlip(t, w, "green")
		mustFlip(t, w, "blue")
		second := w.mustClaim("web")
		if first.Backend.Gate == second.Backend.Gate || second.Backend.Name != "a:1" {
			t.Fatal("blue came back with the gate it had left with")
		}
		if s, _ := w.c.ServiceStatus("web"); s.Inside != 2 || s.Pools[0].Backends[0].Inside != 2 {
			t.Errorf("status shows %d inside the service and %d inside a:1, want 2", s.Inside, s.Pools[0].Backends[0].Inside)
		}
		op3 := mustFlip(t, w, "green")
		synctest.Wait()
		second.Release()
		synctest.Wait()
		for _, op := range []*Operation{op1, op3} {
			if isDone(op) {
				t.Errorf("%s is done while a request of blue is still inside", op.Receipt())
			}
		}
		first.Release()
		if r := over(t, op1); r.Drain.Found != 1 || !r.Done {
			t.Errorf("the first flip found %d, want 1", r.Drain.Found)
		}
		if r := over(t, op3); r.Drain.Found != 2 || !r.Done {
			t.Errorf("the last flip found %d, want the old request and the new one", r.Drain.Found)
		}
	})
}

func mustFlip(t *testing.T, w *world, pool string) *Operation {
	t.Helper()
	op, err := w.c.Flip(t.Context(), "web", pool, FlipWant{}, operator())
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func isDone(op *Operation) bool {
	select {
	case <-op.Done():
		return true
	default:
		return false
	}
}

func TestWhatHangsIsReportedAsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.servers.up("v1", "a:1", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		lease := w.mustClaim("web")
		r := over(t, mustFlip(t, w, "green"))
		if r.Done || r.Drain.Left != 1 {
			t.Errorf("done %v, left %d: a request that cannot be ended was not told of", r.Done, r.Drain.Left)
		}
		if s, _ := w.c.ServiceStatus("web"); s.Inside != 1 {
			t.Errorf("inside %d after the drain gave up, want the one that hangs", s.Inside)
		}
		lease.Release()
		if s, _ := w.c.ServiceStatus("web"); s.Inside != 0 {
			t.Errorf("inside %d, want none", s.Inside)
		}
	})
}

func TestReadyIsDoneWhenInRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		over(t, setAdminNow(t, w, "a:1", Maint))
		w.servers.down("connection refused", "a:1")
		op := setAdminNow(t, w, "a:1", Ready)
		again := setAdminNow(t, w, "a:1", Ready)
		time.Sleep(20 * time.Second)
		if isDone(op) || isDone(again) {
			t.Error("done while the backend is down")
		}
		w.servers.up("v2", "a:1")
		if r := over(t, op); !r.Done || r.Release != "v2" || r.From != "maint" || r.To != "ready" || r.Backend != "blue/a:1" {
			t.Errorf("receipt %+v", r)
		}
		if r := over(t, again); !r.Done || !r.Unchanged {
			t.Errorf("receipt of the second ready %+v", r)
		}
	})
}

func TestReadyEndsWhenAnotherCommandTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.mustStart()
		defer w.c.Close()
		setAdminNow(t, w, "a:1", Drain)
		op := setAdminNow(t, w, "a:1", Ready)
		setAdminNow(t, w, "a:1", Drain)
		if r := over(t, op); r.Done {
			t.Error("ready says it is done, and the backend is drained")
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "b:1")
		w.mustStart()
		synctest.Wait()
		lease := w.mustClaim("web")
		setAdminNow(t, w, "a:2", Drain)
		rising := setAdminNow(t, w, "a:2", Ready)
		flip := mustFlip(t, w, "green")
		w.c.Close()
		w.c.Close()
		for _, op := range []*Operation{rising, flip} {
			if r := over(t, op); r.Done {
				t.Errorf("%s says it is done", r)
			}
		}
		lease.Release()
		_, err := w.c.Flip(t.Context(), "web", "blue", FlipWant{}, operator())
		if r := refusalOf(t, err); r.Kind != "stopping" {
			t.Errorf("refused as %s", r.Kind)
		}
		if err := w.c.Start(t.Context()); err == nil {
			t.Error("a closed Controller started again")
		}
	})
}

func TestOperationsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web unchecked=1 blue=a:1 green=b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		first := mustFlip(t, w, "green")
		if got := w.c.Operation(first.Receipt().ID); got != first {
			t.Error("the operation is not found by its id")
		}
		same := mustFlip(t, w, "green")
		if same.Receipt().ID == first.Receipt().ID || w.c.Operation(same.Receipt().ID) != same {
			t.Error("an operation that changed nothing has the name of one that did")
		}
		for range kept / 2 {
			mustFlip(t, w, "blue")
			mustFlip(t, w, "green")
		}
		if w.c.Operation(first.Receipt().ID) != nil || len(w.c.operations.byID) != kept {
			t.Errorf("%d operations are kept, want %d", len(w.c.operations.byID), kept)
		}
		if w.c.Operation("nonsense") != nil {
			t.Error("an operation that never was")
		}
	})
}

func TestTheOutcomeIsToldAfterTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web unchecked=1 blue=a:1 green=b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		w.heard()
		for i := range 50 {
			over(t, mustFlip(t, w, []string{"green", "blue"}[i%2]))
			events := slices.DeleteFunc(w.heard(), func(e Event) bool { return e.Kind == "rollback_ready" })
			if len(events) != 2 || events[0].Kind != "change" || events[1].Kind != "drain" {
				t.Fatalf("flip %d was told as %+v", i, events)
			}
			all, err := w.c.History("web", 1)
			if err != nil || len(all) != 1 || all[0].Outcome == nil || all[0].Generation != w.c.Generation() {
				t.Fatalf("when the flip was over its outcome was not in the history: %+v, %v", all, err)
			}
		}
	})
}

func TestReceiptInOneLine(t *testing.T) {
	report := &drain.Report{Count: drain.Count{Found: 3, Finished: 3}, Took: 1204 * time.Millisecond}
	tests := []struct {
		want string
		r    Receipt
	}{
		{"flip web: blue → green (release v2) switched in 0.8 ms; inside 3: 3 finished, 0 cut in 1.204s",
			Receipt{Verb: "flip", Service: "web", From: "blue", To: "green", Release: "v2", Switched: 0.8, Done: true, Drain: report}},
		{"drain web blue/a:1: ready → drain switched in 0.1 ms; 2 still inside",
			Receipt{Verb: "drain", Service: "web", Backend: "blue/a:1", From: "ready", To: "drain", Switched: 0.1, Inside: make([]drain.Item, 2)}},
		{"ready web blue/a:1: drain → ready switched in 0.1 ms; not done yet",
			Receipt{Verb: "ready", Service: "web", Backend: "blue/a:1", From: "drain", To: "ready", Switched: 0.1}},
		{"flip web: already green", Receipt{Verb: "flip", Service: "web", From: "green", To: "green", Unchanged: true, Done: true}},
		{"maint web blue/a:1: already in maint",
			Receipt{Verb: "maint", Service: "web", Backend: "blue/a:1", From: "maint", To: "maint", Unchanged: true, Done: true}},
	}
	for _, tt := range tests {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// TestClaimsDuringFlips hammers claims while the live pool changes 500 times. What began after a flip's return and ended
// before the next one began is in the new pool; no old snapshot lets anybody in; nothing is left inside.
func TestClaimsDuringFlips(t *testing.T) {
	w := newWorld(t, "web unchecked=1 blue=a:1,a:2 green=b:1,b:2")
	w.mustStart()
	defer w.c.Close()
	w.untilUp("web", "blue")
	w.untilUp("web", "green")
	var phase atomic.Int64 // even: pool phase/2%2 is live and no flip is under way
	stop := make(chan struct{})
	var claimers sync.WaitGroup
	for range 4 {
		claimers.Go(func() { hammer(t, w, &phase, stop) })
	}
	pools := []string{"blue", "green"}
	var ops []*Operation
	for i := 1; i <= 500; i++ {
		old := w.proxy.Snapshot()
		phase.Add(1)
		ops = append(ops, mustFlip(t, w, pools[i%2]))
		if _, err := old.Route(nil, []byte("/web")).Live.Claim(&upstream.Tried{}); err != upstream.ErrClosed {
			t.Fatalf("flip %d: a claim by the old snapshot after the flip's return: %v", i, err)
		}
		phase.Add(1)
	}
	close(stop)
	claimers.Wait()
	for _, op := range ops {
		if r := over(t, op); !r.Done || r.Drain.Found != r.Drain.Finished {
			t.Fatalf("%s", r)
		}
	}
	if s, _ := w.c.ServiceStatus("web"); s.Inside != 0 {
		t.Errorf("%d inside after all", s.Inside)
	}
}

func hammer(t *testing.T, w *world, phase *atomic.Int64, stop <-chan struct{}) {
	pools := []string{"blue", "green"}
	for {
		select {
		case <-stop:
			return
		default:
		}
		before := phase.Load()
		lease, err := claimLikeAProxy(w)
		after := phase.Load()
		if err != nil {
			t.Errorf("a claim was lost: %v", err)
			return
		}
		if before == after && before%2 == 0 && lease.Backend.Pool != pools[before/2%2] {
			t.Errorf("in phase %d a claim got %s", before, lease.Backend.Pool)
		}
		lease.Release()
	}
}

// claimLikeAProxy tries again when the snapshot moved on.
func claimLikeAProxy(w *world) (upstream.Lease, error) {
	for {
		s := w.proxy.Snapshot()
		lease, err := s.Route(nil, []byte("/web")).Live.Claim(&upstream.Tried{})
		if err == upstream.ErrClosed && w.proxy.Snapshot() != s {
			continue
		}
		return lease, err
	}
}
