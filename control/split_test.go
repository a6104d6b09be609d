package control

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/upstream"
)

// TestOnlyAsManyMoveAsHaveTo: shares change at random among three pools; each has exactly its share, nobody leaves an arm
// that grows, nobody comes to one that shrinks, and who need not move stays.
func TestOnlyAsManyMoveAsHaveTo(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	svc := fromFile(fileOf(t, "web blue=a:1 green=b:1 red=c:1"), startedAt, Cause{}).Services["web"]
	var arms []Arm
	for range 300 {
		shares := map[string]int{"green": rnd.IntN(5001), "red": rnd.IntN(5001)}
		if rnd.IntN(4) == 0 {
			shares["red"] = 0
		}
		before := ownersOf(arms)
		arms = svc.deal([]Arm{{Pool: "green", Spans: spansOf(arms, "green")}, {Pool: "red", Spans: spansOf(arms, "red")}}, shares)
		after := ownersOf(arms)
		moved := 0
		for n := range after {
			if before[n] != after[n] {
				moved++
			}
		}
		least := 0
		for _, pool := range []string{"green", "red"} {
			was, is := countOf(before, pool), countOf(after, pool)
			if is != shares[pool] {
				t.Fatalf("%s has %d of %d", pool, is, shares[pool])
			}
			kept := 0
			for n := range after {
				if before[n] == pool && after[n] == pool {
					kept++
				}
			}
			if kept != min(was, is) {
				t.Fatalf("%s: of %d it kept %d, and has %d", pool, was, kept, is)
			}
			least += max(is-was, was-is)
		}
		if moved > least {
			t.Fatalf("%d moved, and %d would have been enough", moved, least)
		}
	}
}

func spansOf(arms []Arm, pool string) [][2]uint32 {
	for _, a := range arms {
		if a.Pool == pool {
			return a.Spans
		}
	}
	return nil
}

func ownersOf(arms []Arm) (owner [whole]string) {
	for _, a := range arms {
		for _, s := range a.Spans {
			for n := s[0]; n < s[1]; n++ {
				owner[n] = a.Pool
			}
		}
	}
	return owner
}

func countOf(owner [whole]string, pool string) (n int) {
	for _, o := range owner {
		if o == pool {
			n++
		}
	}
	return n
}

// splitWorld has two pools that are up, and one of which nobody answers.
func splitWorld(t *testing.T) *world {
	w := newWorld(t, "web blue=a:1,a:2 green=b:1,b:2 red=c:1", "api one=d:1")
	w.servers.up("v1", "a:1", "a:2", "d:1")
	w.servers.up("v2", "b:1", "b:2")
	w.mustStart()
	w.untilUp("web", "blue")
	w.untilUp("web", "green")
	return w
}

func green(share int) SplitWant { return SplitWant{Shares: map[string]int{"green": share}} }

func (w *world) split(want SplitWant) *Operation {
	w.t.Helper()
	op, err := w.c.Split(w.t.Context(), "web", want, operator())
	if err != nil {
		w.t.Fatalf("split %v: %v", want.Shares, err)
	}
	return op
}

// inGreen sends a request to the arm, which stays inside until its lease is released.
func (w *world) inGreen() upstream.Lease {
	w.t.Helper()
	lease, err := w.proxy.Snapshot().Route(nil, []byte("/web")).Split.Arms[0].Pool.Claim(&upstream.Tried{})
	if err != nil || lease.Backend.Pool != "green" {
		w.t.Fatalf("%+v: %v", lease.Backend, err)
	}
	return lease
}

func leaveAgain(lease upstream.Lease) { lease.Release() }

