package judge

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// served is a sample in which each answer that is no error took as long.
func served(requests, errors uint64, took time.Duration) Sample {
	s := Sample{Requests: requests, Errors: errors}
	s.Latency[Bucket(took)] = requests - errors
	return s
}

const usual = 50 * time.Millisecond

// watch looks once a second at what each second brings, and says what the watch ends with and after how many looks.
func watch(t *Test, old Sample, each func(second int) Sample, seconds int) (Verdict, int) {
	var new Sample
	for second := range seconds {
		new = new.Plus(each(second))
		if v := t.Look(old, new); v.Word == Worse {
			return v, second + 1
		}
	}
	return t.End(old, new), seconds
}

func steady(s Sample) func(int) Sample { return func(int) Sample { return s } }

// TestVerdicts: what a bake of a minute ends with.
func TestVerdicts(t *testing.T) {
	good := served(10000, 10, usual)
	tests := []struct {
		reason string
		old    Sample
		each   func(int) Sample
		word   Word
		signal string
		within int // looks
	}{
		{"as before", good, steady(served(100, 0, usual)), BetterOrEqual, "", 60},
		{"a crash loop is found by a handful of requests", good, steady(served(1, 1, usual)), Worse, "errors", 10},
		{"and at once where there are many", good, steady(served(1000, 1000, usual)), Worse, "errors", 3},
		{"5 % of errors", good, steady(served(100, 5, usual)), Worse, "errors", 15},
		{"a tenth of a point is within the margin, however many requests there are", served(1e7, 1e4, usual), steady(served(1e5, 200, usual)), BetterOrEqual, "", 60},
		{"a release that always had errors", served(10000, 2000, usual), steady(served(100, 20, usual)), BetterOrEqual, "", 60},
		{"and has fewer now", served(10000, 2000, usual), steady(served(100, 2, usual)), BetterOrEqual, "", 60},
		{"three times as slow", good, steady(served(20, 0, 3*usual)), Worse, "p50", 20},
		{"a few milliseconds more are not slow", served(10000, 10, 2*time.Millisecond), steady(served(100, 0, 8*time.Millisecond)), BetterOrEqual, "", 60},
		{"little traffic", good, func(second int) Sample { return served(uint64(second%2), 0, usual) }, NotEnough, "", 60},
		{"little traffic, and some of it failed", good, func(second int) Sample { return served(1, uint64(second%8/7), usual) }, Worse, "errors", 60},
		{"very little traffic, and all of it failed", good, func(second int) Sample { return served(uint64(second%10/9), uint64(second%10/9), usual) }, NotEnough, "", 60},
		{"nothing is known of before", Sample{}, steady(served(10, 2, usual)), NotEnough, "", 60},
		{"nothing is known of before, and it is without errors", Sample{}, steady(served(100, 0, usual)), BetterOrEqual, "", 60},
		{"nothing is known of before, and each request fails", Sample{}, steady(served(1, 1, usual)), Worse, "errors", 20},
		{"one bad second", good, func(second int) Sample {
			if second == 30 {
				return served(100, 100, usual)
			}
			return served(100, 0, usual)
		}, BetterOrEqual, "", 60},
		{"bad from the thirtieth second on", good, func(second int) Sample {
			if second > 30 {
				return served(100, 100, usual)
			}
			return served(100, 0, usual)
		}, Worse, "errors", 36},
		{"a cold start", good, func(second int) Sample {
			if second < 5 {
				return served(100, 0, 20*usual)
			}
			return served(100, 0, usual)
		}, BetterOrEqual, "", 60},
		{"each request is answered by the second try", good, steady(Sample{Requests: 10, Resets: 10}), Worse, "resets", 10},
	}
	for _, test := range tests {
		v, looks := watch(New(Defaults()), test.old, test.each, 60)
		if v.Word != test.word || v.Signal != test.signal || looks > test.within || v.Why == "" {
			t.Errorf("%s: %+v after %d looks, want %s %s within %d", test.reason, v, looks, test.word, test.signal, test.within)
		}
	}
}

// TestHealthSpeaksForItself, before any request does.
func TestHealthSpeaksForItself(t *testing.T) {
	up := Health{Up: 2, Total: 2}
	tests := []struct {
		reason   string
		old, new Health
		worse    bool
		why      string
	}{
		{"all up", up, up, false, ""},
		{"nothing is known", Health{}, Health{}, false, ""},
		{"none is up", up, Health{Total: 2, Falls: 2}, true, "none of its 2 backends is up"},
		{"the only one is down", Health{Up: 1, Total: 1}, Health{Total: 1}, true, "its backend is down"},
		{"none is up, and nothing is known of the old ones", Health{}, Health{Total: 2}, true, "none of its 2 backends is up"},
		{"none is up anywhere", Health{Total: 2}, Health{Total: 2}, false, ""},
		{"half of them", up, Health{Up: 1, Total: 2}, false, ""},
		{"less than half", Health{Up: 3, Total: 3}, Health{Up: 1, Total: 3}, true, "1 of its 3 backends are up"},
		{"less than half of both", Health{Up: 1, Total: 3}, Health{Up: 1, Total: 3}, false, ""},
		{"they flap", up, Health{Up: 2, Total: 2, Falls: 3}, true, "its backends went down 3 times since the watch began"},
		{"the old ones flap too", Health{Up: 2, Total: 2, Falls: 2}, Health{Up: 2, Total: 2, Falls: 3}, false, ""},
	}
	for _, test := range tests {
		w := New(Defaults())
		w.Health(test.old, test.new)
		v := w.Look(Sample{}, Sample{})
		if (v.Word == Worse) != test.worse || test.worse && (v.Why != test.why || v.Signal != "health") {
			t.Errorf("%s: %+v", test.reason, v)
		}
	}
}

