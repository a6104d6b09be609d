package control

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sluice/config"
	"sluice/healthcheck"
)

var limits = config.Eject{Connect: 3, Errors: 5, Most: 50, Time: 10 * time.Second, Longest: 5 * time.Minute}

// ejectable is a State of one service, with n backends that are up.
func ejectable(t testing.TB, n int) State {
	list := "a:0"
	for i := 1; i < n; i++ {
		list += fmt.Sprintf(",a:%d", i)
	}
	s := fromFile(fileOf(t, "web blue="+list+" green=b:1"), time.Unix(0, 0), Cause{})
	s.Services["web"].File.Eject = limits
	for _, b := range s.backends {
		s = s.observed(b.Key, healthcheck.Verdict{State: healthcheck.Up})
	}
	return s
}

func backend(i int) Key { return Key{"web", "blue", fmt.Sprintf("a:%d", i)} }

func failingAt(keys ...Key) (all []suspect) {
	for _, k := range keys {
		all = append(all, suspect{Key: k, reason: failing, why: "5 requests in a row failed"})
	}
	return all
}

func allOf(n int) (keys []Key) {
	for i := range n {
		keys = append(keys, backend(i))
	}
	return keys
}

func TestNeverMoreThanTheCap(t *testing.T) {
	at := time.Unix(100, 0)
	for _, tt := range []struct{ backends, most, failOpen, out int }{
		{1, 50, 0, 0}, {2, 50, 0, 1}, {3, 50, 0, 1}, {4, 50, 0, 2}, {5, 50, 0, 2}, {10, 50, 0, 5},
		{1, 100, 0, 0}, {2, 100, 0, 1}, {3, 100, 0, 2}, {10, 100, 0, 9},
		{2, 1, 0, 1}, {10, 1, 0, 1}, {10, 30, 0, 3}, {10, 29, 0, 2},
		{10, 50, 60, 4}, {10, 50, 100, 0}, {10, 50, 99, 0}, {10, 50, 1, 5}, {3, 50, 60, 1}, {3, 100, 60, 1},
	} {
		s := ejectable(t, tt.backends)
		file := s.Services["web"].File
		file.Eject.Most, file.FailOpen = tt.most, tt.failOpen
		s = s.eject(failingAt(allOf(tt.backends)...), at)
		if n := s.Services["web"].headcount(); n.out != tt.out || s.Services["web"].failOpen() {
			t.Errorf("%d backends, most %d%%, fail_open %d%%: %d are out, want %d", tt.backends, tt.most, tt.failOpen, n.out, tt.out)
		}
	}
}

// TestTheGravestGoFirst where not all can.
func TestTheGravestGoFirst(t *testing.T) {
	s := ejectable(t, 4)
	s = s.eject([]suspect{
		{Key: backend(0), reason: lagging, weight: 100},
		{Key: backend(1), reason: failing, weight: 5},
		{Key: backend(2), reason: failing, weight: 50},
		{Key: backend(3), reason: refusing, weight: 3},
	}, time.Unix(100, 0))
	for i, out := range []bool{false, false, true, true} {
		if s.Backend(backend(i)).Ejection.Out() != out {
			t.Errorf("%s: out is %v", backend(i), !out)
		}
	}
}

func TestEachFurtherEjectionIsTwiceAsLong(t *testing.T) {
	s, at, k := ejectable(t, 2), time.Unix(100, 0), backend(0)
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300, 300} {
		s = s.eject(failingAt(k), at)
		e := s.Backend(k).Ejection
		if got := e.Until.Sub(at); got != want*time.Second || e.Total != i+1 {
			t.Fatalf("ejection %d lasts %s, want %ds; %d in all", i+1, got, want, e.Total)
		}
		at = e.Until
		s = s.readmitted(k, at)
		at = at.Add(time.Second) // it fails again at once
	}
}

// TestGoodBehaviourIsRemembered: one ejection is forgotten for each stay that is as long as the last absence.
func TestGoodBehaviourIsRemembered(t *testing.T) {
	for _, tt := range []struct {
		why   string
		stay  time.Duration
		lasts time.Duration
	}{
		{"it fails as soon as it is back", 0, 80},
		{"a bit too soon", 39 * time.Second, 80},
		{"in for as long as out", 40 * time.Second, 40},
		{"in for all of them", 70 * time.Second, 10},
		{"in for a day", 24 * time.Hour, 10},
	} {
		s, at, k := ejectable(t, 2), time.Unix(100, 0), backend(0)
		for range 3 {
			s = s.eject(failingAt(k), at)
			at = s.Backend(k).Ejection.Until
			s = s.readmitted(k, at)
		}
		at = at.Add(tt.stay)
		s = s.eject(failingAt(k), at)
		if got := s.Backend(k).Ejection.Until.Sub(at); got != tt.lasts*time.Second {
			t.Errorf("%s: %s, want %ds", tt.why, got, tt.lasts)
		}
	}
}

