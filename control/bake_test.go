package control

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/judge"
)

func bakes(d time.Duration) FlipWant { return FlipWant{Bake: BakeWant{For: &d}} }

// figured is what two pools had done when a flip was made.
func figured(string, string) watched {
	return watched{baseline: judge.Sample{Requests: 500, Errors: 1}, bursts: judge.Bursts{Errors: 0.5}, start: judge.Sample{Requests: 7}}
}

// baked is the plain State after a flip to green that bakes for a minute.
func bakedState(t *testing.T) State {
	s := fill(fill(plain(t), "v1", "a:1", "a:2"), "v2", "b:1", "b:2")
	m := moment{time.Unix(100, 0), Cause{By: "anna", Verb: "flip"}}
	d := time.Minute
	after, err := baking(flip("web", "green", FlipWant{}, m), "web", BakeWant{For: &d}, figured, m)(s)
	if err != nil {
		t.Fatal(err)
	}
	after.Generation++
	return after
}

func TestAFlipBeginsABake(t *testing.T) {
	b := bakedState(t).Services["web"].Bake
	if !b.Running() || b.ID != "8" || b.From.String() != "blue v1" || b.To.String() != "green v2" || !b.Ends.Equal(time.Unix(160, 0)) {
		t.Fatalf("%+v", b)
	}
	if b.Baseline.Requests != 500 || b.Bursts.Errors != 0.5 || b.start.Requests != 7 {
		t.Errorf("%+v", b)
	}
}

// TestWhatBakes asks for bakes in each way, with a file that bakes for a second and one that does not.
func TestWhatBakes(t *testing.T) {
	m := moment{time.Unix(100, 0), Cause{By: "anna", Verb: "flip"}}
	length := func(d time.Duration) *time.Duration { return &d }
	rows := []struct {
		why    string
		file   time.Duration
		want   *time.Duration
		bakes  time.Duration
		refuse string
	}{
		{"nobody asks", 0, nil, 0, ""},
		{"the file does", time.Second, nil, time.Second, ""},
		{"the call does", 0, length(time.Minute), time.Minute, ""},
		{"the call wins", time.Second, length(time.Minute), time.Minute, ""},
		{"the call wants none", time.Second, length(0), 0, ""},
		{"too long", 0, length(200 * time.Hour), 0, "conflict"},
		{"negative", 0, length(-time.Second), 0, "conflict"},
	}
	for _, row := range rows {
		s := fill(fill(plain(t), "v1", "a:1", "a:2"), "v2", "b:1", "b:2")
		s.Services["web"].File.Bake.For = row.file
		after, err := baking(flip("web", "green", FlipWant{}, m), "web", BakeWant{row.want}, figured, m)(s)
		if row.refuse != "" {
			if r := refusalOf(t, err); r.Kind != row.refuse || after.Services["web"].Live != "blue" {
				t.Errorf("%s: %v, live %s", row.why, r, after.Services["web"].Live)
			}
			continue
		}
		var got time.Duration
		if b := after.Services["web"].Bake; b.Running() {
			got = b.Ends.Sub(b.Began)
		}
		if err != nil || got != row.bakes {
			t.Errorf("%s: bakes for %s (%v)", row.why, got, err)
		}
	}
}

// TestARenewalHasNoWayBack: a flip to the live pool with another release has no pool to go back to.
func TestARenewalHasNoWayBack(t *testing.T) {
	s := bakedState(t)
	s = fill(s, "v3", "b:1", "b:2")
	svc := *s.Services["web"]
	svc.Decided = &Decision{Value: "green", Release: "v2"}
	s = s.with(&svc)
	m := moment{time.Unix(200, 0), Cause{Verb: "flip"}}
	change := flip("web", "green", FlipWant{Release: "v3"}, m)
	d := time.Minute
	if _, err := baking(change, "web", BakeWant{For: &d}, figured, m)(s); refusalOf(t, err).Kind != "conflict" {
		t.Error(err)
	}
	svc.File.Bake.For = time.Minute
	if _, err := baking(change, "web", BakeWant{}, figured, m)(s); err != nil {
		t.Errorf("the file's bake is not asked for by name: %v", err)
	}
}

