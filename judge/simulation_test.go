package judge

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/judging.md anew")

// release is one as it is simulated.
type release struct {
	fails    float64
	slower   float64 // than usual, as a factor
	bursts   bool    // its errors come in bursts of some seconds
	answered [Buckets]float64
}

// usualMedian and usualSpread are of a web application as there are many: half of its answers within 50 ms, 1 of 20 above
// 135 ms (a lognormal distribution).
const usualMedian, usualSpread = 0.050, 0.6

func newRelease(errors, slower float64, bursts bool) *release {
	r := &release{fails: errors, slower: slower, bursts: bursts}
	until := func(d time.Duration) float64 {
		if d <= 0 {
			return 0
		}
		return 0.5 * math.Erfc(-math.Log(d.Seconds()/(usualMedian*slower))/usualSpread/math.Sqrt2)
	}
	for b := range r.answered {
		r.answered[b] = until(Lowest(b+1)) - until(Lowest(b))
	}
	return r
}

// stream is what clients ask of a release, second by second.
type stream struct {
	*release
	rate    float64
	r       *rand.Rand
	trouble bool // a burst is on
	Sample
}

const (
	// Trouble comes to a release with bursts every 100 seconds, and stays for 5 of them.
	troubleBegins, troubleEnds = 1.0 / 100, 1.0 / 5
	// outageShare is for how many of the requests an outage of what both releases depend on fails.
	outageShare = 0.5
)

// second lets one pass.
func (s *stream) second(outage bool) {
	if s.r.Float64() < map[bool]float64{false: troubleBegins, true: troubleEnds}[s.trouble] {
		s.trouble = !s.trouble
	}
	p := s.fails
	if s.bursts {
		p = map[bool]float64{true: s.fails * (1 + troubleEnds/troubleBegins)}[s.trouble]
	}
	if outage {
		p = max(p, outageShare)
	}
	failed := poisson(s.r, s.rate*p)
	s.Requests, s.Errors = s.Requests+failed, s.Errors+failed
	for b, share := range s.answered {
		if share > 1e-7 {
			n := poisson(s.r, s.rate*(1-p)*share)
			s.Latency[b] += n
			s.Requests += n
		}
	}
}

// probe sends two probes.
func (s *stream) probe(outage bool) Sample {
	for range 2 {
		s.Requests++
		if s.r.Float64() < s.fails || outage && s.r.Float64() < outageShare {
			s.Errors++
		} else {
			s.Latency[Bucket(time.Duration(float64(time.Second)*usualMedian*s.slower*math.Exp(usualSpread*s.r.NormFloat64())))]++
		}
	}
	return s.Sample
}

