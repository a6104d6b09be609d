package control

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestNobodyIsInsideOfWhatIsRetired: while requests come and go all the time, a release is retired as soon as nothing is
// inside of it, and not before; and nobody enters it afterwards.
func TestNobodyIsInsideOfWhatIsRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.servers.up("v41", "a:1", "a:2")
		w.servers.up("v42", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		var inside, entered atomic.Int64 // of v41
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { w.comeAndGo(stop, time.Duration(300*i)*time.Millisecond, &inside, &entered) })
		}
		time.Sleep(20 * time.Second)
		if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		w.servers.down("connection refused", "a:1", "a:2")
		time.Sleep(3500 * time.Millisecond) // the backends are down by now
		before := inside.Load()
		_, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{}, operator())
		if r := refusalOf(t, err); before == 0 || r.Kind != "blocked" {
			t.Errorf("with %d inside: %+v", before, r)
		}
		op, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{Wait: time.Minute}, operator())
		if n := inside.Load(); err != nil || n != 0 {
			t.Fatalf("retired with %d inside: %v", n, err)
		}
		over(t, op)
		so := entered.Load()
		w.servers.up("v41", "a:1", "a:2")
		w.c.Rollback(t.Context(), "web", FlipWant{}, operator())
		time.Sleep(20 * time.Second)
		w.c.Rollback(t.Context(), "web", FlipWant{}, operator())
		w.c.Flip(t.Context(), "web", "blue", FlipWant{}, operator())
		time.Sleep(time.Second)
		if n := entered.Load(); n != so || so < 100 {
			t.Errorf("%d entered v41 before, and %d after", so, n-so)
		}
		close(stop)
		wg.Wait()
	})
}

// comeAndGo sends one request after the other, each of which takes so long.
func (w *world) comeAndGo(stop chan struct{}, takes time.Duration, inside, entered *atomic.Int64) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		lease, err := w.claim("web")
		if err != nil {
			continue
		}
		if lease.Backend.Release == "v41" {
			inside.Add(1)
			entered.Add(1)
		}
		time.Sleep(takes)
		if lease.Backend.Release == "v41" {
			inside.Add(-1)
		}
		lease.Release()
	}
}