// TestWhatEndsASplit: each of these leaves the live pool with all, lets what is inside the arm finish, and says so.
func TestWhatEndsASplit(t *testing.T) {
	for _, test := range []struct {
		name, live, text string
		do               func(w *world) (*Operation, error)
	}{
		{"split to nothing", "blue", "split web: blue 95%, green 5% → blue (release v1)", func(w *world) (*Operation, error) {
			return w.c.Split(w.t.Context(), "web", green(0), operator())
		}},
		{"all for the live pool", "blue", "split web: blue 95%, green 5% → blue (release v1)", func(w *world) (*Operation, error) {
			return w.c.Split(w.t.Context(), "web", SplitWant{Shares: map[string]int{"blue": whole}}, operator())
		}},
		{"a rollback", "blue", "rollback web: blue 95%, green 5% → blue (release v1)", func(w *world) (*Operation, error) {
			return w.c.Rollback(w.t.Context(), "web", FlipWant{}, operator())
		}},
		{"a flip to the live pool", "blue", "flip web: blue 95%, green 5% → blue (release v1)", func(w *world) (*Operation, error) {
			return w.c.Flip(w.t.Context(), "web", "blue", FlipWant{}, operator())
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := splitWorld(t)
			defer w.c.Close()
			w.split(green(500))
			inside := w.inGreen()
			op, err := test.do(w)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			svc := w.c.State().Services["web"]
			if svc.Split != nil || svc.Live != test.live || w.proxy.Snapshot().Route(nil, []byte("/web")).Split != nil || !inside.Backend.Gate.Closed() {
				t.Errorf("%s: %s, gate closed %v", test.name, svc.sharesText(), inside.Backend.Gate.Closed())
			}
			if r := op.Receipt(); r.Done || !strings.HasPrefix(r.String(), test.text) {
				t.Errorf("%s: %s", test.name, r)
			}
			inside.Release()
			if r := over(t, op); !r.Done || r.Drain.Found != 1 || r.Drain.Finished != 1 {
				t.Errorf("%s: %s", test.name, r)
			}
		})
	}
}

// TestTheWholeIsAFlip: with all at the arm it is live, by the gates that it had; blue is drained, and a rollback goes there.
func TestTheWholeIsAFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		want := green(500)
		want.Release = "v2"
		w.split(want)
		inGreen, inBlue := w.inGreen(), w.mustClaim("web")
		op := w.split(green(whole))
		svc := w.c.State().Services["web"]
		if svc.Live != "green" || svc.Previous != "blue" || svc.Split != nil || svc.Decided.Release != "v2" {
			t.Errorf("%s, previous %s, %+v", svc.sharesText(), svc.Previous, svc.Decided)
		}
		if inGreen.Backend.Gate.Closed() || !inBlue.Backend.Gate.Closed() {
			t.Error("green's gate is closed, or blue's is open")
		}
		inBlue.Release()
		if r := over(t, op); !r.Done || r.To != "green" || r.Drain.Found != 1 {
			t.Errorf("%s", r)
		}
		inGreen.Release()
		if op, err := w.c.Rollback(t.Context(), "web", FlipWant{}, operator()); err != nil || !over(t, op).Done {
			t.Error(err)
		}
	})
}

// TestSharesAreChanged: the split stays the same one, and asking for what is there changes nothing.
func TestSharesAreChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		first := w.split(SplitWant{Shares: map[string]int{"green": 500}, Rules: []RuleText{{ByHeader, "X-Canary: yes"}, {ByFrom, "blue=10.0.0.0/8"}}})
		synctest.Wait()
		if r := first.Receipt(); !r.Done || !strings.HasPrefix(r.String(), "split web: blue → blue 95%, green 5%, 2 by rule (release v2)") || r.Shares["green"] != 5 || r.Shares["blue"] != 95 {
			t.Errorf("%s, %v", r, r.Shares)
		}
		one := w.c.State().Services["web"].Split
		time.Sleep(time.Second)
		w.split(green(2500))
		two := w.c.State().Services["web"].Split
		if two.ID != one.ID || !two.Since.Equal(one.Since) || !two.At.After(one.At) || len(two.Rules) != 2 || two.Arms[0].Share() != 2500 {
			t.Errorf("was %+v\nis  %+v", one, two)
		}
		if r := w.split(green(2500)).Receipt(); !r.Unchanged || r.what() != "split web: already blue 75%, green 25%, 2 by rule (release v2)" {
			t.Errorf("%s", r)
		}
		w.split(SplitWant{Shares: map[string]int{"green": 0}, Only: true})
		if r := w.split(SplitWant{Shares: map[string]int{"green": 1}, Rules: []RuleText{}}).Receipt(); !strings.Contains(r.String(), "blue 100%, green 0%, 2 by rule → blue 99.99%, green 0.01%") {
			t.Errorf("%s", r)
		}
		status, _ := w.c.ServiceStatus("web")
		if s := status.Split; s == nil || s.Cookie != "sluice_split_web" || len(s.Pools) != 2 || s.Pools[1].Share != 0.01 || s.Pools[1].Release != "v2" || status.Pools[1].Armed || status.Pools[1].Share != 0.01 {
			t.Errorf("%+v", status.Split)
		}
		if r := status.Rollback; !r.Ready || r.Pool != "blue" || !strings.Contains(r.Why, "ends the split") {
			t.Errorf("%+v", r)
		}
	})
}

