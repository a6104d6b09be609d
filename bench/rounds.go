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
	Round int           `json:"round"` // from 1
	Peer  string        `json:"peer"`
	CPU   time.Duration `json:"cpu_ns"` // of the proxy's process tree
	Steal float64       `json:"steal"`  // share of the used cores' time that the machine gave to others
	Idle  float64       `json:"idle"`   // share of the proxy's cores' time
	Other float64       `json:"other"`  // share of the proxy's cores' time that neither the proxy nor idling explains
	Load  load          `json:"load"`
}

// perRequest is the figure: microseconds of CPU per request.
func (r round) perRequest() float64 {
	return float64(r.CPU.Nanoseconds()) / 1000 / float64(r.Load.Requests)
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
	work    work
	peers   []server
	backend *running
	place   placement
	dir     string
	script  string // path of wrk's script; "" for none
	seconds int
	retries int // of a disturbed measurement
	out     io.Writer
}

// measureWork prepares the field, measures every peer in every round, and takes the field down again.
func measureWork(ctx context.Context, f field, rounds int, cpus cpuList) (result, error) {
	res := result{Work: f.work.name, About: f.work.about, Goal: f.work.goal, Configs: map[string]string{}}
	var err error
	if f.place, err = place(cpus, f.work.proxyCPUs); err != nil {
		return res, err
	}
	res.Place = f.place.String()
	for _, p := range f.peers {
		if res.Configs[p.name], err = sameWork(ctx, p, f.dir, f.work); err != nil {
			return res, err
		}
	}
	if err := f.prepare(ctx); err != nil {
		return res, err
	}
	defer f.backend.stop()
	res.Configs["backend"] = f.backend.config
	res.Rounds, err = f.runRounds(ctx, rounds)
	return res, err
}

// prepare writes wrk's script and starts the backend.
func (f *field) prepare(ctx context.Context) error {
	if f.work.script != "" {
		f.script = filepath.Join(f.dir, f.work.name+".lua")
		if err := os.WriteFile(f.script, []byte(f.work.script), 0o644); err != nil {
			return err
		}
	}
	var err error
	f.backend, err = backendFor(f.work).start(ctx, f.dir, f.work, f.place.load, "")
	return err
}

// runRounds lets each peer begin in turn, so that what changes on the machine over the run touches all alike.
func (f *field) runRounds(ctx context.Context, rounds int) ([]round, error) {
	var all []round
	for n := range rounds {
		for i := range f.peers {
			p := f.peers[(n+i)%len(f.peers)]
			r, err := f.runQuietRound(ctx, p)
			if err != nil {
				return all, fmt.Errorf("round %d, %s: %w", n+1, p.name, err)
			}
			r.Round = n + 1
			fmt.Fprintf(f.out, "  round %d  %-8s %7.2f us/request  %8.0f requests/s\n", r.Round, r.Peer, r.perRequest(), r.Load.perSecond())
			all = append(all, r)
		}
	}
	return all, nil
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

// rest lets a neighbour finish. A guest with a budget of CPU earns some back meanwhile.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// runRound starts the peer anew, so that luck in how its memory is laid out is drawn again each time, warms it up
// and measures it.
func (f *field) runRound(ctx context.Context, p server) (round, error) {
	proxy, err := p.start(ctx, f.dir, f.work, f.place.proxy, f.backend.listen)
	if err != nil {
		return round{}, err
	}
	defer proxy.stop()
	const warmUp = 1 // second
	if _, err := runWrk(ctx, f.work, f.script, proxy.url, warmUp, f.place.load); err != nil {
		return round{}, fmt.Errorf("warming up: %w", err)
	}
	before, err := f.look(proxy.pid)
	if err != nil {
		return round{}, err
	}
	l, err := runWrk(ctx, f.work, f.script, proxy.url, f.seconds, f.place.load)
	if err != nil {
		return round{}, err
	}
	after, err := f.look(proxy.pid)
	if err != nil {
		return round{}, err
	}
	return f.compare(p.name, l, before, after), nil
}

// sight is what the kernel's counters say at one instant.
type sight struct {
	tree       time.Duration
	proxy, all coreTime
}

func (f *field) look(pid int) (s sight, err error) {
	if s.tree, err = treeCPU(pid); err != nil {
		return s, err
	}
	if s.proxy, err = readCoreTime(f.place.proxy); err != nil {
		return s, err
	}
	s.all, err = readCoreTime(f.place.all())
	return s, err
}

func (f *field) compare(peer string, l load, before, after sight) round {
	r := round{Peer: peer, Load: l, CPU: after.tree - before.tree}
	r.Steal = after.all.since(before.all).stealShare()
	if f.place.shared {
		return r // the load is on the same cores, so that these say nothing of the proxy
	}
	cores := after.proxy.since(before.proxy)
	r.Idle = cores.share(cores.idle)
	r.Other = max(0, cores.share(cores.busy-r.CPU))
	return r
}
