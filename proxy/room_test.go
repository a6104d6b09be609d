package proxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var roomy = Holds{Age: 30 * time.Second, Requests: 1000, Bytes: 1 << 20, Ramp: 100}

// row is a room and who entered it, each with a name.
type row struct {
	*Room
	caps   Holds
	guests map[string]*guest
	order  []string
}

func newRow(caps Holds) *row {
	r := &row{Room: &Room{}, caps: caps, guests: map[string]*guest{}}
	r.close(caps)
	return r
}

func (r *row) comes(name string, bytes int64) verdict {
	g := newGuest(r.Room, bytes)
	r.guests[name] = g
	r.order = append(r.order, name)
	return r.enter(g, r.caps)
}

// told is what each guest was told so far, as "a:released b:waits".
func (r *row) told() string {
	names := map[verdict]string{waits: "waits", released: "released", left: "left", shedAge: "age", shedFull: "full", shedBytes: "bytes"}
	var all []string
	for _, name := range r.order {
		v := waits
		select {
		case v = <-r.guests[name].end:
			r.guests[name].end <- v
		default:
		}
		all = append(all, name+":"+names[v])
	}
	return strings.Join(all, " ")
}

// TestCaps plays a row of steps against each cap. A step is a guest that comes (its name, its bytes), a while, or a word.
func TestCaps(t *testing.T) {
	for _, test := range []struct {
		name, caps, steps, told string
	}{
		{"all wait", "3 requests", "a b c", "a:waits b:waits c:waits"},
		{"the oldest makes room", "2 requests", "a b c d", "a:full b:full c:waits d:waits"},
		{"the oldest makes memory", "100 bytes", "a=40 b=40 c=40", "a:bytes b:waits c:waits"},
		{"as many as it takes", "100 bytes", "a=30 b=30 c=30 d=90", "a:bytes b:bytes c:bytes d:waits"},
		{"one that is too large alone", "100 bytes", "a=40 b=101 c=40", "a:waits b:waits c:waits"},
		{"age", "10 requests", "a 10s b 20s", "a:age b:waits"},
		{"age of all", "10 requests", "a 10s b 31s", "a:age b:age"},
		{"a place that came free", "2 requests", "a b -a c", "a:left b:waits c:waits"},
		{"bytes that came free", "100 bytes", "a=90 -a b=90", "a:left b:waits"},
		{"opened: the oldest at once", "9 requests", "a b c open", "a:released b:waits c:waits"},
		{"opened: the others by the ramp", "9 requests", "a b c open 25ms", "a:released b:released c:released"},
		{"age does not count while it is open", "9 requests", "a b c 29s slow open 1100ms", "a:released b:released c:waits"},
		{"closed again", "9 requests", "a b c slow open close 10s", "a:released b:waits c:waits"},
		{"closed again: age counts again", "9 requests", "a b 10s slow open close 21s", "a:released b:age"},
		{"who finds all full comes back as the oldest, and is tried again soon", "9 requests", "a b slow open <a 10ms", "a:released b:waits"},
		{"and is turned away at its age", "9 requests", "a slow open 29999ms <a 20ms", "a:age"},
		{"a service that is no more", "9 requests", "a b c clear", "a:released b:released c:released"},
	} {
		synctest.Test(t, func(t *testing.T) {
			caps := roomy
			fmt.Sscanf(test.caps, "%d requests", &caps.Requests)
			fmt.Sscanf(test.caps, "%d bytes", &caps.Bytes)
			r := newRow(caps)
			for _, step := range strings.Fields(test.steps) {
				r.play(step)
			}
			if got := r.told(); got != test.told {
				t.Errorf("%s: %s\n got %s\nwant %s", test.name, test.steps, got, test.told)
			}
			r.clear()
		})
	}
}

func (r *row) play(step string) {
	name, size, _ := strings.Cut(step, "=")
	switch d, err := time.ParseDuration(step); {
	case err == nil:
		time.Sleep(d + time.Millisecond)
		synctest.Wait()
	case step == "slow":
		r.caps.Ramp = 1
	case step == "open":
		r.open(r.caps)
	case step == "close":
		r.close(r.caps)
	case step == "clear":
		r.clear()
	case step[0] == '<':
		if <-r.guests[step[1:]].end != released {
			panic(step)
		}
		r.comeBack(r.guests[step[1:]], r.caps)
	case step[0] == '-':
		r.guests[step[1:]].Interrupt()
	default:
		bytes := int64(0)
		fmt.Sscan(size, &bytes)
		r.comes(name, bytes)
		time.Sleep(time.Nanosecond) // so that no two are of one age
	}
}

// TestTooLargeIsToldAtOnce: it turns nobody else away.
func TestTooLargeIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRow(roomy)
		if v := r.comes("a", roomy.Bytes+1); v != shedBytes {
			t.Errorf("told %d", v)
		}
		if w := r.Waiting(); w.Inside != 0 || w.Bytes != 0 || w.Entered != 1 || w.ShedBytes != 1 {
			t.Errorf("%+v", w)
		}
	})
}