// TestWhatEndsABake makes each change of the live pool while a bake goes on.
func TestWhatEndsABake(t *testing.T) {
	m := moment{time.Unix(130, 0), Cause{By: "bert", Verb: "rollback"}}
	end := BakeEnd{Why: "too many errors"}
	rows := []struct {
		why    string
		change Change
		state  BakeState
		live   string
	}{
		{"a rollback by hand", rollback("web", FlipWant{}, m), Superseded, "blue"},
		{"another flip", flip("web", "both", FlipWant{}, m), Superseded, "both"},
		{"its own rollback", rollBackBake("web", "8", end, m), RolledBack, "blue"},
		{"a drain of one backend", setAdmin("web", "green", "b:1", Drain, AdminWant{}, m), Baking, "green"},
	}
	for _, row := range rows {
		after, err := row.change(bakedState(t))
		if err != nil {
			t.Errorf("%s: %v", row.why, err)
			continue
		}
		svc := after.Services["web"]
		if svc.Bake.State() != row.state || svc.Live != row.live {
			t.Errorf("%s: %s, live %s", row.why, svc.Bake.State(), svc.Live)
		}
	}
	after, _ := rollBackBake("web", "8", end, m)(bakedState(t))
	if e := after.Services["web"].Bake.End; e.Rollback != 9 || !e.At.Equal(m.at) || after.Services["web"].Previous != "green" {
		t.Errorf("%+v, previous %s", e, after.Services["web"].Previous)
	}
	if _, err := rollBackBake("web", "8", end, m)(after); refusalOf(t, err).Kind != "conflict" {
		t.Error("it was rolled back twice")
	}
	if _, err := rollBackBake("web", "7", end, m)(bakedState(t)); refusalOf(t, err).Kind != "conflict" {
		t.Error("another bake was rolled back")
	}
}

// TestABakeGoesOnlyBackToWhatWorks: what refuses a rollback refuses that of a bake, and the bake goes on.
func TestABakeGoesOnlyBackToWhatWorks(t *testing.T) {
	s := bakedState(t)
	for _, a := range []string{"a:1", "a:2"} {
		s = s.observed(Key{"web", "blue", a}, healthcheck.Verdict{State: healthcheck.Down, Reason: "connection refused"})
	}
	after, err := rollBackBake("web", "8", BakeEnd{}, moment{})(s)
	if refusalOf(t, err).Kind != "unhealthy" || !after.Services["web"].Bake.Running() || after.Services["web"].Live != "green" {
		t.Errorf("%v: %+v", err, after.Services["web"])
	}
}

// TestABakeOverARestart joins what was saved with files that changed meanwhile, or did not.
func TestABakeOverARestart(t *testing.T) {
	data, err := bakedState(t).encode()
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		file  string
		state BakeState
		says  string
	}{
		{"web live=blue blue=a:1,a:2 green=b:1,b:2 both=a:1", Baking, ""},
		{"web live=both blue=a:1,a:2 green=b:1,b:2 both=a:1", Superseded, "the file wins"},
		{"web live=green blue=a:1,a:2 green=b:1,b:2", Superseded, "its bake has ended"},
		{"web live=blue green=b:1,b:2 blue=a:1 both=a:1", Baking, ""},
	}
	for _, row := range rows {
		old, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		s, ends := join(fromFile(fileOf(t, row.file), time.Unix(110, 0), Cause{}), old, time.Unix(110, 0), Cause{})
		var says []string
		for _, e := range ends {
			says = append(says, e.text)
		}
		b := s.Services["web"].Bake
		if b.State() != row.state || !strings.Contains(strings.Join(says, "; "), row.says) {
			t.Errorf("%s: %s, %q", row.file, b.State(), says)
		}
		if b.Running() && (b.Baseline.Requests != 500 || !b.Ends.Equal(time.Unix(160, 0)) || b.start.Requests != 0 || b.From.String() != "blue v1") {
			t.Errorf("%s: %+v", row.file, b)
		}
	}
}

