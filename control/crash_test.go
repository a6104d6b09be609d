package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/journal"
	"sluice/proxy"
)

// mortal is a world with a real disk, which stops to take anything before step dies of what is asked of it: as far as the disk can
// tell, the process was killed there.
type mortal struct {
	*world
	dir   string
	j     *journal.Journal
	steps atomic.Int64
	dies  atomic.Int64 // none, where it is negative
}

var errKilled = errors.New("killed here")

func newMortal(t *testing.T, dir string) *mortal {
	m := &mortal{world: newWorld(t, "web blue=a:1,a:2 green=b:1", "api one=c:1 two=d:1"), dir: dir}
	m.dies.Store(-1)
	m.servers.slow = 10 * time.Millisecond // so that there is a time before the first check
	m.servers.up("v1", "a:1", "a:2", "c:1")
	m.servers.up("v2", "b:1", "d:1")
	return m
}

func (m *mortal) before(string, string) error {
	if n, dies := m.steps.Add(1), m.dies.Load(); dies >= 0 && n > dies {
		return errKilled
	}
	return nil
}

// died reports that there was a step k.
func (m *mortal) died(k int) bool { return m.steps.Load() > int64(k) }

// open takes the folder for a new process, which has not begun yet.
func (m *mortal) open() {
	m.t.Helper()
	j, err := journal.Open(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	j.Fault(m.before)
	m.j = j
	m.steps.Store(0)
	m.proxy = proxy.New(proxy.Timeouts{}, nil)
	m.c = New(Options{
		Config: m.cfg, Proxy: m.proxy, Journal: j, Event: m.hear, Rand: func() float64 { return 0.5 }, NewProber: m.prober, Resolve: m.dns.resolve,
	})
}

func (m *mortal) live() {
	m.t.Helper()
	m.open()
	if err := m.c.Start(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.allUp()
}

func (m *mortal) allUp() {
	m.t.Helper()
	m.until("each backend that is ready is up", func() bool {
		for _, b := range m.c.State().backends {
			if b.Admin == Ready && !b.Eligible() {
				return false
			}
		}
		return true
	})
}

// end ends the process. What its goroutines would still write a killed one cannot.
func (m *mortal) end() {
	m.c.Close()
	m.j.Close()
	m.dies.Store(-1)
}

// allDecided is all that was decided, without its times.
func allDecided(s State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d; leases %v; rollout %s\n", s.Generation, sortedKeys(s.Leases), strings.Join(strings.Fields(string(s.Rollouts["web"])), ""))
	for _, name := range s.Order {
		svc := s.Services[name]
		fmt.Fprintf(&b, "%s: live %s, previous %s, paused %v, retired %v", name, svc.Live, orDash(svc.Previous), svc.Paused != nil, svc.retiredNames())
		if svc.Paused != nil {
			fmt.Fprintf(&b, " for %s", svc.Paused.Until.Sub(svc.Paused.Since).Round(time.Hour))
		}
		if svc.Split != nil {
			for _, a := range svc.Split.Arms {
				fmt.Fprintf(&b, ", %s has %d", a.Pool, a.Share())
			}
		}
		if svc.Decided != nil {
			fmt.Fprintf(&b, ", release %s", orDash(svc.Decided.Release))
		}
		if svc.Bake != nil {
			fmt.Fprintf(&b, ", %s %s %s", svc.Bake.To, svc.Bake.State(), svc.Bake.Stuck)
		}
		for _, p := range svc.Pools {
			for _, be := range p.Backends {
				fmt.Fprintf(&b, ", %s %s", be.Address(), be.Admin)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// act is one call. It returns when it was answered, and its consequences are over.
type act func(m *mortal) error

// done waits for the end of what a call has begun.
func (m *mortal) done(op *Operation, err error) error {
	if err == nil {
		<-op.Done()
	}
	return err
}

func doFlip(service, pool, release string) act {
	return func(m *mortal) error {
		return m.done(m.c.Flip(m.t.Context(), service, pool, FlipWant{Release: release}, operator()))
	}
}

func doRollback(m *mortal) error {
	return m.done(m.c.Rollback(m.t.Context(), "web", FlipWant{}, operator()))
}

func doAdmin(backend string, to Admin) act {
	return func(m *mortal) error {
		return m.done(m.c.SetAdmin(m.t.Context(), "web", backend, "", to, AdminWant{}, operator()))
	}
}

func doPause(length time.Duration) act {
	return func(m *mortal) error {
		return m.done(m.c.Pause(m.t.Context(), "web", PauseWant{For: length}, operator()))
	}
}

func doResume(m *mortal) error { return m.done(m.c.Resume(m.t.Context(), "web", nil, operator())) }

func doRetire(release string) act {
	return func(m *mortal) error {
		return m.done(m.c.Retire(m.t.Context(), "web", release, RetireWant{}, operator()))
	}
}

func doSplit(percent int) act {
	return func(m *mortal) error {
		want := SplitWant{Shares: map[string]int{"green": percent * 100}, Judge: BakeWant{For: new(time.Duration)}}
		return m.done(m.c.Split(m.t.Context(), "web", want, operator()))
	}
}

func doJudged(m *mortal) error {
	_, err := m.c.Split(m.t.Context(), "web", SplitWant{Shares: map[string]int{"green": 500}}, operator())
	synctest.Wait()
	return err
}

func doLease(m *mortal) error {
	_, err := m.c.PutLease(Lease{Name: "worker", Release: "v1"}, time.Hour)
	return err
}

func doDropLease(m *mortal) error {
	_, err := m.c.DropLease("worker")
	return err
}

func doRecord(step string) act {
	return func(m *mortal) error {
		return m.c.Record("web", func(State, []byte) ([]byte, string, error) {
			return fmt.Appendf(nil, `{"step":%q}`, step), "rollout r1: " + step, nil
		}, Cause{Rollout: "r1"})
	}
}

// doBake is not over before the verdict; what it drains is.
func doBake(m *mortal) error {
	_, err := m.c.Flip(m.t.Context(), "web", "green", bakes(time.Hour), operator())
	synctest.Wait()
	return err
}

func doStick(m *mortal) error { return m.c.StickBake("web", m.bake(), "slow", "blue is down") }

func doVerdict(state BakeState) act {
	return func(m *mortal) error { return m.c.EndBake("web", m.bake(), BakeEnd{State: state}) }
}

func doRollBackBake(m *mortal) error {
	return m.done(m.c.RollBackBake(m.t.Context(), "web", m.bake(), BakeEnd{Why: "slow"}))
}

func (m *mortal) bake() string { return m.c.State().Services["web"].Bake.ID }

func doStop(m *mortal) error {
	m.c.Stopping(operator())
	return nil
}

// crashes are the calls that a process is killed in, one row after the other, and what was done before.
var crashes = []struct {
	name   string
	before []act
	acts   []act
}{
	{"flip", nil, []act{doFlip("web", "green", "v2")}},
	{"rollback", []act{doFlip("web", "green", "")}, []act{doRollback}},
	{"drain", nil, []act{doAdmin("a:1", Drain)}},
	{"maint", nil, []act{doAdmin("a:1", Maint)}},
	{"ready", []act{doAdmin("a:1", Drain)}, []act{doAdmin("a:1", Ready)}},
	{"pause", nil, []act{doPause(0)}},
	{"a longer pause", []act{doPause(0)}, []act{doPause(5 * time.Hour)}},
	{"resume", []act{doPause(0)}, []act{doResume}},
	{"retire", nil, []act{doRetire("v0")}},
	{"split", nil, []act{doSplit(5)}},
	{"a split by steps, and all of it", nil, []act{doSplit(5), doSplit(25), doFlip("web", "green", "")}},
	{"a split rolled back", []act{doFlip("web", "green", ""), doFlip("web", "blue", ""), doSplit(5)}, []act{doRollback}},
	{"a split that is as good", nil, []act{doJudged, doVerdict(BakePassed)}},
	{"a split that is worse", nil, []act{doJudged, doRollBackBake}},
	{"lease", nil, []act{doLease}},
	{"the end of a lease", []act{doLease}, []act{doDropLease}},
	{"stop", nil, []act{doStop}},
	{"a bake that passes", nil, []act{doBake, doVerdict(BakePassed)}},
	{"a bake that is rolled back", nil, []act{doBake, doStick, doRollBackBake}},
	{"a bake that another flip ends", []act{doBake}, []act{doFlip("web", "blue", "")}},
	{"two services", nil, []act{doFlip("web", "green", ""), doFlip("api", "two", ""), doRollback}},
	{"a step of a rollout after the other", []act{doFlip("api", "two", "")}, []act{
		doRecord("begin"), doRecord("drain"), doAdmin("a:1", Drain), doRecord("exec"), doRecord("ready"), doAdmin("a:1", Ready), doRecord("done"),
	}},
}

// TestKilledAtEveryStep kills the process before each step that each call asks of the disk. The next one has exactly what was
// answered, or that and the call that was under way; serves nothing unchecked; and has an unbroken history, with an entry for
// each change that it has.
func TestKilledAtEveryStep(t *testing.T) {
	for _, row := range crashes {
		t.Run(row.name, func(t *testing.T) {
			first := t.TempDir()
			var reference []string
			synctest.Test(t, func(t *testing.T) { reference = prepare(t, first, row.before, row.acts) })
			for k, over := 0, false; !over; k++ {
				dir := filepath.Join(t.TempDir(), fmt.Sprint(k))
				if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(t *testing.T) { over = dieAt(t, dir, k, row.acts, reference) })
			}
		})
	}
}

// prepare leaves in dir what the calls of before come to, and returns what each of acts makes of it.
func prepare(t *testing.T, dir string, before, acts []act) (reference []string) {
	m := newMortal(t, dir)
	m.live()
	for _, do := range before {
		if err := do(m); err != nil {
			t.Fatal(err)
		}
	}
	m.end()
	m = newMortal(t, filepath.Join(t.TempDir(), "reference"))
	if err := os.CopyFS(m.dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	m.open()
	if err := m.c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.settled()
	reference = append(reference, allDecided(m.c.State()))
	for i, do := range acts {
		if err := do(m); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		reference = append(reference, allDecided(m.c.State()))
	}
	m.end()
	return reference
}

// settled lets each backend be checked.
func (m *mortal) settled() { time.Sleep(10 * time.Second) }

// dieAt kills the process at step k of the calls. It reports that there were not so many.
func dieAt(t *testing.T, dir string, k int, acts []act, reference []string) (over bool) {
	m := newMortal(t, dir)
	m.open()
	if err := m.c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.settled()
	m.steps.Store(0)
	m.dies.Store(int64(k))
	answered := 0
	for _, do := range acts {
		if do(m) != nil {
			break
		}
		if answered++; m.died(k) { // it ended in a process that was dead before: nobody got this answer
			break
		}
	}
	over = !m.died(k)
	m.end()
	m.checkRisen(fmt.Sprintf("killed at step %d", k), reference, answered, over)
	return over
}

// checkRisen starts the next process. So many calls returned without an error: the last of them may be told to nobody, but each had
// been saved.
func (m *mortal) checkRisen(at string, reference []string, answered int, whole bool) {
	m.t.Helper()
	m.open()
	if err := m.c.Start(m.t.Context()); err != nil {
		m.t.Fatalf("%s: %v", at, err)
	}
	defer m.end()
	for _, service := range []string{"web", "api"} {
		if lease, err := m.claim(service); err == nil {
			m.t.Errorf("%s: %s is served by %s before its first check", at, service, lease.Backend.Name)
		}
	}
	got := allDecided(m.c.State())
	next := min(answered+1, len(reference)-1)
	if got != reference[answered] && got != reference[next] || whole && got != reference[len(reference)-1] {
		m.t.Errorf("%s: after %d answers there is\n%swant\n%sor\n%s", at, answered, got, reference[answered], reference[next])
	}
	m.checkHistory(at)
	m.settled()
	for _, service := range []string{"web", "api"} {
		lease, err := m.claim(service)
		if err != nil {
			m.t.Errorf("%s: %s is not served: %v", at, service, err)
			continue
		}
		if live := m.c.State().Services[service].Live; lease.Backend.Pool != live {
			m.t.Errorf("%s: %s is served by %s, and %s is live", at, service, lease.Backend.Pool, live)
		}
		lease.Release()
	}
}

// checkHistory wants one unbroken chain in which each generation has its change.
func (m *mortal) checkHistory(at string) {
	m.t.Helper()
	chain, err := m.c.Verify("")
	if err != nil || !chain.Unbroken {
		m.t.Errorf("%s: the history is broken: %+v, %v", at, chain.Break, err)
	}
	all, err := m.c.History("", 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	changes := uint64(1) // the first start is one
	for _, e := range all {
		if e.Kind == "change" {
			if changes++; e.Generation != changes {
				m.t.Errorf("%s: a change of generation %d where %d is due", at, e.Generation, changes)
			}
		}
		if e.Kind == "outcome" {
			m.t.Errorf("%s: an outcome without its change: %+v", at, e)
		}
	}
	if g := m.c.Generation(); g != changes {
		m.t.Errorf("%s: generation %d, and %d changes in the history", at, g, changes)
	}
}

// TestKilledWhileStarting kills a process at each step of its start, the first of all and one whose file has changed.
func TestKilledWhileStarting(t *testing.T) {
	later := func(m *mortal) { m.cfg = fileOf(m.t, "web live=green blue=a:1,a:2 green=b:1", "api one=c:1 two=d:1") }
	for name, change := range map[string]func(*mortal){"the first": nil, "with another file": later} {
		t.Run(name, func(t *testing.T) {
			first := t.TempDir()
			if change != nil {
				synctest.Test(t, func(t *testing.T) { prepare(t, first, []act{doFlip("web", "green", ""), doRollback}, nil) })
			}
			for k, over := 0, false; !over; k++ {
				dir := filepath.Join(t.TempDir(), fmt.Sprint(k))
				if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(t *testing.T) { over = dieStarting(t, dir, k, change) })
			}
		})
	}
}

func dieStarting(t *testing.T, dir string, k int, change func(*mortal)) (over bool) {
	m := newMortal(t, dir)
	if change != nil {
		change(m)
	}
	m.open()
	m.dies.Store(int64(k))
	err := m.c.Start(t.Context())
	over = !m.died(k)
	m.end()
	if over && err != nil {
		t.Fatal(err)
	}
	m.open()
	if err := m.c.Start(t.Context()); err != nil {
		t.Fatalf("killed at step %d of the start: %v", k, err)
	}
	defer m.end()
	s := m.c.State()
	want, generation := "blue", uint64(1)
	if change != nil {
		want, generation = "green", 4
	}
	if s.Services["web"].Live != want || s.Generation != generation {
		t.Errorf("killed at step %d of the start: generation %d with %s live, want %d with %s", k, s.Generation, s.Services["web"].Live, generation, want)
	}
	if chain, err := m.c.Verify(""); err != nil || !chain.Unbroken {
		t.Errorf("killed at step %d of the start: %+v, %v", k, chain.Break, err)
	}
	return over
}