// TestImpairedIsNoSuccess: all requests are answered, by half of the backends.
func TestImpairedIsNoSuccess(t *testing.T) {
	w := New(Defaults())
	w.Health(Health{Up: 2, Total: 2}, Health{Up: 1, Total: 2})
	if v, _ := watch(w, served(10000, 10, usual), steady(served(100, 0, usual)), 60); v.Word != NotEnough || !strings.HasPrefix(v.Why, "1 of its 2 backends are up") {
		t.Errorf("%+v", v)
	}
}

// TestWhyHasTheFigures as a person reads them.
func TestWhyHasTheFigures(t *testing.T) {
	tests := []struct {
		old  Sample
		each Sample
		why  string
	}{
		{served(14900, 31, usual), served(10, 10, usual), "errors 100 % (30 of 30) against 0.2 % (31 of 14,900); less than 1 in a billion by chance"},
		{served(14900, 31, usual), served(30, 0, 4*usual), "p50 "},
		{Sample{Requests: 3}, served(1, 1, usual), "too little is known of the release before: 3 requests; 1 in "},
		{served(14900, 31, usual), served(1, 0, usual), "errors 0 % (0 of 60) against 0.2 % (31 of 14,900): at most "},
	}
	for _, test := range tests {
		v, _ := watch(New(Defaults()), test.old, steady(test.each), 60)
		if !strings.Contains(v.Why, test.why) {
			t.Errorf("%s\nwant %s", v.Why, test.why)
		}
	}
}

// TestMoreErrorsNeverHelp: with some more of them, wherever they come, what was worse is worse, and no later.
func TestMoreErrorsNeverHelp(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	old := served(20000, 100, usual)
	for range 300 {
		const seconds = 40
		share := r.Float64() * 0.08
		var few, more [seconds]Sample
		for i := range few {
			n := uint64(r.IntN(60))
			failed := uint64(0)
			for range n {
				if r.Float64() < share {
					failed++
				}
			}
			few[i], more[i] = served(n, failed, usual), served(n, min(n, failed+uint64(r.IntN(3))), usual)
		}
		a, at := watch(New(Defaults()), old, func(i int) Sample { return few[i] }, seconds)
		b, bt := watch(New(Defaults()), old, func(i int) Sample { return more[i] }, seconds)
		if a.Word == Worse && (b.Word != Worse || bt > at+2) { // the worst two looks may be others
			t.Fatalf("%s after %d, and with more errors %s after %d", a.Why, at, b.Word, bt)
		}
	}
}

// TestOrderOfLooksDoesNotMatter to what the last one finds.
func TestOrderOfLooksDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	old := served(20000, 100, usual)
	for range 100 {
		var seconds [30]Sample
		for i := range seconds {
			seconds[i] = served(100, uint64(r.IntN(2)), usual)
		}
		a, _ := watch(New(Defaults()), old, func(i int) Sample { return seconds[i] }, len(seconds))
		r.Shuffle(len(seconds), func(i, j int) { seconds[i], seconds[j] = seconds[j], seconds[i] })
		b, _ := watch(New(Defaults()), old, func(i int) Sample { return seconds[i] }, len(seconds))
		if a.Word != Worse && b.Word != Worse && a != b {
			t.Fatalf("%+v\n%+v", a, b)
		}
	}
}

// TestWorseStays, whatever comes later.
func TestWorseStays(t *testing.T) {
	w := New(Defaults())
	v, _ := watch(w, served(10000, 0, usual), steady(served(100, 100, usual)), 60)
	if again := w.Look(served(10000, 10000, usual), served(1e6, 0, usual)); again != v || v.Word != Worse {
		t.Errorf("%+v, and then %+v", v, again)
	}
	if again := w.End(Sample{}, Sample{}); again != v {
		t.Errorf("%+v, and then %+v", v, again)
	}
}

