package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"sluice/bench/openloop"
)

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

func (f *field) compare(l load, before, after sight) round {
	r := round{Load: l, CPU: after.tree - before.tree}
	r.Steal = after.all.since(before.all).stealShare()
	if f.place.shared {
		return r // the load is on the same cores, so that these say nothing of the proxy
	}
	cores := after.proxy.since(before.proxy)
	r.Idle = cores.share(cores.idle)
	r.Other = max(0, cores.share(cores.busy-r.CPU))
	return r
}

// warmUp is how long there is load before anything is measured.
const warmUp = time.Second

// saturate measures the cost where the load sends as fast as it is answered. It starts the peer anew, so that luck in how
// its memory is laid out is drawn again each time.
func (f *field) saturate(ctx context.Context, p server) (round, error) {
	proxy, err := p.start(ctx, f.dir, f.work, f.place.proxy, f.backends)
	if err != nil {
		return round{}, err
	}
	defer proxy.stop()
	quiet, err := f.withoutLoad(ctx, proxy)
	if err != nil {
		return round{}, err
	}
	if err := f.warm(ctx, proxy); err != nil {
		return round{}, err
	}
	r, err := f.around(proxy, func() (load, error) {
		return runWrk(ctx, f.work, f.script, proxy.url, f.seconds, f.place.load)
	})
	r.Quiet = quiet
	return r, err
}

// warm counts nothing, so that it is enough that nothing failed: on a busy machine, opening the connections may take all
// of its time.
func (f *field) warm(ctx context.Context, proxy *running) error {
	_, err := runWrk(ctx, f.work, f.script, proxy.url, int(warmUp.Seconds()), f.place.load)
	if err != nil && !errors.Is(err, errNone) {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}

// around looks at the counters right before and right after the load.
func (f *field) around(proxy *running, drive func() (load, error)) (round, error) {
	before, err := f.look(proxy.pid)
	if err != nil {
		return round{}, err
	}
	l, err := drive()
	if err != nil {
		return round{}, err
	}
	after, err := f.look(proxy.pid)
	if err != nil {
		return round{}, err
	}
	return f.compare(l, before, after), nil
}

// withoutLoad is the share of a core that the proxy uses when nobody asks it anything.
func (f *field) withoutLoad(ctx context.Context, proxy *running) (float64, error) {
	if f.work.quiet == 0 {
		return 0, nil
	}
	before, err := treeCPU(proxy.pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := rest(ctx, f.work.quiet); err != nil {
		return 0, err
	}
	after, err := treeCPU(proxy.pid)
	return float64(after-before) / float64(time.Since(began)), err
}

// pace measures cost and latency at a constant rate. It takes twice the time, for there are fewer requests in it.
func (f *field) pace(ctx context.Context, p server) (round, error) {
	proxy, err := p.start(ctx, f.dir, f.work, f.place.proxy, f.backends)
	if err != nil {
		return round{}, err
	}
	defer proxy.stop()
	g, err := f.generate(ctx, proxy, 2*time.Duration(f.seconds)*time.Second)
	if err != nil {
		return round{}, err
	}
	defer g.stop()
	r, err := f.around(proxy, g.measure)
	r.Rate = f.rate
	return r, err
}

func (f *field) generate(ctx context.Context, proxy *running, measured time.Duration) (*generator, error) {
	return startGenerator(ctx, f.place.load, openloop.Plan{
		Address: proxy.listens[0], Connections: f.work.connections, Rate: f.rate, Warm: warmUp, Measured: measured,
	})
}

// hold measures the memory that each connection adds which did one request and is kept.
func (f *field) hold(ctx context.Context, p server) (round, error) {
	proxy, err := p.start(ctx, f.dir, f.work, f.place.proxy, f.backends)
	if err != nil {
		return round{}, err
	}
	defer proxy.stop()
	before, _, err := beforeLoad.settle(ctx, proxy.pid)
	if err != nil {
		return round{}, err
	}
	g, err := f.generate(ctx, proxy, 0)
	if err != nil {
		return round{}, err
	}
	defer g.stop()
	after, took, err := usualSettling.settle(ctx, proxy.pid)
	if err == nil {
		_, err = g.measure() // of nothing: the connections must have lasted
	}
	return round{Memory: float64(after-before) / float64(f.work.connections), Settled: took, Rate: f.rate}, err
}

// starts is how often a peer is started in one round; the median counts.
const starts = 3

// begin measures the time from the start of the binary to its first answer.
func (f *field) begin(ctx context.Context, p server) (round, error) {
	var took []float64
	for range starts {
		d, err := f.beginOnce(ctx, p)
		if err != nil {
			return round{}, err
		}
		took = append(took, float64(d))
	}
	return round{Start: time.Duration(median(took))}, nil
}

func (f *field) beginOnce(ctx context.Context, p server) (time.Duration, error) {
	proxy, err := p.launch(ctx, f.dir, f.work, f.place.proxy, f.backends)
	if err != nil {
		return 0, err
	}
	defer proxy.stop()
	for time.Since(proxy.began) < readyWithin {
		if answers(proxy.listens[0]) {
			return time.Since(proxy.began), nil
		}
		select {
		case <-proxy.ended:
			return 0, proxy.failure()
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(200 * time.Microsecond): // a small part of what is measured, and some CPU for the other
		}
	}
	return 0, fmt.Errorf("%s did not answer within %v", p.name, readyWithin)
}

// answers asks once, on a connection of its own.
func answers(address string) bool {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
	status := make([]byte, len("HTTP/1.1 200"))
	n, err := nc.Read(status)
	return err == nil && slices.Contains([]string{"HTTP/1.1 200", "HTTP/1.0 200"}, string(bytes.TrimSpace(status[:n])))
}
