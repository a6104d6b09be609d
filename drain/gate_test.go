package drain

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGateSteps walks through each order of Enter, Leave and Close that the rules allow, up to a length, and compares
// the gate with the plain rules after each step.
func TestGateSteps(t *testing.T) {
	const longest = 9
	var walk func(steps string)
	walk = func(steps string) {
		inside, closed := replay(t, steps)
		if len(steps) == longest {
			return
		}
		walk(steps + "e")
		walk(steps + "c")
		if inside > 0 {
			walk(steps + "l")
		}
		_ = closed
	}
	walk("")
}

func replay(t *testing.T, steps string) (inside int, closed bool) {
	g := NewGate()
	for i, step := range steps {
		switch step {
		case 'e':
			if admitted := g.Enter(); admitted == closed {
				t.Fatalf("%s: step %d: Enter said %v with the gate closed %v", steps, i, admitted, closed)
			}
			if !closed {
				inside++
			}
		case 'l':
			g.Leave()
			inside--
		case 'c':
			if n := g.Close(); n != inside {
				t.Fatalf("%s: Close said %d inside, want %d", steps, n, inside)
			}
			closed = true
		}
	}
	if g.Inside() != inside || g.Closed() != closed || isEmpty(g) != (closed && inside == 0) {
		t.Fatalf("%s: inside %d closed %v empty %v; want %d %v", steps, g.Inside(), g.Closed(), isEmpty(g), inside, closed)
	}
	return inside, closed
}

func isEmpty(g *Gate) bool {
	select {
	case <-g.Empty():
		return true
	default:
		return false
	}
}

// TestGateHammer lets many enter and leave while others close. Nobody may be inside once Empty is closed, and a second
// close of the channel would panic.
func TestGateHammer(t *testing.T) {
	for range 300 {
		g := NewGate()
		var inside, late atomic.Int64
		var workers, closers sync.WaitGroup
		for range 6 {
			workers.Go(func() { hammer(g, &inside, &late) })
		}
		closers.Go(func() { runtime.Gosched(); g.Close() })
		closers.Go(func() { g.Close() })
		<-g.Empty()
		if n := inside.Load(); n != 0 {
			t.Fatalf("%d inside of an empty gate", n)
		}
		workers.Wait()
		closers.Wait()
		if late.Load() != 0 {
			t.Fatal("the gate admitted after it was empty")
		}
		if g.Inside() != 0 || g.Enter() {
			t.Fatal("a closed gate opened again")
		}
	}
}

func hammer(g *Gate, inside, late *atomic.Int64) {
	for g.Enter() {
		inside.Add(1)
		if isEmpty(g) {
			late.Add(1)
		}
		runtime.Gosched()
		inside.Add(-1)
		g.Leave()
	}
}

func TestCloseTellsHowManyItFound(t *testing.T) {
	g := NewGate()
	for range 3 {
		g.Enter()
	}
	if n := g.Close(); n != 3 {
		t.Errorf("first Close: %d", n)
	}
	g.Leave()
	if n := g.Close(); n != 2 {
		t.Errorf("a later Close counts what is inside now: %d", n)
	}
}

func TestLeaveWithoutEnterPanics(t *testing.T) {
	tests := []struct {
		reason string
		before func(*Gate)
	}{
		{"an open gate with nothing inside", func(*Gate) {}},
		{"a closed gate with nothing inside", func(g *Gate) { g.Close() }},
		{"after as many leaves as enters", func(g *Gate) { g.Enter(); g.Leave() }},
		{"after it was emptied", func(g *Gate) { g.Enter(); g.Close(); g.Leave() }},
	}
	for _, test := range tests {
		g := NewGate()
		test.before(g)
		func() {
			defer func() {
				if r := recover(); r != "drain: Leave without Enter" {
					t.Errorf("%s: recovered %v", test.reason, r)
				}
			}()
			g.Leave()
		}()
	}
}

func TestGateAllocatesNothing(t *testing.T) {
	g := NewGate()
	if n := testing.AllocsPerRun(1000, func() { g.Enter(); g.Leave() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestClassNames(t *testing.T) {
	for _, c := range Classes() {
		text, _ := c.MarshalText()
		var back Class
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("%s came back as %s, %v", c, back, err)
		}
	}
	if len(Classes()) != int(numClasses) {
		t.Error("a class is missing from the list")
	}
	if s := Class(200).String(); s != "class(200)" {
		t.Errorf("an unknown class is %q", s)
	}
	if err := new(Class).UnmarshalText([]byte("carriage")); err == nil {
		t.Error("an unknown name was taken")
	}
	if !slices.IsSorted(Classes()) {
		t.Error("the order is that of the constants")
	}
}

func BenchmarkGate(b *testing.B) {
	g := NewGate()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.Enter()
			g.Leave()
		}
	})
}