// TestRefusedSplits: what a flip to a pool is refused for, and what is no split at all; nothing is changed.
func TestRefusedSplits(t *testing.T) {
	five := func(pool string) map[string]int { return map[string]int{pool: 500} }
	for _, test := range []struct {
		name, service string
		want          SplitWant
		kind, says    string
	}{
		{"one pool", "api", SplitWant{Shares: five("one")}, "conflict", "one pool"},
		{"no service", "shop", SplitWant{Shares: five("green")}, "unknown", "shop"},
		{"no pool", "web", SplitWant{Shares: five("gren")}, "unknown", "gren"},
		{"above 100", "web", SplitWant{Shares: map[string]int{"green": 9000, "red": 1001}}, "conflict", "100.01%"},
		{"nobody takes the rest", "web", SplitWant{Shares: map[string]int{"green": 500, "blue": 9000}}, "conflict", "nobody would take 5%"},
		{"nobody answers", "web", SplitWant{Shares: five("red")}, "unhealthy", "c:1"},
		{"another release", "web", SplitWant{Shares: five("green"), Release: "v3"}, "release", "reports v2"},
		{"two of a release", "web", SplitWant{Shares: map[string]int{"green": 1, "red": 1}, Release: "v2"}, "conflict", "2 pools"},
		{"only nobody", "web", SplitWant{Shares: map[string]int{"green": 0}, Only: true}, "conflict", "no rule"},
		{"a rule at the end", "web", SplitWant{Shares: map[string]int{"green": 0}, Rules: []RuleText{{ByHeader, "A: b"}}}, "conflict", "no pool is given a share"},
		{"no header", "web", SplitWant{Shares: five("green"), Rules: []RuleText{{ByHeader, "X-Canary"}}}, "conflict", "no header"},
		{"the whole Cookie", "web", SplitWant{Shares: five("green"), Rules: []RuleText{{ByHeader, "Cookie: a=b"}}}, "conflict", "no header"},
		{"no cookie", "web", SplitWant{Shares: five("green"), Rules: []RuleText{{ByCookie, "canary"}}}, "conflict", "no cookie"},
		{"no address", "web", SplitWant{Shares: five("green"), Rules: []RuleText{{ByFrom, "10.0.0.0/33"}}}, "conflict", "no address"},
		{"a rule for a pool without a part", "web", SplitWant{Shares: five("green"), Rules: []RuleText{{ByFrom, "red=10.0.0.1"}}}, "conflict", "no address"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := splitWorld(t)
			defer w.c.Close()
			before := w.c.Generation()
			_, err := w.c.Split(t.Context(), test.service, test.want, operator())
			if r := refusalOf(t, err); r.Kind != test.kind || !strings.Contains(r.What, test.says) || w.c.Generation() != before {
				t.Errorf("%s: %+v", test.name, r)
			}
		})
	}
}

// TestToTakeBackIsNeverRefused: an arm of which a server is down may shrink, and may not grow.
func TestToTakeBackIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		w.split(green(2500))
		w.servers.down("connection refused", "b:1", "b:2")
		time.Sleep(20 * time.Second)
		if _, err := w.c.Split(t.Context(), "web", green(5000), operator()); refusalOf(t, err).Kind != "unhealthy" {
			t.Error(err)
		}
		w.split(green(100))
		if r := over(t, w.split(green(0))); !r.Done {
			t.Errorf("%s", r)
		}
	})
}