// baking starts a world in which green bakes.
func bakingWorld(t *testing.T, d time.Duration) (*world, *Operation) {
	t.Helper()
	w := newWorld(t, "web blue=a:1 green=b:1")
	w.servers.up("v1", "a:1")
	w.servers.up("v2", "b:1")
	w.mustStart()
	synctest.Wait()
	op, err := w.c.Flip(t.Context(), "web", "green", bakes(d), operator())
	if err != nil {
		t.Fatal(err)
	}
	return w, op
}

func hasEnded(op *Operation) bool {
	synctest.Wait()
	select {
	case <-op.Done():
		return true
	default:
		return false
	}
}

// TestTheFlipWaitsForTheVerdict, and so does everyone who asks for it again.
func TestTheFlipWaitsForTheVerdict(t *testing.T) {
	for _, end := range []BakeEnd{{State: BakePassed, Why: "as good"}, {State: NotEnough, Why: "12 requests"}, {State: BakedWorse, Why: "slow"}} {
		synctest.Test(t, func(t *testing.T) {
			w, op := bakingWorld(t, time.Minute)
			defer w.c.Close()
			again, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator())
			third, err2 := w.c.Bake("web")
			if err != nil || err2 != nil || third != op {
				t.Fatal(err, err2)
			}
			time.Sleep(20 * time.Second)
			if hasEnded(op) || hasEnded(again) {
				t.Fatal("done before the verdict")
			}
			if b := op.Receipt().Bake; b == nil || b.State != Baking || b.Left != 40 || !op.Receipt().Done || op.Receipt().Bakes != 60 {
				t.Errorf("%+v", op.Receipt())
			}
			generation := w.c.Generation()
			if err := w.c.EndBake("web", op.Receipt().ID, end); err != nil {
				t.Fatal(err)
			}
			for _, one := range []*Operation{op, again} {
				if b := over(t, one).Bake; b.State != end.State || b.Why != end.Why || b.Ended == nil {
					t.Errorf("%+v", b)
				}
			}
			if w.c.Generation() != generation {
				t.Error("a verdict broke If-Match")
			}
			if refusalOf(t, w.c.EndBake("web", op.Receipt().ID, end)).Kind != "conflict" {
				t.Error("a second verdict")
			}
			if s := w.c.Status().Services[0].Bake; s == nil || s.State != end.State {
				t.Errorf("status has %+v", s)
			}
			late, err := w.c.Flip(t.Context(), "web", "green", bakes(time.Minute), operator())
			if b := over(t, late).Bake; err != nil || b == nil || b.State != end.State {
				t.Errorf("who asks for the bake again: %v %+v", err, b)
			}
			plain, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator())
			if b := over(t, plain).Bake; err != nil || b != nil {
				t.Errorf("who asks for no bake: %v %+v", err, b)
			}
		})
	}
}

// TestABakeRollsBack: the flip's operation ends when what the rollback took out of traffic is empty.
func TestABakeRollsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, op := bakingWorld(t, time.Minute)
		defer w.c.Close()
		lease := w.mustClaim("web")
		w.heard()
		back, err := w.c.RollBackBake(t.Context(), "web", op.Receipt().ID, BakeEnd{Why: "9 of 40 failed"})
		if err != nil {
			t.Fatal(err)
		}
		if hasEnded(op) {
			t.Error("somebody is inside of green")
		}
		lease.Release()
		r := over(t, op)
		if r.Bake.State != RolledBack || r.Bake.Rollback != back.Receipt().Generation {
			t.Errorf("%+v", r.Bake)
		}
		svc := w.c.State().Services["web"]
		if svc.Live != "blue" || svc.Cause.By != "bake" || svc.Cause.Verb != "rollback" || svc.Cause.Note != "9 of 40 failed" {
			t.Errorf("live %s by %+v", svc.Live, svc.Cause)
		}
		told := 0
		for _, e := range w.heard() {
			if e.Kind == "bake_worse" && strings.Contains(e.Text, "9 of 40 failed") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told of %d times", told)
		}
		entries, err := w.c.History("web", 0)
		if last := entries[len(entries)-1]; err != nil || last.Cause.By != "bake" || last.Cause.Note != "9 of 40 failed" || last.Verb != "rollback" {
			t.Errorf("%v %+v", err, last)
		}
		if _, err := w.c.RollBackBake(t.Context(), "web", op.Receipt().ID, BakeEnd{}); refusalOf(t, err).Kind != "conflict" {
			t.Error("rolled back twice")
		}
	})
}

