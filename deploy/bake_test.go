package deploy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/healthcheck"
	"sluice/judge"
	"sluice/proxy"
)

// oven is a control of one service that bakes. It does what it is told, and writes that down.
type oven struct {
	mu     sync.Mutex
	state  control.State
	news   chan struct{}
	rate   uint64 // requests in a second
	errors uint64 // of a hundred
	began  time.Time
	refuse *control.Refusal // what a rollback meets
	done   []string
}

var baseline = judge.Sample{Requests: 5000, Errors: 5}

func newOven(t *testing.T, length time.Duration, change func(*control.Bake)) *oven {
	t.Helper()
	b := &control.Bake{ID: "8", From: control.Baked{Pool: "blue"}, To: control.Baked{Pool: "green"}, Began: time.Now(), Ends: time.Now().Add(length), Baseline: baseline}
	b.Rules = judge.Defaults()
	if change != nil {
		change(b)
	}
	o := &oven{news: make(chan struct{}), began: time.Now()}
	o.put(b, healthcheck.Up, healthcheck.Up)
	return o
}

// put has the bake in the State, and the two backends of its pool in theirs.
func (o *oven) put(b *control.Bake, states ...healthcheck.State) {
	p := &control.Pool{Name: "green"}
	old := &control.Pool{Name: "blue", Backends: []*control.Backend{{Admin: control.Ready, Health: healthcheck.Verdict{State: healthcheck.Up}}}}
	for i, s := range states {
		p.Backends = append(p.Backends, &control.Backend{Key: control.Key{Service: "web", Pool: "green", Backend: fmt.Sprint(i)}, Admin: control.Ready, Health: healthcheck.Verdict{State: s}, Risen: true})
	}
	svc := &control.Service{Name: "web", File: &config.Service{}, Live: "green", Bake: b, Pools: []*control.Pool{old, p}}
	o.state = control.State{Services: map[string]*control.Service{"web": svc}, Order: []string{"web"}}
}

func (o *oven) State() control.State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state
}

func (o *oven) Watch() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.news
}

// happens changes the world and tells of it.
func (o *oven) happens(what func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	what()
	close(o.news)
	o.news = make(chan struct{})
}

// Waiting has one request wait in each pool.
func (o *oven) Waiting(string, string) (one judge.Histogram) {
	one[0] = 1
	return one
}

// What waits at the live pool counts against what waits at the one beside it; the old pool of a flip has nothing to compare.
func TestWaitsAreComparedWhereBothServe(t *testing.T) {
	o := &oven{}
	for _, split := range []bool{false, true} {
		b := bakeTrial{control: o, service: &control.Service{Name: "web"}, Bake: &control.Bake{Split: split}}
		old, new := b.waiting()
		if compared := old.Count() == 1; compared != split || new.Count() != 1 {
			t.Errorf("split %v: %d wait at the old one, %d at the new one", split, old.Count(), new.Count())
		}
	}
}

// Probe is answered at once, by both releases as by the ones that they are.
func (o *oven) Probe(_ context.Context, _, pool string, _ *proxy.Figures, what *proxy.Probe) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, "probe "+pool+" "+what.Target)
}

func (o *oven) BakeFigures(string, *control.Bake) (old, new judge.Sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	new.Requests = o.rate * uint64(time.Since(o.began)/time.Second)
	new.Errors = new.Requests * o.errors / 100
	return baseline, new
}

// ends ends the bake, as control does: once.
func (o *oven) ends(id string, end control.BakeEnd) error {
	b := o.State().Services["web"].Bake
	if !b.Running() || b.ID != id {
		return &control.Refusal{Kind: "conflict", What: "over", Hint: "-"}
	}
	next := *b
	next.End = &end
	o.happens(func() {
		o.put(&next, healthcheck.Up, healthcheck.Up)
		o.done = append(o.done, fmt.Sprintf("%s at %s", end.State, time.Since(o.began)))
	})
	return nil
}

func (o *oven) EndBake(_, id string, end control.BakeEnd) error { return o.ends(id, end) }

func (o *oven) RollBackBake(_ context.Context, _, id string, end control.BakeEnd) (*control.Operation, error) {
	o.mu.Lock()
	refuse := o.refuse
	o.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	end.State = control.RolledBack
	return nil, o.ends(id, end)
}

func (o *oven) StickBake(_, _, worse, stuck string) error {
	next := *o.State().Services["web"].Bake
	next.Worse, next.Stuck = worse, stuck
	o.happens(func() {
		o.put(&next, healthcheck.Up, healthcheck.Up)
		o.done = append(o.done, fmt.Sprintf("stuck (%s) at %s", stuck, time.Since(o.began)))
	})
	return nil
}

func (o *oven) did() string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.done, "; ")
}

