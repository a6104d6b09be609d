package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) bakeNow() *Bake { return w.c.State().Services["web"].Bake }

func judgedFors(share int, d time.Duration) SplitWant {
	want := green(share)
	want.Judge.For = &d
	return want
}

// TestWhenASplitIsJudged: by default, anew with each change of the share, and not where it is not wanted or cannot be.
func TestWhenASplitIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		r := w.split(green(500)).Receipt()
		first := w.bakeNow()
		if !first.Running() || !first.Split || first.Ends.Sub(first.Began) != judgedFor || first.From.Pool != "blue" || first.To.Pool != "green" || !strings.Contains(r.String(), "judged for 10m0s") {
			t.Fatalf("%+v\n%s", first, r)
		}
		w.split(SplitWant{Shares: map[string]int{"green": 500}, Rules: []RuleText{{ByHeader, "X-Canary: yes"}}})
		if w.bakeNow() != first {
			t.Error("another rule began to judge anew")
		}
		op := w.split(judgedFors(2500, time.Minute))
		if b := w.bakeNow(); b.ID == first.ID || b.Ends.Sub(b.Began) != time.Minute || op.Receipt().Unjudged != "" {
			t.Errorf("%+v, %s", b, op.Receipt())
		}
		w.split(judgedFors(2600, 0))
		if b := w.bakeNow(); b.Running() || w.c.State().Services["web"].Split.Judged || w.c.State().Services["web"].Guarded() {
			t.Errorf("%+v", b)
		}
		w.split(judgedFors(500, time.Minute))
		w.split(green(0))
		if b := w.bakeNow(); b.State() != Superseded || !strings.Contains(b.End.Why, "split by operator") {
			t.Errorf("%+v", b.End)
		}
		w.split(SplitWant{Shares: map[string]int{"green": 0}, Only: true, Rules: []RuleText{{ByHeader, "X-Canary: yes"}}})
		if b := w.bakeNow(); b.Running() {
			t.Errorf("nobody is there to judge by: %+v", b)
		}
		w.servers.up("v3", "c:1")
		w.untilUp("web", "red")
		if _, err := w.c.Split(t.Context(), "web", SplitWant{Shares: map[string]int{"green": 1, "red": 1}, Judge: judgedFors(1, time.Minute).Judge}, operator()); refusalOf(t, err).Kind != "conflict" {
			t.Error(err)
		}
	})
}

// TestVerdictsOfSplits: worse ends the split, and whoever waits is told; as good leaves it, and it is guarded from then on.
func TestVerdictsOfSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		op := w.split(green(500))
		inside := w.inGreen()
		end := BakeEnd{Why: "errors 20 % (blue 0.1 %)", Signal: "errors"}
		back, err := w.c.RollBackBake(t.Context(), "web", w.bakeNow().ID, end)
		if err != nil || back.Receipt().From != "blue 95%, green 5%" || back.Receipt().To != "blue" || !inside.Backend.Gate.Closed() {
			t.Fatalf("%v, %v", back, err)
		}
		if isOver(op) {
			t.Error("who waits for the verdict is told before what was inside has left")
		}
		inside.Release()
		if r := over(t, op); r.Bake == nil || r.Bake.State != RolledBack || !r.Bake.Split || !strings.Contains(r.Bake.Why, "20 %") {
			t.Errorf("%+v", r.Bake)
		}
		if svc := w.c.State().Services["web"]; svc.Split != nil || svc.Live != "blue" {
			t.Errorf("%s", svc.sharesText())
		}
		op = w.split(green(500))
		if svc := w.c.State().Services["web"]; svc.Guarded() {
			t.Error("guarded before the verdict")
		}
		if err := w.c.EndBake("web", w.bakeNow().ID, BakeEnd{State: BakePassed, Why: "as good"}); err != nil {
			t.Fatal(err)
		}
		if r := over(t, op); r.Bake.State != BakePassed {
			t.Errorf("%+v", r.Bake)
		}
		if op := w.split(judgedFors(500, time.Minute)); op.Receipt().Unchanged || !w.bakeNow().Running() {
			t.Errorf("asked for another verdict: %s", op.Receipt())
		}
		if r := w.split(judgedFors(500, time.Minute)).Receipt(); !r.Unchanged || r.Bake.State != Baking {
			t.Errorf("asked again while it goes on: %s", r)
		}
		if err := w.c.EndBake("web", w.bakeNow().ID, BakeEnd{State: BakePassed, Why: "as good"}); err != nil {
			t.Fatal(err)
		}
		if again, err := w.c.Bake("web"); err != nil || over(t, again).Bake.State != BakePassed {
			t.Error(err)
		}
		svc := w.c.State().Services["web"]
		if !svc.Guarded() {
			t.Fatal("not guarded after the verdict")
		}
		if op, err := w.c.EndSplit(t.Context(), "web", svc.Split.ID+1, "worse"); err != nil || !op.Receipt().Unchanged {
			t.Errorf("the end of an earlier split: %v", err)
		}
		if op, err := w.c.EndSplit(t.Context(), "web", svc.Split.ID, "worse"); err != nil || over(t, op).To != "blue" || w.c.State().Services["web"].Split != nil {
			t.Error(err)
		}
	})
}

// TestJudgingGoesOn: over a restart, and it does not go beside a bake of a flip.
func TestJudgingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		w.split(green(500))
		id := w.bakeNow().ID
		w.c.Close()
		w.mustStart()
		defer func() { w.c.Close() }()
		if b := w.bakeNow(); !b.Running() || b.ID != id || !b.Split {
			t.Fatalf("%+v", b)
		}
		w.untilUp("web", "green")
		w.untilUp("web", "blue")
		op, err := w.c.Flip(t.Context(), "web", "green", bakes(time.Minute), operator())
		if err != nil {
			t.Fatal(err)
		}
		if b := w.bakeNow(); !b.Running() || b.Split || b.ID == id {
			t.Errorf("%+v", b)
		}
		want := SplitWant{Shares: map[string]int{"blue": 500}}
		if _, err := w.c.Split(t.Context(), "web", want, operator()); refusalOf(t, err).Kind != "conflict" || !strings.Contains(err.Error(), "still bakes") {
			t.Error(err)
		}
		if err := w.c.EndBake("web", w.bakeNow().ID, BakeEnd{State: BakePassed}); err != nil {
			t.Fatal(err)
		}
		over(t, op)
		w.split(want)
	})
}