// poisson is near enough to it where the mean is large.
func poisson(r *rand.Rand, mean float64) (n uint64) {
	if mean > 30 {
		return uint64(max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	for p := r.ExpFloat64(); p < mean; p += r.ExpFloat64() {
		n++
	}
	return n
}

// scenario is one kind of deployment.
type scenario struct {
	name     string
	old, new *release
	outage   bool // of both, for ten seconds
	probed   bool // both, twice a second
	alike    bool // the new release is not worse
}

func same(name string, errors, slower float64, bursts bool) scenario {
	r := newRelease(errors, slower, bursts)
	return scenario{name: name, old: r, new: r, alike: true}
}

func change(name string, before, after, slower float64) scenario {
	return scenario{name: name, old: newRelease(before, 1, false), new: newRelease(after, slower, false)}
}

func scenarios() []scenario {
	outage := same("as before; the database of both is away for 10 s", 0.001, 1, false)
	outage.outage = true
	probed := outage
	probed.name, probed.probed = "the same, with two probes of each in a second", true
	broken := change("0.1 % → 50 % errors, with such probes", 0.001, 0.501, 1)
	broken.probed = true
	margin := change("+0.2 points of errors: within the margin", 0.001, 0.003, 1)
	margin.alike = true
	slightly := change("slower by a tenth: within the margin", 0.001, 0.001, 1.1)
	slightly.alike = true
	return []scenario{
		same("as before, no errors", 0, 1, false),
		same("as before, 0.1 % errors", 0.001, 1, false),
		same("as before, 2 % errors", 0.02, 1, false),
		same("as before, 2 % errors, in bursts", 0.02, 1, true),
		outage, probed, margin, slightly,
		change("0.1 % → 1.1 % errors", 0.001, 0.011, 1),
		change("2 % → 3 % errors", 0.02, 0.03, 1),
		change("0.1 % → 5 % errors", 0.001, 0.051, 1),
		change("0.1 % → 50 % errors", 0.001, 0.501, 1),
		broken,
		change("each request fails", 0.001, 1, 1),
		change("slower by a half", 0.001, 0.001, 1.5),
		change("three times as slow", 0.001, 0.001, 3),
	}
}

// watched is the way in which a release is watched.
type watched struct {
	name    string
	seconds int
	share   float64 // of the requests that the new release gets; 1: all, and the old one is known from before
}

var (
	bake   = watched{"bake", 60, 1}
	canary = watched{"canary", 600, 0.05}
)

// before is how many seconds of the old release are known when a bake begins.
const before = 600

// outcome is what became of one deployment.
type outcome struct {
	word  Word
	after int // seconds until it was called worse
}

// run is one deployment.
func (w watched) run(sc *scenario, rate float64, r *rand.Rand) outcome {
	t := New(Defaults())
	old := &stream{release: sc.old, rate: rate * (1 - w.share), r: r}
	new := &stream{release: sc.new, rate: rate * w.share, r: r}
	t.Before(w.known(old, rate))
	was, is := &stream{release: sc.old, r: r}, &stream{release: sc.new, r: r}
	outage := 1 + r.IntN(w.seconds)
	for second := 1; second <= w.seconds; second++ {
		out := sc.outage && second >= outage && second < outage+10
		old.second(out)
		new.second(out)
		if sc.probed {
			t.Probes(was.probe(out), is.probe(out))
		}
		if v := t.Look(old.Sample, new.Sample); v.Word == Worse {
			return outcome{v.Word, second}
		}
	}
	return outcome{t.End(old.Sample, new.Sample).Word, w.seconds}
}

// known lets the old release serve before the watch. A bake has nothing else to compare with.
func (w watched) known(old *stream, rate float64) Bursts {
	old.rate = rate
	recent := &Recent{}
	for second := range before {
		old.second(false)
		if second%RecentStep == RecentStep-1 {
			recent.Add(old.Sample)
		}
	}
	base, bursts := recent.Baseline()
	if old.rate, old.Sample = rate*(1-w.share), (Sample{}); w.share == 1 {
		old.Sample = base
	}
	return bursts
}

// cell is one scenario at one rate.
type cell struct {
	runs, worse, alike int
	after              []int
}

func (c *cell) share() float64 { return float64(c.worse) / float64(c.runs) }

// String is what stands in the table.
func (c *cell) String() string {
	if c.worse == 0 {
		return "0"
	}
	at := func(q float64) int { return c.after[int(q*float64(len(c.after)-1))] }
	return fmt.Sprintf("%.0f %%, %d s (%d s)", math.Ceil(100*c.share()), at(0.5), at(0.95))
}

// simulate runs a scenario many times. Each run has its own seed, so that it is the same whatever ran before.
func simulate(w watched, sc *scenario, rate float64, runs int) *cell {
	c := &cell{runs: runs}
	for i := range runs {
		o := w.run(sc, rate, rand.New(rand.NewPCG(uint64(i), uint64(rate))))
		switch o.word {
		case Worse:
			c.worse++
			c.after = append(c.after, o.after)
		case BetterOrEqual:
			c.alike++
		}
	}
	slices.Sort(c.after)
	return c
}

// TestSimulatedDeployments: how often a release is called worse, and after how long. Where nothing is worse that is a false
// alarm, and there are fewer of them than the rules allow. The table of docs/judging.md is what this finds.
func TestSimulatedDeployments(t *testing.T) {
	bakes, canaries := 80, 20
	if testing.Short() || raced {
		bakes, canaries = 8, 1
	}
	tables := simulateAll(map[string]int{bake.name: bakes, canary.name: canaries})
	for _, table := range tables {
		table.check(t)
	}
	if testing.Short() || raced || runtime.GOARCH != "amd64" {
		return // where products and sums are fused, chance falls differently
	}
	const path = "../docs/judging.md"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := string(before)
	for _, table := range tables {
		after = table.into(t, after)
	}
	switch {
	case after == string(before):
	case *rewrite:
		if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the tables of %s are not what is found; go test ./judge -run Simulated -rewrite", path)
	}
}

var rates = [...]float64{1, 10, 100, 1000}

// table is all that is simulated of one way to watch.
type table struct {
	watched
	runs  int
	rows  []scenario
	cells [][len(rates)]*cell
}

func simulateAll(runs map[string]int) (tables []*table) {
	var all sync.WaitGroup
	busy := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, w := range []watched{bake, canary} {
		tb := &table{watched: w, runs: runs[w.name]}
		for _, sc := range scenarios() {
			if !sc.probed || w.share == 1 { // in a split the old release serves, and needs no probes to be compared with
				tb.rows = append(tb.rows, sc)
			}
		}
		tb.cells = make([][len(rates)]*cell, len(tb.rows))
		for i := range tb.rows {
			for j, rate := range rates {
				all.Go(func() {
					busy <- struct{}{}
					tb.cells[i][j] = simulate(w, &tb.rows[i], rate, tb.runs)
					<-busy
				})
			}
		}
		tables = append(tables, tb)
	}
	all.Wait()
	return tables
}

// check holds what must hold at any rate: no more false alarms than there may be, and a release that answers nothing is
// found.
func (tb *table) check(t *testing.T) {
	alarms, watches := 0, 0
	for i, sc := range tb.rows {
		for j, c := range tb.cells[i] {
			where := fmt.Sprintf("%s, %v requests in a second, %s", tb.name, rates[j], sc.name)
			expected := rates[j] * tb.share * float64(tb.seconds)
			switch {
			case sc.alike && !(sc.outage && !sc.probed && tb.share == 1):
				alarms, watches = alarms+c.worse, watches+c.runs
				if c.worse > atMost(c.runs, Defaults().FalseAlarms) {
					t.Errorf("%s: %d false alarms in %d", where, c.worse, c.runs)
				}
			case sc.new.fails == 1 && c.worse < c.runs*9/10:
				t.Errorf("%s: found %d times of %d", where, c.worse, c.runs)
			case !sc.alike && expected < 25 && c.alike > 0:
				t.Errorf("%s: %d times better or equal, by some 25 requests", where, c.alike)
			}
		}
	}
	if float64(alarms) > Defaults().FalseAlarms*float64(watches) {
		t.Errorf("%s: %d false alarms in %d watches", tb.name, alarms, watches)
	}
	t.Logf("%s: %d false alarms in %d watches", tb.name, alarms, watches)
}

// into puts the table between its marks.
func (tb *table) into(t *testing.T, doc string) string {
	begin, end := "<!-- "+tb.name+" -->\n", "<!-- end of "+tb.name+" -->\n"
	head, rest, ok := strings.Cut(doc, begin)
	_, tail, both := strings.Cut(rest, end)
	if !ok || !both {
		t.Fatalf("no marks %q and %q", begin, end)
	}
	return head + begin + tb.String() + end + tail
}

func (tb *table) String() string {
	var b strings.Builder
	b.WriteString("| the new release, beside the old one |")
	for _, rate := range rates {
		fmt.Fprintf(&b, " %v/s |", rate)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(rates)) + "\n")
	for i, sc := range tb.rows {
		fmt.Fprintf(&b, "| %s |", sc.name)
		for _, c := range tb.cells[i] {
			fmt.Fprintf(&b, " %s |", c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
