package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// round is one measurement of one peer.
type round struct {
	Round   int           `json:"round"` // from 1
	Peer    string        `json:"peer"`
	Size    int           `json:"size,omitempty"`       // where the work has several
	CPU     time.Duration `json:"cpu_ns"`               // of the proxy's process tree
	Quiet   float64       `json:"quiet,omitempty"`      // share of a core that the proxy used before there was load
	Steal   float64       `json:"steal"`                // share of the used cores' time that the machine gave to others
	Idle    float64       `json:"idle"`                 // share of the proxy's cores' time
	Other   float64       `json:"other"`                // share of the proxy's cores' time that neither the proxy nor idling explains
	Rate    float64       `json:"rate,omitempty"`       // what a constant rate was
	Memory  float64       `json:"memory,omitempty"`     // bytes that each held connection added
	Settled time.Duration `json:"settled_ns,omitempty"` // how long it took until the memory no longer changed
	Start   time.Duration `json:"start_ns,omitempty"`
	Load    load          `json:"load"`
}

// perRequest is the figure: microseconds of CPU per request.
func (r round) perRequest() float64 {
	return float64(r.CPU.Nanoseconds()) / 1000 / float64(r.Load.Requests)
}

// perRequestNet leaves out what the proxy does without any request, which is its health checks.
func (r round) perRequestNet() float64 {
	return r.perRequest() - r.Quiet*float64(r.Load.Took.Nanoseconds())/1000/float64(r.Load.Requests)
}

// Above these shares of a round's time, rounds of one peer were seen to differ by more than the peers do.
const (
	stealLimit = 0.05
	otherLimit = 0.10
)

// disturbed tells that the round measured the machine's other business too. Stolen time is partly charged to
// whoever was running, and other programs take the caches.
func (r round) disturbed() bool { return r.Steal > stealLimit || r.Other > otherLimit }

// field is what one work is measured in: peers, the backend they share, and the cores.
type field struct {
	work     work
	peers    []server
	backend  *process
	backends []string // its addresses, as far as the work has use for them
	place    placement
	dir      string
	script   string  // path of wrk's script; "" for none
	rate     float64 // where it is constant
	seconds  int
	retries  int // of a disturbed measurement
	out      io.Writer
}

// measureWork prepares the field, measures every peer in every round, and takes the field down again.
func measureWork(ctx context.Context, f field, rounds int, cpus cpuList) (res result, err error) {
	res = resultOf(f.work)
	if f.place, err = place(cpus, f.work.proxyCPUs); err != nil {
		return res, err
	}
	res.Place = f.place.String()
	f.peers = f.taking()
	for _, p := range f.peers {
		if res.Configs[p.name], err = sameWork(ctx, p, f.dir, f.work); err != nil {
			return res, err
		}
	}
	backend, err := f.prepare(ctx)
	if err != nil {
		return res, err
	}
	defer backend.stop()
	res.Configs["backend"] = backend.config
	if f.work.most > 0 {
		rounds = min(rounds, f.work.most)
	}
	res.Rounds, err = f.runRounds(ctx, rounds)
	return res, err
}

// taking are the peers that have a place in this work.
func (f *field) taking() (list []server) {
	for _, p := range f.peers {
		if f.work.measures(p) {
			list = append(list, p)
		}
	}
	return list
}

// prepare starts the backend, with all addresses that any size of the work needs, and finds the rate.
func (f *field) prepare(ctx context.Context) (*running, error) {
	largest := f.work
	for _, size := range f.work.sizes {
		largest = f.work.at(size)
	}
	backend, err := backendFor(largest).start(ctx, f.dir, largest, f.place.load, nil)
	if err != nil {
		return nil, err
	}
	f.backend, f.backends, f.rate = backend.process, backend.listens, f.work.rate
	if f.work.halfRate {
		f.rate, err = f.halfOfSlowest(ctx)
	}
	if err != nil {
		backend.stop()
		return nil, err
	}
	return backend, nil
}

// halfOfSlowest is half the rate that the slowest peer serves when the load sends as fast as it is answered.
func (f *field) halfOfSlowest(ctx context.Context) (float64, error) {
	var least float64
	for _, p := range f.peers {
		r, err := f.saturate(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("finding the rate, %s: %w", p.name, err)
		}
		if rate := r.Load.perSecond(); least == 0 || rate < least {
			least = rate
		}
	}
	fmt.Fprintf(f.out, "  the slowest serves %.0f requests/s: half of that is sent to each\n", least)
	return least / 2, nil
}

// at is the field for one size of its work.
func (f *field) at(size int) (*field, error) {
	grown := *f
	grown.work = f.work.at(size)
	grown.backends = f.backends[:max(1, grown.work.backends)]
	if grown.work.script == "" {
		return &grown, nil
	}
	grown.script = filepath.Join(f.dir, fmt.Sprintf("%s-%d.lua", f.work.name, size))
	return &grown, os.WriteFile(grown.script, []byte(grown.work.script), 0o644)
}

// runRounds lets each peer begin in turn, so that what changes on the machine over the run touches all alike.
func (f *field) runRounds(ctx context.Context, rounds int) ([]round, error) {
	sizes := f.work.sizes
	if len(sizes) == 0 {
		sizes = []int{0}
	}
	var all []round
	for n := range rounds {
		for i := range f.peers {
			p := f.peers[(n+i)%len(f.peers)]
			for _, size := range sizes {
				r, err := f.runSize(ctx, p, size)
				if err != nil {
					return all, fmt.Errorf("round %d, %s: %w", n+1, p.name, err)
				}
				r.Round = n + 1
				f.tell(r)
				all = append(all, r)
			}
		}
	}
	return all, nil
}

func (f *field) runSize(ctx context.Context, p server, size int) (round, error) {
	at, err := f.at(size)
	if err != nil {
		return round{}, err
	}
	r, err := at.runQuietRound(ctx, p)
	r.Size = size
	return r, err
}

func (f *field) tell(r round) {
	size := ""
	if r.Size > 0 {
		size = fmt.Sprintf(" at %-6d", r.Size)
	}
	fmt.Fprintf(f.out, "  round %d  %-14s%s %8.2f %s", r.Round, r.Peer, size, f.work.figure.of(r), f.work.figure.unit)
	if r.Load.Requests > 0 {
		fmt.Fprintf(f.out, "  %8.0f requests/s", r.Load.perSecond())
	}
	fmt.Fprintln(f.out)
}

// runQuietRound measures again when something else on the machine had a hand in the round, and keeps the quietest
// try. It looks at the disturbance alone, never at the figure.
func (f *field) runQuietRound(ctx context.Context, p server) (round, error) {
	quietest, err := f.runRound(ctx, p)
	for retry := 0; err == nil && quietest.disturbed() && retry < f.retries; retry++ {
		fmt.Fprintf(f.out, "  again    %-8s at best %.0f%% of the time was stolen, %.0f%% went to other programs\n",
			p.name, quietest.Steal*100, quietest.Other*100)
		if err := rest(ctx, time.Duration(retry+1)*2*time.Second); err != nil {
			return quietest, err
		}
		var r round
		if r, err = f.runRound(ctx, p); err == nil && r.Steal+r.Other < quietest.Steal+quietest.Other {
			quietest = r
		}
	}
	return quietest, err
}

func (f *field) runRound(ctx context.Context, p server) (round, error) {
	r, err := f.work.measure(f, ctx, p)
	r.Peer = p.name
	return r, err
}

// rest lets a neighbour finish. A guest with a budget of CPU earns some back meanwhile.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