// TestAnotherCommandEndsTheBake, and who waits is told so.
func TestAnotherCommandEndsTheBake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, op := bakingWorld(t, time.Minute)
		defer w.c.Close()
		first, err := w.c.Flip(t.Context(), "web", "blue", bakes(time.Minute), Cause{By: "bert"})
		if err != nil {
			t.Fatal(err)
		}
		if b := over(t, op).Bake; b.State != Superseded || b.Why != "flip by bert came before the verdict" {
			t.Errorf("%+v", b)
		}
		if r := first.Receipt(); r.Unjudged != "green v2" || !strings.Contains(r.String(), "ends the bake of green v2 before its verdict") || !strings.Contains(r.String(), "to bake for 1m0s") {
			t.Errorf("%s", r)
		}
		if _, err := w.c.Rollback(t.Context(), "web", FlipWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		if b := over(t, first).Bake; b.State != Superseded {
			t.Errorf("%+v", b)
		}
		if svc := w.c.State().Services["web"]; svc.Bake.State() != Superseded || svc.Live != "green" {
			t.Errorf("%+v", svc.Bake)
		}
	})
}

// TestTheWayBackIsKept: the release before is not retired while one bakes, and its servers are needed.
func TestTheWayBackIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, op := bakingWorld(t, 10*time.Minute)
		defer w.c.Close()
		w.servers.down("connection refused", "a:1")
		time.Sleep(time.Minute)
		_, err := w.c.Retire(t.Context(), "web", "v1", RetireWant{}, operator())
		r := refusalOf(t, err)
		if r.Kind != "blocked" || len(r.Blockers) != 1 || r.Blockers[0].Kind != "bake" || r.Blockers[0].Ends == nil || !strings.Contains(r.What, "green v2 bakes, and would be rolled back to blue v1") {
			t.Errorf("%+v", r)
		}
		if h, err := w.c.HoldRelease("web", "v1", time.Second); err != nil || !h.Hold || h.Until == nil || time.Until(*h.Until) != 9*time.Minute {
			t.Errorf("%+v %v", h, err)
		}
		if err := w.c.StickBake("web", op.Receipt().ID, "slow", "nobody of blue is up"); err != nil {
			t.Fatal(err)
		}
		if b := op.Receipt().Bake; b.State != Baking || b.Stuck != "nobody of blue is up" || b.Why != "slow" {
			t.Errorf("%+v", b)
		}
		w.c.EndBake("web", op.Receipt().ID, BakeEnd{State: BakePassed})
		if _, err := w.c.Retire(t.Context(), "web", "v1", RetireWant{}, operator()); err != nil {
			t.Error(err)
		}
	})
}

// TestKillAtEachSaveOfABake starts a process from each state that was ever on the disk: each has one bake that goes on or one
// end, and what serves is what that says.
func TestKillAtEachSaveOfABake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, op := bakingWorld(t, time.Minute)
		disks := []*memory{w.disk.copy()}
		id := op.Receipt().ID
		w.c.StickBake("web", id, "slow", "nobody is up")
		disks = append(disks, w.disk.copy())
		if _, err := w.c.RollBackBake(t.Context(), "web", id, BakeEnd{Why: "slow"}); err != nil {
			t.Fatal(err)
		}
		disks = append(disks, w.disk.copy())
		w.c.Close()
		for i, disk := range disks {
			next := newWorld(t, "web blue=a:1 green=b:1")
			next.disk, next.servers = disk, w.servers
			next.mustStart()
			synctest.Wait()
			again, err := next.c.Bake("web")
			if byID := next.c.Operation(id); err != nil || byID != again || next.c.Operation("99") != nil {
				t.Fatal(err, byID)
			}
			svc := next.c.State().Services["web"]
			if i < 2 {
				if svc.Live != "green" || !svc.Bake.Running() || hasEnded(again) {
					t.Errorf("disk %d: live %s, %s", i, svc.Live, svc.Bake.State())
				}
				if _, err := next.c.RollBackBake(t.Context(), "web", id, BakeEnd{Why: "slow"}); err != nil {
					t.Errorf("disk %d: %v", i, err)
				}
			}
			if b := over(t, again).Bake; b.State != RolledBack || b.Why != "slow" {
				t.Errorf("disk %d: %+v", i, b)
			}
			if _, err := next.c.RollBackBake(t.Context(), "web", id, BakeEnd{}); refusalOf(t, err).Kind != "conflict" {
				t.Errorf("disk %d: a second rollback", i)
			}
			if live := next.c.State().Services["web"].Live; live != "blue" {
				t.Errorf("disk %d: live %s", i, live)
			}
			next.c.Close()
		}
	})
}