// TestTheRamp measures a release of many in steps of 100 ms: it begins as it says, never jumps, and is over in seconds.
func TestTheRamp(t *testing.T) {
	for ramp, most := range map[int]time.Duration{1: 13 * time.Second, 100: 6200 * time.Millisecond, 1000: 3100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const all = 10_000
			caps := Holds{Age: time.Minute, Requests: all, Bytes: 1 << 30, Ramp: ramp}
			r := newRow(caps)
			for i := range all {
				r.comes(fmt.Sprint(i), 1)
			}
			r.open(caps)
			var steps []int
			for began := r.Waiting().Released; r.Waiting().Inside > 0; {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				n := r.Waiting().Released
				steps = append(steps, int(n-began))
				began = n
			}
			took := time.Duration(len(steps)) * 100 * time.Millisecond
			first := 0
			for _, n := range steps[:10] {
				first += n
			}
			// The sum of a rate that doubles within the second is 1/ln 2 of what it began with.
			if want := ramp * 1443 / 1000; took > most || first < ramp || first > want+2 {
				t.Errorf("ramp %d: %d in the first second, %d in %s", ramp, first, all, took)
			}
			for i := 1; i < len(steps)-1; i++ {
				// Of a rate that doubles in ten steps each is 7 % above the last; a step is off by a tick at most.
				if float64(steps[i]) > 1.08*float64(steps[i-1])*1.1+2 {
					t.Errorf("ramp %d: from %d to %d in step %d", ramp, steps[i-1], steps[i], i)
				}
			}
		})
	}
}

// TestTheOldestGoesFirst also for one that was let go and came back: it keeps its age.
func TestTheOldestGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caps := roomy
		caps.Ramp = 1
		r := newRow(caps)
		for _, step := range strings.Fields("a 1s b 1s c open close") {
			r.play(step)
		}
		if v := <-r.guests["a"].end; v != released {
			t.Fatalf("a: %d", v)
		}
		r.enter(r.guests["a"], caps)
		if w := r.Waiting(); w.Entered != 3 || w.Released != 0 || w.Inside != 3 || !w.Oldest.Equal(r.guests["a"].since) {
			t.Errorf("counted twice, or not the oldest any more: %+v", w)
		}
		time.Sleep(28 * time.Second)
		synctest.Wait()
		if got := r.told(); got != "a:age b:waits c:waits" {
			t.Error(got)
		}
		r.clear()
	})
}

// TestNobodyIsLostInARoom has guests come, leave, and come back while the room is opened and closed: each is told exactly
// once for each wait, and the counts add up.
func TestNobodyIsLostInARoom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { throng(t, rand.New(rand.NewPCG(seed, 4))) })
	}
}

func throng(t *testing.T, rnd *rand.Rand) {
	caps := Holds{Age: 2 * time.Second, Requests: 40, Bytes: 4000, Ramp: 50}
	r := &Room{}
	var guests sync.WaitGroup
	var mu sync.Mutex
	ends := map[verdict]int64{}
	const all = 400
	visit := func(bytes int64, at, leaves time.Duration, comesBack bool) {
		time.Sleep(at)
		g := newGuest(r, bytes)
		if leaves > 0 {
			time.AfterFunc(leaves, g.Interrupt)
		}
		v := waits
		for again := true; again; comesBack = false {
			if v = r.enter(g, caps); v == waits {
				v = <-g.end
				again = comesBack && v == released
			} else {
				again = false
			}
		}
		mu.Lock()
		ends[v]++
		mu.Unlock()
	}
	for range all {
		leaves := time.Duration(rnd.IntN(4)-1) * time.Second
		bytes, at, back := rnd.Int64N(300), time.Duration(rnd.IntN(int(10*time.Second))), rnd.IntN(3) == 0
		guests.Go(func() { visit(bytes, at, leaves, back) })
	}
	guests.Go(func() {
		for range 60 {
			time.Sleep(time.Duration(rnd.IntN(int(400 * time.Millisecond))))
			if rnd.IntN(2) == 0 {
				r.close(caps)
			} else {
				r.open(caps)
			}
		}
		r.clear()
	})
	guests.Wait()
	w := r.Waiting()
	var sum int64
	for v, n := range ends {
		if sum += n; v == waits {
			t.Error("a guest was told nothing")
		}
	}
	if sum != all || w.Inside != 0 || w.Bytes != 0 || r.oldest != nil || r.newest != nil {
		t.Errorf("%d of %d ended: %v; %+v", sum, all, ends, w)
	}
	if w.Entered != w.Released+w.Left+w.Shed() || w.ShedAge != ends[shedAge] || w.ShedFull != ends[shedFull] || w.Left != ends[left] {
		t.Errorf("%v but %+v", ends, w)
	}
}

// TestARowIsByAge holds the order whatever the guests come back in.
func TestARowIsByAge(t *testing.T) {
	r := newRow(Holds{Age: time.Hour, Requests: 100, Bytes: 1 << 20, Ramp: 1})
	for _, age := range rand.Perm(50) {
		g := newGuest(r.Room, 1)
		g.since = time.Unix(int64(age), 0).Add(time.Since(time.Unix(0, 0)))
		r.enter(g, r.caps)
	}
	var ages []int64
	for g := r.oldest; g != nil; g = g.newer {
		ages = append(ages, g.since.Unix())
	}
	if len(ages) != 50 || !slices.IsSorted(ages) {
		t.Error(ages)
	}
	r.clear()
}
