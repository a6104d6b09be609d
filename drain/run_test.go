package drain

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var policy = Policy{Timeout: 30 * time.Second, Stream: 10 * time.Second, WebSocket: 5 * time.Second}

// work is a ledger for tests: pieces of work inside of one gate.
type work struct {
	gate *Gate
	over <-chan struct{} // the test is

	mu    sync.Mutex
	items map[string]*piece
}

type piece struct {
	Item
	hangs bool // does not leave when it is cut
	cut   chan struct{}
}

func newWork(t *testing.T) *work {
	return &work{gate: NewGate(), over: t.Context().Done(), items: map[string]*piece{}}
}

// begin puts a piece of work inside, which ends by itself after a while.
func (w *work) begin(id string, class Class, takes time.Duration) *piece {
	w.gate.Enter()
	p := &piece{Item: Item{ID: id, Class: class, Began: time.Now()}, cut: make(chan struct{})}
	w.mu.Lock()
	w.items[id] = p
	w.mu.Unlock()
	go w.do(id, p, takes)
	return p
}

func (w *work) do(id string, p *piece, takes time.Duration) {
	select {
	case <-time.After(takes):
	case <-p.cut:
	case <-w.over:
	}
	w.mu.Lock()
	delete(w.items, id)
	w.mu.Unlock()
	w.gate.Leave()
}

func (w *work) become(id string, class Class) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items[id].Class = class
}

func (w *work) inside() (items []Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, p := range w.items {
		it := p.Item
		it.Cut = func(time.Duration) bool { return w.end(id, p) }
		items = append(items, it)
	}
	return items
}

func (w *work) end(id string, p *piece) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.items[id] != p {
		return false
	}
	if !p.hangs {
		close(p.cut)
	}
	return true
}

func (w *work) job() Job { return Job{Gates: []*Gate{w.gate}, Inside: w.inside, Policy: policy} }

const forever = time.Hour

func TestRunCutsEachClassAtItsDeadline(t *testing.T) {
	for class, want := range map[Class]time.Duration{
		Request: 30 * time.Second, Upload: 30 * time.Second, Stream: 10 * time.Second, WebSocket: 5 * time.Second, Tunnel: 5 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWork(t)
			w.begin("a", class, forever)
			rep := Run(t.Context(), w.job())
			if rep.Took != want || rep.Cut != 1 || rep.Finished != 0 || rep.Left != 0 {
				t.Errorf("%s: %s, want a cut at %s", class, rep, want)
			}
			if len(rep.CutList) != 1 || rep.CutList[0].ID != "a" || rep.CutList[0].Cut != nil {
				t.Errorf("%s: the receipt names %v", class, rep.CutList)
			}
		})
	}
}

func TestRunWaitsNoLongerThanTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		for i, c := range Classes() {
			w.begin(c.String(), c, time.Duration(i+1)*time.Second-time.Millisecond)
		}
		rep := Run(t.Context(), w.job())
		if rep.Found != 6 || rep.Finished != 6 || rep.Cut != 0 || rep.Took != 6*time.Second-time.Millisecond {
			t.Errorf("%s: all would have finished in time", rep)
		}
	})
}

func TestRunOfAnEmptyGateIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nudged := false
		rep := Run(t.Context(), Job{Gates: []*Gate{NewGate(), NewGate()}, Policy: policy, Nudge: func() { nudged = true }})
		if rep.Took != 0 || rep.Found != 0 || !nudged {
			t.Errorf("%s, nudged %v", rep, nudged)
		}
		if rep := Run(t.Context(), Job{Policy: policy}); rep.Found != 0 || rep.Took != 0 {
			t.Errorf("without gates: %s", rep)
		}
	})
}

func TestRunClosesBeforeItNudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, time.Second)
		job := w.job()
		job.Nudge = func() {
			if !w.gate.Closed() {
				t.Error("nudged with the gate open: what idles now may be used again")
			}
		}
		Run(t.Context(), job)
	})
}

func TestZeroPolicyCutsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, forever)
		w.begin("b", WebSocket, forever)
		job := w.job()
		job.Policy = Policy{}
		if rep := Run(t.Context(), job); rep.Took != 0 || rep.Cut != 2 {
			t.Errorf("%s, want both cut at once", rep)
		}
	})
}

func TestRunFollowsAChangeOfClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, forever)
		go func() {
			time.Sleep(15 * time.Second) // past the deadline of streams
			w.become("a", Stream)
		}()
		rep := Run(t.Context(), w.job())
		if rep.Took < 15*time.Second || rep.Took > 15*time.Second+2*pace || rep.Classes[Stream].Cut != 1 {
			t.Errorf("%s %v: a request that turns out to be a stream is past its deadline", rep, rep.Classes)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Stream, 20*time.Second)
		go func() {
			time.Sleep(9 * time.Second)
			w.become("a", Request)
		}()
		if rep := Run(t.Context(), w.job()); rep.Cut != 0 || rep.Finished != 1 {
			t.Errorf("%s: no longer a stream when the streams were cut", rep)
		}
	})
}

func TestCutThatDoesNotUnwindIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("stuck", WebSocket, forever).hangs = true
		w.begin("ends", WebSocket, forever)
		rep := Run(t.Context(), w.job())
		if rep.Took != policy.longest()+unwind {
			t.Errorf("gave up after %s", rep.Took)
		}
		if rep.Found != 2 || rep.Cut != 1 || rep.Left != 1 || rep.Finished != 0 {
			t.Errorf("%+v: what is still inside is left, not cut", rep.Count)
		}
		if c := rep.Classes[WebSocket]; c != (Count{Found: 2, Cut: 1, Left: 1}) {
			t.Errorf("by class: %+v", c)
		}
		if len(rep.CutList) != 2 {
			t.Errorf("both were told to end: %v", rep.CutList)
		}
	})
}

func TestCancelledRunReportsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, 20*time.Second)
		w.begin("b", Request, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		rep := Run(ctx, w.job())
		if rep.Took != 3*time.Second || rep.Count != (Count{Found: 2, Finished: 1, Left: 1}) {
			t.Errorf("%s", rep)
		}
		if !w.gate.Closed() {
			t.Error("the gate opened again")
		}
	})
}

func TestWithoutLedgerNothingIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, 32*time.Second)
		job := w.job()
		job.Inside = nil
		if rep := Run(t.Context(), job); rep.Count != (Count{Found: 1, Finished: 1}) || rep.Took != 32*time.Second {
			t.Errorf("%s", rep)
		}
		w = newWork(t)
		w.begin("a", Request, forever)
		job = w.job()
		job.Inside = nil
		if rep := Run(t.Context(), job); rep.Left != 1 || rep.Took != policy.longest()+unwind {
			t.Errorf("%s: waits no longer than the longest class", rep)
		}
	})
}

func TestRunEmptiesSeveralGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var job Job
		var all []*work
		for i := range 4 {
			w := newWork(t)
			all = append(all, w)
			job.Gates = append(job.Gates, w.gate)
			w.begin(fmt.Sprint("short", i), Request, time.Duration(4-i)*time.Second)
			w.begin(fmt.Sprint("long", i), WebSocket, forever)
		}
		job.Policy = policy
		job.Inside = func() (items []Item) {
			for _, w := range all {
				items = append(items, w.inside()...)
			}
			return items
		}
		rep := Run(t.Context(), job)
		if rep.Count != (Count{Found: 8, Finished: 4, Cut: 4}) || rep.Took != 5*time.Second {
			t.Errorf("%s", rep)
		}
	})
}

func TestWorkWithOneIDIsToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		for i := range 3 {
			w.begin(fmt.Sprint(i), Request, forever)
		}
		job := w.job()
		job.Inside = func() []Item {
			items := w.inside()
			for i := range items {
				items[i].Key, items[i].ID = items[i].ID, "the same" // a client sent one id with three requests
			}
			return items
		}
		rep := Run(t.Context(), job)
		if rep.Count != (Count{Found: 3, Cut: 3}) || rep.Took != policy.Timeout || len(rep.CutList) != 3 {
			t.Errorf("%s: each is to be cut, whatever it is called", rep)
		}
	})
}

func TestItemsThatCannotBeCutAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", WebSocket, 7*time.Second)
		job := w.job()
		job.Inside = func() []Item { return []Item{{ID: "a", Class: WebSocket}} }
		if rep := Run(t.Context(), job); rep.Count != (Count{Found: 1, Finished: 1}) {
			t.Errorf("%s", rep)
		}
	})
}

func TestWorkThatEndedBeforeItsCutFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", WebSocket, 6*time.Second)
		job := w.job()
		job.Inside = func() []Item {
			return []Item{{ID: "a", Class: WebSocket, Cut: func(time.Duration) bool { return false }}}
		}
		rep := Run(t.Context(), job)
		if rep.Count != (Count{Found: 1, Finished: 1}) || len(rep.CutList) != 0 {
			t.Errorf("%s %v: Cut said that it was over", rep, rep.CutList)
		}
	})
}

// TestALookThatTakesLongIsTakenSeldom: a drain of very much work does not keep a core busy with looking.
func TestALookThatTakesLongIsTakenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("a", Request, forever)
		job := w.job()
		looks := 0
		job.Inside = func() []Item {
			looks++
			time.Sleep(100 * time.Millisecond)
			return w.inside()
		}
		// From 5 s to 30 s some class is past its deadline, and each look costs a tenth of a second.
		if rep := Run(t.Context(), job); rep.Cut != 1 || rep.Took > policy.Timeout+time.Second || looks > 30 {
			t.Errorf("%s, %d looks", rep, looks)
		}
	})
}

func TestSooner(t *testing.T) {
	got := Policy{Timeout: 3 * time.Second, Stream: time.Second, WebSocket: 500 * time.Millisecond}.Sooner(time.Second)
	if got != (Policy{Timeout: 2 * time.Second}) {
		t.Errorf("%+v", got)
	}
}
