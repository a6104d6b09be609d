package drain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// endings is when each piece of work was ended, in order.
type endings struct {
	mu    sync.Mutex
	began time.Time
	all   []ending
}

type ending struct {
	Item
	at, spread time.Duration
}

// watched is the job of w, which notes each ending.
func (e *endings) watched(w *work) Job {
	e.began = time.Now()
	job := w.job()
	job.Inside = func() []Item {
		items := w.inside()
		for i := range items {
			items[i].Cut = e.noting(items[i])
		}
		return items
	}
	return job
}

func (e *endings) noting(it Item) func(time.Duration) bool {
	return func(spread time.Duration) bool {
		if !it.Cut(spread) {
			return false
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, ending{it, time.Since(e.began), spread})
		return true
	}
}

// lasting puts n pieces of work inside that do not end by themselves, the one with the lowest number the oldest.
func lasting(w *work, class Class, n int) {
	for i := range n {
		p := w.begin(fmt.Sprintf("%s %d", class, i), class, forever)
		w.mu.Lock()
		p.Lasting, p.Began = true, time.Now().Add(time.Duration(i-n)*time.Second)
		w.mu.Unlock()
	}
}

func TestOneAloneHasUntilItsDeadline(t *testing.T) {
	for _, class := range []Class{Stream, WebSocket, Tunnel} {
		synctest.Test(t, func(t *testing.T) {
			w := newWork(t)
			lasting(w, class, 1)
			if rep := Run(t.Context(), w.job()); rep.Took != policy.Deadline(class) || rep.Cut != 1 {
				t.Errorf("%s: %s", class, rep)
			}
		})
	}
}

func TestManyAreEndedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, WebSocket, 101)
		var e endings
		rep := Run(t.Context(), e.watched(w))
		for i, one := range e.all {
			if want := policy.WebSocket - time.Duration(100-i)*gap*slack; one.at != want {
				t.Fatalf("number %d was ended after %s, want %s", i, one.at, want)
			}
		}
		if rep.Cut != 101 || rep.Classes[WebSocket].Cut != 101 || len(rep.CutList) != 101 || rep.Took != policy.WebSocket {
			t.Errorf("%s: what was ended early is cut too", rep)
		}
	})
}

// TestWhatMayFinishIsNotEndedEarly: a download has all of its time.
func TestWhatMayFinishIsNotEndedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		for i := range 300 {
			w.begin(fmt.Sprint(i), Stream, policy.Stream-time.Millisecond)
		}
		if rep := Run(t.Context(), w.job()); rep.Cut != 0 || rep.Finished != 300 {
			t.Errorf("%s", rep)
		}
	})
}

// TestAShortWindowIsUsedWhole: more than can be ended at ease are spread evenly.
func TestAShortWindowIsUsedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, WebSocket, 1000)
		var e endings
		Run(t.Context(), e.watched(w))
		if n := mostWithin(e.all, time.Second); n < 199 || n > 202 {
			t.Errorf("%d within a second; 1000 in 5 s are 200", n)
		}
		if n := mostWithin(e.all, 50*time.Millisecond); n > 12 {
			t.Errorf("%d at about one time", n)
		}
	})
}

// mostWithin is how many endings lay in any window of that length, its end left out.
func mostWithin(all []ending, window time.Duration) (most int) {
	from := 0
	for i := range all {
		for all[i].at-all[from].at >= window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestStrainSlowsTheEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, Stream, 1000)
		var e endings
		job := e.watched(w)
		strained := func(age time.Duration) bool { return age > 2*time.Second && age < 6*time.Second }
		job.Strain = func() bool { return strained(time.Since(e.began)) }
		rep := Run(t.Context(), job)
		per := func(from, to time.Duration) float64 {
			n := 0
			for _, one := range e.all {
				if one.at >= from && one.at < to {
					n++
				}
			}
			return float64(n) / (to - from).Seconds()
		}
		before, during, after := per(0, 2*time.Second), per(4*time.Second, 6*time.Second), per(8*time.Second, 9*time.Second)
		if during > before/2 || after < before {
			t.Errorf("per second: %.0f before the strain, %.0f in it, %.0f after it", before, during, after)
		}
		if rep.Took != policy.Stream || rep.Cut != 1000 {
			t.Errorf("%s", rep)
		}
	})
}