// TestASplitSurvives: what is on disk brings the same split back, numbers and rules, and a file that has changed ends it.
func TestASplitSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		w.split(SplitWant{Shares: map[string]int{"green": 500}, Release: "v2", Rules: []RuleText{{ByCookie, "canary=a=b"}}})
		w.split(green(2500))
		want := w.c.State().Services["web"].Split
		w.c.Close()
		w.mustStart()
		if is := w.c.State().Services["web"].Split; fmt.Sprintf("%+v", is.Arms) != fmt.Sprintf("%+v", want.Arms) || !reflect.DeepEqual(is.Rules, want.Rules) || is.ID != want.ID {
			t.Errorf("was %+v\nis  %+v", want, is)
		}
		if s := w.proxy.Snapshot().Route(nil, []byte("/web")).Split; s == nil || s.Tickets.ID != want.ID {
			t.Errorf("%+v", s)
		}
		w.untilUp("web", "green")
		leaveAgain(w.inGreen())
		w.c.Close()
		for file, ends := range map[string]string{
			"web live=green blue=a:1,a:2 green=b:1,b:2": "green is live now",
			"web blue=a:1,a:2 red=c:1":                  "no pool green",
		} {
			w.heard()
			w.cfg = fileOf(t, file)
			disk := w.disk
			w.disk = disk.copy()
			w.mustStart()
			if sp := w.c.State().Services["web"].Split; sp != nil {
				t.Errorf("%s: %+v", file, sp)
			}
			if told := fmt.Sprint(w.heard()); !strings.Contains(told, ends) {
				t.Errorf("%s: %s", file, told)
			}
			w.c.Close()
			w.disk = disk
		}
	})
}

// TestAPausedSplitWaits: while the service is paused all wait, whichever pool they are for; what is inside an arm goes on.
func TestAPausedSplitWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		w.split(green(5000))
		inside := w.inGreen()
		if _, err := w.c.Pause(t.Context(), "web", PauseWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		if one := w.proxy.Snapshot().Route(nil, []byte("/web")); one.Split != nil || !one.Hold || inside.Backend.Gate.Closed() {
			t.Errorf("%+v, gate closed %v", one.Split, inside.Backend.Gate.Closed())
		}
		if _, err := w.c.Resume(t.Context(), "web", nil, operator()); err != nil {
			t.Fatal(err)
		}
		leaveAgain(w.inGreen())
		inside.Release()
	})
}

// TestArmsAreNotRetired: a release that takes a share is needed, and cannot be retired.
func TestArmsAreNotRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := splitWorld(t)
		defer w.c.Close()
		w.split(green(500))
		if h, err := w.c.HoldRelease("web", "v2", time.Minute); err != nil || !h.Hold || !strings.Contains(h.Why, "takes a share") {
			t.Errorf("%+v, %v", h, err)
		}
		_, err := w.c.Retire(t.Context(), "web", "v2", RetireWant{}, operator())
		if r := refusalOf(t, err); r.Kind != "blocked" {
			t.Errorf("%+v", r)
		}
		w.split(green(0))
		if h, _ := w.c.HoldRelease("web", "v2", time.Minute); h.Hold {
			t.Errorf("%+v", h)
		}
	})
}

// TestASplitOfWhatIsSeen: a pool that has a preview keeps its gate when it becomes an arm; when the split ends its visitors are
// drained by that gate, and testers come by another one.
func TestASplitOfWhatIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1").seen(everyWay())
		w.servers.up("v1", "a:1")
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		early := w.mustTest()
		w.split(green(500))
		visitor := w.inGreen()
		if early.Backend.Gate.Closed() || visitor.Backend.Gate != early.Backend.Gate {
			t.Error("the arm has another gate than the preview")
		}
		op := w.split(green(0))
		late := w.mustTest()
		if !visitor.Backend.Gate.Closed() || late.Backend.Gate == visitor.Backend.Gate {
			t.Errorf("the gate of visitors is closed: %v; testers have it: %v", visitor.Backend.Gate.Closed(), late.Backend.Gate == visitor.Backend.Gate)
		}
		early.Release()
		visitor.Release()
		if r := over(t, op); !r.Done || r.Drain.Found != 2 {
			t.Errorf("%s", r)
		}
		late.Release()
	})
}