// TestOperatorAndChecksAreNotTouched, and what an operator does forgets the ejection, but not how many there were.
func TestOperatorAndChecksAreNotTouched(t *testing.T) {
	at, k := time.Unix(100, 0), backend(0)
	before := ejectable(t, 3)
	s := before.eject(failingAt(k), at)
	was, is := before.Backend(k), s.Backend(k)
	if is.Admin != was.Admin || is.Health != was.Health || is.Decided != was.Decided || is.Incarnation != was.Incarnation || s.Generation != before.Generation {
		t.Errorf("became %+v", is)
	}
	if was.Ejection.Out() {
		t.Error("the State before was changed")
	}
	for _, admin := range []Admin{Drain, Maint} {
		d, err := setAdmin("web", "blue", "a:0", admin, AdminWant{}, moment{})(before)
		if err != nil {
			t.Fatal(err)
		}
		if d = d.eject(failingAt(k), at); d.Backend(k).Ejection.Out() || d.Backend(k).Admin != admin {
			t.Errorf("one in %s was ejected", admin)
		}
		d, _ = setAdmin("web", "blue", "a:0", admin, AdminWant{}, moment{})(s)
		d = d.readmitted(k, at.Add(time.Minute))
		if d.Backend(k).Admin != admin {
			t.Errorf("the end of an ejection made it %s", d.Backend(k).Admin)
		}
		if d, _ = setAdmin("web", "blue", "a:0", Ready, AdminWant{}, moment{})(d); d.Backend(k).Ejection != (Ejection{Total: 1}) {
			t.Errorf("ready again: %+v", d.Backend(k).Ejection)
		}
	}
	if s := s.observed(k, healthcheck.Verdict{State: healthcheck.Up, Passes: 9}); !s.Backend(k).Ejection.Out() {
		t.Error("a passing check alone took it in")
	}
	if _, err := flip("web", "green", FlipWant{}, moment{})(s); err != nil {
		t.Errorf("an ejection stands in the way of a flip: %v", err)
	}
}

// TestAnyOrderOfEvents: whatever befalls a pool, an ejection takes neither more than the cap allows nor the last one, opens
// no pool, and decides nothing that is not its own.
func TestAnyOrderOfEvents(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		n := 1 + r.IntN(8)
		s, at := ejectable(t, n), time.Unix(100, 0)
		file := s.Services["web"].File
		file.Eject.Most, file.FailOpen = 1+r.IntN(100), r.IntN(2)*r.IntN(101)
		for step := range 200 {
			k := backend(r.IntN(n))
			at = at.Add(time.Duration(r.IntN(20)) * time.Second)
			before := s
			what := r.IntN(6)
			switch what {
			case 0, 1:
				s = s.eject([]suspect{{Key: k, reason: reason(r.IntN(3))}, {Key: backend(r.IntN(n)), reason: failing}}, at)
			case 2:
				s = s.readmitted(k, at)
			case 3:
				s, _ = setAdmin("web", "blue", k.Backend, []Admin{Ready, Drain, Maint}[r.IntN(3)], AdminWant{}, moment{})(s)
			default:
				s = s.observed(k, healthcheck.Verdict{State: healthcheck.State(r.IntN(3))})
			}
			s = s.relieved(at)
			where := fmt.Sprintf("seed %d, step %d, most %d%%, fail_open %d%%\n%s", seed, step, file.Eject.Most, file.FailOpen, describe(s))
			checkEjections(t, where, s)
			if what < 3 {
				onlyEjected(t, where, before, s)
			}
			if t.Failed() {
				return
			}
		}
	}
}

func checkEjections(t *testing.T, where string, s State) {
	t.Helper()
	svc := s.Services["web"]
	file, n := svc.File, svc.headcount()
	up := n.in + n.out
	if n.out > max(1, up*file.Eject.Most/100) {
		t.Errorf("%d of %d are out; %s", n.out, up, where)
	}
	if up > 0 && n.in == 0 {
		t.Errorf("the last one is out; %s", where)
	}
	if n.out > 0 && n.in*100 < file.FailOpen*n.ready {
		t.Errorf("ejections open the pool; %s", where)
	}
	choice := svc.chosen()
	if up > 0 && len(choice) == 0 {
		t.Errorf("nobody is chosen; %s", where)
	}
	for _, b := range choice {
		if b.Admin != Ready || b.Ejection.Out() || b.Health.State != healthcheck.Up && !(svc.failOpen() && b.Risen && b.Health.State == healthcheck.Down) {
			t.Errorf("%s is chosen; %s", b.Key, where)
		}
	}
}