// TestAVerdictOnAFullDisk is none: it stays as it was, and is told of.
func TestAVerdictOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, op := bakingWorld(t, time.Minute)
		defer w.c.Close()
		synctest.Wait()
		w.heard()
		w.disk.fail(errors.New("no space left"))
		if r := refusalOf(t, w.c.EndBake("web", op.Receipt().ID, BakeEnd{State: BakePassed})); r.Kind != "storage" {
			t.Errorf("%+v", r)
		}
		if hasEnded(op) || !w.c.State().Services["web"].Bake.Running() {
			t.Error("it ended")
		}
		if all := w.heard(); len(all) != 1 || all[0].Kind != "storage" || !strings.Contains(all[0].Text, "no space left") {
			t.Errorf("%+v", all)
		}
		w.disk.fail(nil)
		if err := w.c.EndBake("web", op.Receipt().ID, BakeEnd{State: BakePassed}); err != nil || !hasEnded(op) {
			t.Error(err)
		}
	})
}

func TestNothingBakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.mustStart()
		defer w.c.Close()
		if _, err := w.c.Bake("web"); refusalOf(t, err).Kind != "unknown" {
			t.Error(err)
		}
		if _, err := w.c.Bake("shop"); refusalOf(t, err).Kind != "unknown" {
			t.Error(err)
		}
		if b := w.c.Status().Services[0].Bake; b != nil {
			t.Errorf("%+v", b)
		}
	})
}

// TestABaselineIsOfTheLastMinutes feeds an hour of steady traffic, and then looks after pauses.
func TestABaselineIsOfTheLastMinutes(t *testing.T) {
	var b baselines
	k, done := poolKey{"web", "blue"}, judge.Sample{}
	b.note(k, done)
	if len(b.all) != 0 {
		t.Error("a pool without traffic takes memory")
	}
	for range 240 {
		done.Requests += 10
		b.note(k, done)
	}
	done.Requests += 3
	if got, _ := b.lately(k, done); got.Requests != 393 {
		t.Errorf("%d requests", got.Requests)
	}
	for range 20 {
		b.note(k, done)
	}
	if got, _ := b.lately(k, done); got.Requests != 193 {
		t.Errorf("%d requests, and half of the time was quiet", got.Requests)
	}
	for range 40 {
		b.note(k, done)
	}
	if got, _ := b.lately(k, done); got.Requests != 0 {
		t.Errorf("%d requests, and it was quiet for long", got.Requests)
	}
	if got, _ := b.lately(poolKey{"web", "green"}, judge.Sample{Requests: 3}); got.Requests != 3 {
		t.Errorf("%+v of a pool of which nothing was written down yet", got)
	}
}

// TestTheFileHasTheRulesOfTheJudge, where it says nothing else.
func TestTheFileHasTheRulesOfTheJudge(t *testing.T) {
	cfg, err := config.Parse("sluice.yaml", []byte("services: {web: {backends: [a:1]}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := judgeRules(&cfg.Services[0].Bake, time.Minute), judge.Defaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	cfg.Services[0].Bake.Latency = false
	if got := judgeRules(&cfg.Services[0].Bake, 10*time.Second); got.Quantiles != nil || got.WarmUp != 2 {
		t.Errorf("%+v", got)
	}
}