// TestBakes plays a bake of ten seconds in each way.
func TestBakes(t *testing.T) {
	rows := []struct {
		why          string
		rate, errors uint64
		bake         func(*control.Bake)
		refuse       string
		want         string
	}{
		{why: "a good one", rate: 500, want: "passed at 10s"},
		{why: "one in five fails", rate: 500, errors: 20, want: "rolled_back at 3s"},
		{why: "one in five fails, seldom asked", rate: 4, errors: 20, want: "not_enough at 10s"},
		{why: "nobody comes", want: "not_enough at 10s"},
		{why: "only to report", rate: 500, errors: 20, bake: func(b *control.Bake) { b.Reports = true }, want: "worse at 3s"},
		{why: "nowhere to go", rate: 500, errors: 20, refuse: "blue is down", want: "stuck (blue is down) at 3s; worse at 10s"},
		{why: "Sluice is stopping", rate: 500, errors: 20, refuse: "stopping", want: ""},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			o := newOven(t, 10*time.Second, row.bake)
			o.rate, o.errors = row.rate, row.errors
			if row.refuse != "" {
				o.refuse = &control.Refusal{Kind: "unhealthy", What: row.refuse, Hint: "-"}
			}
			if row.refuse == "stopping" {
				o.refuse.Kind = row.refuse
			}
			ws := Watch(o, time.Now, Bakes(o, time.Now))
			defer ws.Close()
			time.Sleep(time.Minute)
			if got := o.did(); got != row.want {
				t.Errorf("%s: %s, want %s", row.why, got, row.want)
			}
		})
	}
}

// TestABakeWatchesHealth: the backends of the new release go down, and nobody needs to ask them for that.
func TestABakeWatchesHealth(t *testing.T) {
	rows := []struct {
		why    string
		states []healthcheck.State
		want   string
	}{
		{"all are down", []healthcheck.State{healthcheck.Down, healthcheck.Down}, "rolled_back at 3s"},
		{"one of three is down", []healthcheck.State{healthcheck.Up, healthcheck.Up, healthcheck.Down}, "not_enough at 10s"},
		{"nobody knows yet, as after a start", []healthcheck.State{healthcheck.Unknown, healthcheck.Unknown}, "passed at 10s"},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			o := newOven(t, 10*time.Second, nil)
			o.rate = 500
			ws := Watch(o, time.Now, Bakes(o, time.Now))
			defer ws.Close()
			time.Sleep(2300 * time.Millisecond)
			o.happens(func() { o.put(o.state.Services["web"].Bake, row.states...) })
			time.Sleep(time.Minute)
			if got := o.did(); got != row.want {
				t.Errorf("%s: %s, want %s", row.why, got, row.want)
			}
		})
	}
}

// TestABackendThatFallsAgainAndAgain is up at each look.
func TestABackendThatFallsAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOven(t, 10*time.Second, nil)
		o.rate = 500
		ws := Watch(o, time.Now, Bakes(o, time.Now))
		defer ws.Close()
		time.Sleep(100 * time.Millisecond)
		for range 3 {
			for _, s := range []healthcheck.State{healthcheck.Down, healthcheck.Up} {
				o.happens(func() { o.put(o.state.Services["web"].Bake, s, healthcheck.Up) })
				time.Sleep(100 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		if got := o.did(); got != "rolled_back at 1s" {
			t.Error(got)
		}
	})
}

// TestAStuckBakeGoesBackWhenItCan tries again until what is in the way has gone.
func TestAStuckBakeGoesBackWhenItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOven(t, time.Minute, nil)
		o.rate, o.errors = 500, 20
		o.refuse = &control.Refusal{Kind: "schema", What: "the schema is too new", Hint: "-"}
		ws := Watch(o, time.Now, Bakes(o, time.Now))
		defer ws.Close()
		time.Sleep(7500 * time.Millisecond)
		o.happens(func() { o.refuse = nil })
		time.Sleep(time.Second)
		if got := o.did(); got != "stuck (the schema is too new) at 3s; rolled_back at 8s" {
			t.Error(got)
		}
	})
}

// TestABakeIsWatchedFromWhenItIsThere: the watch sleeps until a bake begins, sees it end by another hand, and takes the next.
func TestABakeIsWatchedFromWhenItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOven(t, 0, func(b *control.Bake) { b.End = &control.BakeEnd{State: control.BakePassed} })
		o.rate = 500
		ws := Watch(o, time.Now, Bakes(o, time.Now))
		defer ws.Close()
		time.Sleep(time.Hour)
		begin := func(id string) {
			o.happens(func() {
				o.began = time.Now()
				o.put(&control.Bake{ID: id, From: control.Baked{Pool: "blue"}, To: control.Baked{Pool: "green"}, Rules: judge.Defaults(), Baseline: baseline, Ends: time.Now().Add(2500 * time.Millisecond)}, healthcheck.Up)
			})
		}
		begin("9")
		time.Sleep(2 * time.Second)
		if got := o.did(); got != "" {
			t.Fatal(got)
		}
		o.EndBake("web", "9", control.BakeEnd{State: control.Superseded})
		begin("10")
		time.Sleep(time.Minute)
		if got := o.did(); got != "superseded at 2s; passed at 2.5s" {
			t.Error(got)
		}
	})
}

// TestARestartGoesOnWithTheBake: a second watch of the same State ends it at the same time, and a bake whose time is over at
// the start is ended at once.
func TestARestartGoesOnWithTheBake(t *testing.T) {
	for _, away := range []time.Duration{2 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			o := newOven(t, 10*time.Second, nil)
			o.rate = 500
			first := Watch(o, time.Now, Bakes(o, time.Now))
			time.Sleep(4500 * time.Millisecond)
			first.Close()
			time.Sleep(away)
			o.mu.Lock()
			o.rate = 0 // nothing was counted by this process yet
			o.mu.Unlock()
			second := Watch(o, time.Now, Bakes(o, time.Now))
			defer second.Close()
			time.Sleep(time.Minute)
			want := "not_enough at 10s"
			if away == time.Hour {
				want = "not_enough at 1h0m5.5s"
			}
			if got := o.did(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
