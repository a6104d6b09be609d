package drain

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEndingsCountOnceTheGateIsClosed(t *testing.T) {
	g := NewGate()
	g.Enter()
	g.Ended(Ending{Key: 1, Outcome: Failed})
	if n := len(g.ended()); n != 0 {
		t.Errorf("%d endings of an open gate: what failed before a drain is no part of it", n)
	}
	g.Close()
	g.Ended(Ending{Key: 1, Outcome: Failed})
	if n := len(g.ended()); n != 1 {
		t.Errorf("%d endings, want 1", n)
	}
}

// ledger is work that really runs in goroutines, enters and leaves as a proxy's does, and keeps its own book.
type ledger struct {
	gates []*Gate
	mu    sync.Mutex
	items map[int]*trade
	book  [4]atomic.Int64 // by Outcome; only of what was inside when its gate was closed
	early atomic.Int64    // what ended before
}

type trade struct {
	id    int
	gate  *Gate
	class Class
	cut   atomic.Bool
	woken chan struct{}
}

// serve is one piece of work: it enters, becomes visible, may change its class, and ends in some way.
func (l *ledger) serve(id int, rnd *rand.Rand) bool {
	one := &trade{id: id, gate: l.gates[id%len(l.gates)], class: Class(rnd.IntN(int(numClasses))), woken: make(chan struct{})}
	if !one.gate.Enter() {
		return false
	}
	l.set(one)
	select {
	case <-time.After(time.Duration(rnd.IntN(12)) * time.Millisecond):
	case <-one.woken:
	}
	if rnd.IntN(3) == 0 {
		l.become(one, Class(rnd.IntN(int(numClasses))))
	}
	l.unset(one)
	l.leave(one, Outcome(rnd.IntN(3)))
	return true
}

func (l *ledger) leave(one *trade, outcome Outcome) {
	var item *Item
	if one.cut.Load() && outcome != Finished { // some come to their end just before the cut
		outcome, item = WasCut, &Item{ID: fmt.Sprint(one.id), Key: one.id, Class: one.class}
	}
	if closed := one.gate.Closed(); !closed {
		l.early.Add(1)
		outcome = Finished // nobody counts how: the gate may still be closed before it leaves
		defer one.gate.Leave()
		return
	}
	one.gate.Ended(Ending{Key: one.id, Class: one.class, Outcome: outcome, Item: item})
	l.book[outcome].Add(1)
	one.gate.Leave()
}

func (l *ledger) set(one *trade) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items[one.id] = one
}

func (l *ledger) unset(one *trade) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.items, one.id)
}

func (l *ledger) become(one *trade, c Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one.class = c
}

func (l *ledger) inside() (items []Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.items {
		items = append(items, Item{ID: fmt.Sprint(one.id), Key: one.id, Class: one.class, Gate: one.gate, Cut: func(time.Duration) bool { return l.end(one) }})
	}
	return items
}

func (l *ledger) end(one *trade) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.items[one.id] != one {
		return false
	}
	if one.cut.CompareAndSwap(false, true) {
		close(one.woken)
	}
	return true
}

// TestReceiptsAddUpUnderRaces drains while work enters, ends in all ways, changes its class and is cut. Each receipt must
// add up, in all and by class, and say what really became of the work.
func TestReceiptsAddUpUnderRaces(t *testing.T) {
	var cut, retried, failed, raced int
	for round := range 60 {
		rep, l := drainUnderLoad(uint64(round), t.Context())
		addsUp(t, rep)
		book := func(o Outcome) int { return int(l.book[o].Load()) }
		if rep.Retried != book(Retried) || rep.Failed != book(Failed) || rep.Cut != book(WasCut) || len(rep.CutList) != rep.Cut {
			t.Fatalf("round %d: %s, listed %d; want retried %d, failed %d, cut %d", round, rep, len(rep.CutList), book(Retried), book(Failed), book(WasCut))
		}
		if late := rep.Finished - book(Finished); late < 0 || late > int(l.early.Load()) || rep.Left != 0 {
			t.Fatalf("round %d: %s, and %d finished", round, rep, book(Finished))
		}
		if l.early.Load() > 0 && rep.Found > 0 {
			raced++
		}
		cut, retried, failed = cut+rep.Cut, retried+rep.Retried, failed+rep.Failed
	}
	if cut == 0 || retried == 0 || failed == 0 || raced < 10 {
		t.Errorf("cut %d, retried %d, failed %d, raced %d: the test tested nothing", cut, retried, failed, raced)
	}
}

func drainUnderLoad(seed uint64, ctx context.Context) (Report, *ledger) {
	l := &ledger{gates: []*Gate{NewGate(), NewGate()}, items: map[int]*trade{}}
	var all sync.WaitGroup
	for worker := range 16 {
		rnd := rand.New(rand.NewPCG(seed, uint64(worker)))
		all.Go(func() {
			for i := range 200 {
				if !l.serve(worker*1000+i, rnd) {
					return
				}
			}
		})
	}
	for l.early.Load() < 20 {
		runtime.Gosched()
	}
	rep := Run(ctx, Job{Gates: l.gates, Inside: l.inside, Policy: Policy{
		Timeout: 6 * time.Millisecond, Stream: 2 * time.Millisecond, WebSocket: 4 * time.Millisecond,
	}})
	all.Wait()
	return rep, l
}

func addsUp(t *testing.T, rep Report) {
	t.Helper()
	var total Count
	for class, c := range rep.Classes {
		if c.Found != c.Finished+c.Cut+c.Retried+c.Failed+c.Left || c.Finished < 0 {
			t.Errorf("%s: %+v does not add up", class, c)
		}
		total = total.plus(c)
	}
	if total != rep.Count {
		t.Errorf("by class %+v, in all %+v", total, rep.Count)
	}
}

func TestLongListsOfCutsAreShortened(t *testing.T) {
	var total Report
	for i := range 3 {
		one := Report{Count: Count{Found: 600, Cut: 600}}
		for j := range 600 {
			one.CutList = append(one.CutList, Item{ID: fmt.Sprint(i, j), Began: time.Unix(int64(j), 0)})
		}
		total.Add(one)
	}
	if len(total.CutList) != mostCuts || total.CutAll() != 1800 || total.CutList[0].Began.Unix() != 0 {
		t.Errorf("%d are listed and %d more: want the oldest %d of 1800", len(total.CutList), total.CutMore, mostCuts)
	}
}
