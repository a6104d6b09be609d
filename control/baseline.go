package control

import (
	"sync"
	"time"

	"sluice/judge"
)

// What a pool did lately is what the one after it is measured by. Its figures only grow; so they are written down now and
// then, and what was written down some time ago is taken off.

// noteEvery is how often that is.
const noteEvery = judge.RecentStep * time.Second

// baselines are what was written down of each pool that ever had traffic: some 35 KiB.
type baselines struct {
	mu  sync.Mutex
	all map[poolKey]*judge.Recent
}

// note writes down what a pool has done by now.
func (b *baselines) note(k poolKey, now judge.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Requests+now.Resets == 0 {
		return
	}
	b.of(k).Add(now)
}

// of is what there is of a pool; it begins with nothing done. The caller holds mu.
func (b *baselines) of(k poolKey) *judge.Recent {
	if b.all == nil {
		b.all = map[poolKey]*judge.Recent{}
	}
	if b.all[k] == nil {
		b.all[k] = &judge.Recent{}
		b.all[k].Add(judge.Sample{})
	}
	return b.all[k]
}

// lately is what a pool did in the last minutes, up to now.
func (b *baselines) lately(k poolKey, now judge.Sample) (judge.Sample, judge.Bursts) {
	b.mu.Lock()
	recent := *b.of(k)
	b.mu.Unlock()
	recent.Add(now)
	return recent.Baseline()
}

// keepBaselines writes down what the pools do, until the Controller is closed.
func (c *Controller) keepBaselines() {
	defer c.running.Done()
	ticker := time.NewTicker(noteEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.noteBaselines()
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *Controller) noteBaselines() {
	for name, svc := range c.State().Services {
		for _, p := range svc.Pools {
			c.baselines.note(poolKey{name, p.Name}, c.sample(name, p.Name))
		}
	}
}

// beside is what is known of two pools when one takes the place of the other.
func (c *Controller) beside(service string) func(from, to string) watched {
	return func(from, to string) watched {
		var w watched
		w.baseline, w.bursts = c.baselines.lately(poolKey{service, from}, c.sample(service, from))
		w.start, w.oldStart = c.sample(service, to), c.sample(service, from)
		return w
	}
}