// TestBurstsOfBeforeAreForgiven: what comes at once has one cause.
func TestBurstsOfBeforeAreForgiven(t *testing.T) {
	recent := &Recent{}
	var until Sample
	for i := range recentSteps + 1 {
		failed := uint64(0)
		if i%10 == 0 {
			failed = 150
		}
		until = until.Plus(served(1500, failed, usual))
		recent.Add(until)
	}
	old, bursts := recent.Baseline()
	if bursts.Errors < 0.02 || bursts.Latency != 0 || old.Requests != 1500*recentSteps {
		t.Fatal(bursts, old.Requests)
	}
	each := func(second int) Sample { return served(100, map[bool]uint64{true: 15}[second/10 == 3], usual) }
	w := New(Defaults())
	w.Before(bursts)
	if v, _ := watch(w, old, each, 60); v.Word != BetterOrEqual {
		t.Errorf("%+v", v)
	}
	if v, _ := watch(New(Defaults()), old, each, 60); v.Word != Worse {
		t.Errorf("without knowing of them: %+v", v)
	}
}

// probing looks at a new release with few visitors and two probes a second of both.
func probing(t *Test, old Sample, visitors, was, is func(second int) Sample, seconds int) (Verdict, int) {
	var new, o, n Sample
	for second := range seconds {
		new, o, n = new.Plus(visitors(second)), o.Plus(was(second)), n.Plus(is(second))
		t.Probes(o, n)
		if v := t.Look(old, new); v.Word == Worse {
			return v, second + 1
		}
	}
	return t.End(old, new), seconds
}

// TestProbesSpeakWhereVisitorsDoNot, and never against what visitors say.
func TestProbesSpeakWhereVisitorsDoNot(t *testing.T) {
	good, nobody := served(10000, 10, usual), steady(Sample{})
	two, fail := steady(served(2, 0, usual)), steady(served(2, 2, usual))
	outage := func(second int) Sample { return served(2, map[bool]uint64{true: 1}[second/10 == 2], usual) }
	many := func(second int) Sample { return served(100, map[bool]uint64{true: 60}[second/10 == 2], usual) }
	tests := []struct {
		reason            string
		old               Sample
		visitors, was, is func(int) Sample
		word              Word
		why               string
	}{
		{"nobody comes, and probes are as before", good, nobody, two, two, BetterOrEqual, "by probes, errors 0 % (0 of 120) against 0 % (0 of 120): at most "},
		{"nobody comes, and probes fail", good, nobody, two, fail, Worse, "probes: errors 100 % ("},
		{"nobody comes, and probes fail at both", good, nobody, fail, fail, NotEnough, "0 requests of the new release so far"},
		{"probes are three times as slow", good, nobody, two, steady(served(2, 0, 3*usual)), Worse, "probes: p50 "},
		{"what visitors ask for fails, and probes are well", good, steady(served(10, 5, usual)), two, two, Worse, "errors 50 % ("},
		{"both releases are in trouble for ten seconds", good, many, outage, outage, BetterOrEqual, "errors 0 % (0 of 4,"},
		{"the new one alone is", good, many, two, outage, Worse, "errors "},
		{"the old one fails its probes all the time", good, steady(served(10, 5, usual)), fail, two, Worse, "errors 50 % ("},
	}
	for _, test := range tests {
		v, _ := probing(New(Defaults()), test.old, test.visitors, test.was, test.is, 60)
		if v.Word != test.word || !strings.HasPrefix(v.Why, test.why) {
			t.Errorf("%s: %s, %s; want %s, %s…", test.reason, v.Word, v.Why, test.word, test.why)
		}
	}
}

// TestWhatIsNotAnsweredIsSlow: nothing of it is in any sample, and no error is.
func TestWhatIsNotAnsweredIsSlow(t *testing.T) {
	w := New(Defaults())
	for second := range 60 {
		var waiting Histogram
		for i := range second {
			waiting[Bucket(time.Duration(i)*time.Second)] += 10
		}
		w.Waiting(Histogram{}, waiting)
		v := w.Look(served(10000, 10, usual), Sample{})
		if v.Word != Worse {
			continue
		}
		if second > 12 || v.Signal != "p95" && v.Signal != "p50" || !strings.Contains(v.Why, "requests), ") || !strings.Contains(v.Why, " of them still unanswered; ") {
			t.Errorf("after %d seconds: %+v", second, v)
		}
		return
	}
	t.Error("it was never found")
}

// TestFewThatWaitAreNotSlow: answers that always take long, and are waited for.
func TestFewThatWaitAreNotSlow(t *testing.T) {
	const long = 30 * time.Second
	old := served(10000, 0, usual)
	old.Latency[Bucket(long)] += 300
	w, new := New(Defaults()), Sample{}
	for second := range 60 {
		new = new.Plus(served(100, 0, usual))
		var waiting Histogram
		for i := range min(second, 30) {
			waiting[Bucket(time.Duration(i)*time.Second)] += 3
		}
		if second >= 30 {
			new.Latency[Bucket(long)] += 3
		}
		w.Waiting(Histogram{}, waiting)
		if v := w.Look(old, new); v.Word == Worse {
			t.Fatalf("after %d seconds: %+v", second, v)
		}
	}
}