// TestStrainToTheEndLeavesNoHerd: what was put off comes nearer to the deadline, and only little is left for it.
func TestStrainToTheEndLeavesNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, WebSocket, 400)
		var e endings
		job := e.watched(w)
		job.Strain = func() bool { return true }
		Run(t.Context(), job)
		herd := 0
		for _, one := range e.all {
			if one.at > policy.WebSocket {
				t.Errorf("ended %s behind the deadline", one.at-policy.WebSocket)
			}
			if one.at == policy.WebSocket {
				herd++
			}
		}
		if herd > 400*3/5 {
			t.Errorf("%d of 400 were left to the deadline", herd)
		}
		if last := e.all[len(e.all)-1]; herd > 1 && last.spread != time.Duration(herd)*gap {
			t.Errorf("%d were ended at once, and are to come back within %s", herd, last.spread)
		}
	})
}

// TestPaceProperties draws work, deadlines and strain, and holds every drain to the rules.
func TestPaceProperties(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { paceProperty(t, rand.New(rand.NewPCG(seed, 4))) })
	}
}

func paceProperty(t *testing.T, draw *rand.Rand) {
	w := newWork(t)
	count := map[Class]int{}
	for _, class := range []Class{Stream, WebSocket, Tunnel} {
		count[class] = draw.IntN(1 + draw.IntN(300))
		lasting(w, class, count[class])
	}
	var e endings
	job := e.watched(w)
	job.Policy.Stream = time.Duration(draw.IntN(15000)) * time.Millisecond
	job.Policy.WebSocket = time.Duration(draw.IntN(15000)) * time.Millisecond
	if draw.IntN(2) == 0 {
		job.Strain = func() bool { return draw.IntN(3) > 0 }
	}
	rep := Run(t.Context(), job)
	total := count[Stream] + count[WebSocket] + count[Tunnel]
	if rep.Cut != total || rep.Left != 0 || len(e.all) != total {
		t.Fatalf("%s, of %d", rep, total)
	}
	atEase := true
	for deadline, n := range map[time.Duration]int{
		min(job.Policy.Stream, job.Policy.WebSocket): total, job.Policy.Stream: total, job.Policy.WebSocket: total,
	} {
		atEase = atEase && time.Duration(n)*gap*slack <= deadline
	}
	for i, one := range e.all {
		if d := job.Policy.Deadline(one.Class); one.at > d {
			t.Fatalf("%s was ended %s behind its deadline", one.ID, one.at-d)
		}
		if i > 0 && one.at < e.all[i-1].at {
			t.Fatal("not in order of time")
		}
	}
	if job.Strain == nil && atEase && mostWithin(e.all, time.Second) > int(time.Second/gap)+1 {
		t.Errorf("%d within a second, without need: %v, %+v", mostWithin(e.all, time.Second), count, job.Policy)
	}
	oldestFirst(t, e.all)
}

func oldestFirst(t *testing.T, all []ending) {
	byClass := map[Class][]ending{}
	for _, one := range all {
		byClass[one.Class] = append(byClass[one.Class], one)
	}
	for class, some := range byClass {
		if !slices.IsSortedFunc(some, func(a, b ending) int {
			if a.at == b.at {
				return 0 // at the deadline, all at once
			}
			return a.Began.Compare(b.Began)
		}) {
			t.Errorf("%s: the oldest was not the first", class)
		}
	}
}

// TestLateComersAreEndedEarlyToo: a request becomes a WebSocket while the drain runs.
func TestLateComersAreEndedEarlyToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, Request, 100)
		time.AfterFunc(time.Second, func() {
			for i := range 100 {
				w.become(fmt.Sprintf("request %d", i), WebSocket)
			}
		})
		var e endings
		if rep := Run(t.Context(), e.watched(w)); rep.Took != policy.WebSocket || mostWithin(e.all, time.Second) > 51 {
			t.Errorf("%s, most in a second %d", rep, mostWithin(e.all, time.Second))
		}
	})
}

// TestWhatLeftByItselfCostsNoTurn: the next in line is ended in its place.
func TestWhatLeftByItselfCostsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		lasting(w, WebSocket, 10)
		job := w.job()
		gone := 0
		job.Inside = func() []Item {
			items := w.inside()
			for i := range items {
				if cut := items[i].Cut; items[i].ID < "websocket 5" {
					items[i].Cut = func(d time.Duration) bool { cut(d); gone++; return false }
				}
			}
			return items
		}
		if rep := Run(t.Context(), job); rep.Cut != 5 || rep.Finished != 5 || gone != 5 {
			t.Errorf("%s, %d had gone", rep, gone)
		}
	})
}