func onlyEjected(t *testing.T, where string, was, is State) {
	t.Helper()
	for _, b := range is.backends {
		old := *was.Backend(b.Key)
		old.Ejection = b.Ejection
		if old != *b {
			t.Errorf("%+v became %+v; %s", old, *b, where)
		}
	}
}

func TestFailOpen(t *testing.T) {
	up, down := healthcheck.Verdict{State: healthcheck.Up}, healthcheck.Verdict{State: healthcheck.Down}
	tests := []struct {
		why      string
		failOpen int
		set      func(State) State
		want     int // chosen
		open     bool
	}{
		{"all up", 30, func(s State) State { return s }, 10, false},
		{"as many up as it says", 30, func(s State) State { return observe(s, down, 0, 1, 2, 3, 4, 5, 6) }, 3, false},
		{"one fewer", 30, func(s State) State { return observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7) }, 10, true},
		{"nobody up", 30, func(s State) State { return observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) }, 10, true},
		{"off", 0, func(s State) State { return observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) }, 0, false},
		{"those in drain are not asked, and not counted", 30, func(s State) State {
			for i := range 8 {
				s, _ = setAdmin("web", "blue", backend(i).Backend, Drain, AdminWant{}, moment{})(s)
			}
			return observe(s, down, 8)
		}, 1, false},
		{"one that was never up since it is ready is left out", 30, func(s State) State {
			for _, admin := range []Admin{Drain, Ready} {
				s, _ = setAdmin("web", "blue", "a:0", admin, AdminWant{}, moment{})(s)
			}
			return observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		}, 9, true},
		{"one that refuses connections is left out, whatever the cap", 30, func(s State) State {
			s = observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			for i := range 9 {
				s = s.eject([]suspect{{Key: backend(i), reason: refusing}}, time.Unix(100, 0))
			}
			return s
		}, 1, true},
		{"all that fail refuse connections: the checks were right", 30, func(s State) State {
			s = observe(s, down, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			for i := range 10 {
				s = s.eject([]suspect{{Key: backend(i), reason: refusing}}, time.Unix(100, 0))
			}
			return s
		}, 1, false},
		{"ejected ones come in before the checks are doubted", 30, func(s State) State {
			s = s.eject(failingAt(backend(0), backend(1)), time.Unix(100, 0))
			return observe(s, down, 2, 3, 4, 5, 6, 7, 8).relieved(time.Unix(101, 0))
		}, 3, false},
		{"enough are up again", 30, func(s State) State {
			return observe(observe(s, down, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), up, 0, 1, 2)
		}, 3, false},
	}
	for _, tt := range tests {
		s := ejectable(t, 10)
		s.Services["web"].File.FailOpen = tt.failOpen
		svc := tt.set(s).Services["web"]
		if got := len(svc.chosen()); got != tt.want || svc.failOpen() != tt.open {
			t.Errorf("%s: %d are chosen, want %d; open is %v", tt.why, got, tt.want, svc.failOpen())
		}
	}
}

func observe(s State, v healthcheck.Verdict, which ...int) State {
	for _, i := range which {
		s = s.observed(backend(i), v)
	}
	return s
}

func TestOutliers(t *testing.T) {
	ms := func(all ...int) (list []median) {
		for i, n := range all {
			list = append(list, median{key: backend(i), took: time.Duration(n) * time.Millisecond})
		}
		return list
	}
	for _, tt := range []struct {
		why  string
		took []median
		want []int
	}{
		{"nobody", nil, nil},
		{"one without siblings", ms(5000), nil},
		{"one of two", ms(20, 500), []int{1}},
		{"one of five", ms(20, 30, 25, 500, 20), []int{3}},
		{"all are slow: it is not the backend", ms(500, 600, 500), nil},
		{"slower, but quick enough for anybody", ms(1, 1, 90), nil},
		{"not slow enough", ms(50, 50, 199), nil},
		{"two of five", ms(20, 800, 25, 500, 20), []int{1, 3}},
		{"half of them, which is for the cap to judge", ms(20, 20, 500, 500), []int{2, 3}},
	} {
		var got []int
		for _, s := range outliers(tt.took, 4, 100*time.Millisecond) {
			for i := range tt.took {
				if s.Key == backend(i) {
					got = append(got, i)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.why, got, tt.want)
		}
	}
}
