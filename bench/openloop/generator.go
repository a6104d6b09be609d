package openloop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Generator is the connections of a plan, open. It is used by one goroutine at a time.
type Generator struct {
	plan    Plan
	request []byte
	epoll   int
	clock   int // a timer that epoll sees: its own timeout counts in whole milliseconds
	conns   map[int32]*conn
	free    []*conn // idle, the one that has been for longest first
	events  []unix.EpollEvent
	buf     []byte
	took    []time.Duration // of each answered request
	lags    []time.Duration // of each request that had a connection when it was due
	late    int64
}

// Dial opens all connections. Close ends them.
func Dial(plan Plan) (*Generator, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	to, err := netip.ParseAddrPort(plan.Address)
	if err != nil || !to.Addr().Is4() {
		return nil, fmt.Errorf("openloop: %q is no IPv4 address with a port", plan.Address)
	}
	g := &Generator{
		plan: plan, request: []byte("GET / HTTP/1.1\r\nHost: " + plan.Address + "\r\n\r\n"), epoll: -1, clock: -1,
		conns: map[int32]*conn{}, events: make([]unix.EpollEvent, 512), buf: make([]byte, 64<<10),
	}
	if err := g.open(&unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Generator) open(to *unix.SockaddrInet4) (err error) {
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("openloop: epoll: %w", err)
	}
	if g.clock, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("openloop: timer: %w", err)
	}
	if err := g.watch(g.clock); err != nil {
		return err
	}
	for range g.plan.Connections {
		c, err := dial(to)
		if err != nil {
			return err
		}
		g.conns[int32(c.fd)] = c
		g.free = append(g.free, c)
		if err := g.watch(c.fd); err != nil {
			return err
		}
	}
	return nil
}

func (g *Generator) watch(fd int) error {
	err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("openloop: watching a socket: %w", err)
	}
	return nil
}

// Close closes all connections, with a reset.
func (g *Generator) Close() {
	for _, c := range g.conns {
		c.close()
	}
	for _, fd := range []int{g.clock, g.epoll} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Warm sends for as long as the plan says, and at least once on each connection.
func (g *Generator) Warm(ctx context.Context) error {
	_, err := g.run(ctx, max(g.dueIn(g.plan.Warm), int64(g.plan.Connections)))
	return err
}

// Measure sends for as long as the plan says. A connection that ended since it warmed up is an error, also where nothing
// is to be sent.
func (g *Generator) Measure(ctx context.Context) (Result, error) {
	g.late = 0
	if _, err := g.take(0); err != nil {
		return Result{}, err
	}
	took, err := g.run(ctx, g.dueIn(g.plan.Measured))
	if err != nil || len(g.took) == 0 {
		return Result{}, err
	}
	slices.Sort(g.took)
	slices.Sort(g.lags)
	return Result{
		Requests: int64(len(g.took)), Took: took, Late: g.late, Lag: percentile(g.lags, 0.99),
		P50: percentile(g.took, 0.5), P99: percentile(g.took, 0.99), Max: g.took[len(g.took)-1],
	}, nil
}

// percentile is the least time within which so large a part lies.
func percentile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func (g *Generator) dueIn(d time.Duration) int64 { return int64(g.plan.Rate * d.Seconds()) }

// stalled is how long nothing may happen while answers are awaited.
const stalled = 10 * time.Second

// run sends total requests, each when it is due, and returns when all are answered.
func (g *Generator) run(ctx context.Context, total int64) (time.Duration, error) {
	g.took, g.lags = slices.Grow(g.took[:0], int(total)), slices.Grow(g.lags[:0], int(total))
	start := time.Now()
	last := start
	for sent := int64(0); int64(len(g.took)) < total; {
		now := time.Now()
		if err := g.sendDue(start, now, total, &sent); err != nil {
			return 0, err
		}
		moved, err := g.await(g.until(start, sent, total))
		switch now = time.Now(); {
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case moved:
			last = now
		case now.Sub(last) > stalled:
			return 0, errors.New("openloop: nothing was answered for 10 s")
		}
	}
	return time.Since(start), nil
}

func (g *Generator) due(start time.Time, n int64) time.Time {
	return start.Add(time.Duration(float64(n) / g.plan.Rate * float64(time.Second)))
}

// sendDue sends what is due, as far as connections are free.
func (g *Generator) sendDue(start, now time.Time, total int64, sent *int64) error {
	for ; *sent < total && !g.due(start, *sent).After(now); *sent++ {
		if len(g.free) == 0 {
			return nil
		}
		c := g.free[0]
		g.free = g.free[1:]
		due := g.due(start, *sent)
		if c.idle.After(due) {
			g.late++
		} else {
			g.lags = append(g.lags, now.Sub(due))
		}
		if err := c.send(g.request, due); err != nil {
			return err
		}
	}
	return nil
}

// until is when the next request is due; zero when the next thing to happen is an answer.
func (g *Generator) until(start time.Time, sent, total int64) time.Time {
	if sent == total || len(g.free) == 0 {
		return time.Time{}
	}
	return g.due(start, sent)
}

// await waits for answers, until the time given, and takes what came.
func (g *Generator) await(until time.Time) (moved bool, err error) {
	if !until.IsZero() {
		if err := g.wakeAt(until); err != nil {
			return false, err
		}
	}
	return g.take(time.Second) // often enough to notice that nobody wants this any more
}

// take waits no longer than the timeout for something to happen, and takes it.
func (g *Generator) take(timeout time.Duration) (moved bool, err error) {
	n, err := unix.EpollWait(g.epoll, g.events, int(timeout.Milliseconds()))
	if err == unix.EINTR {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("openloop: waiting: %w", err)
	}
	for _, e := range g.events[:n] {
		if int(e.Fd) == g.clock {
			_, _ = unix.Read(g.clock, g.buf[:8]) // how often it rang says nothing that the clock does not
			continue
		}
		if err := g.receive(g.conns[e.Fd]); err != nil {
			return false, err
		}
		moved = true
	}
	return moved, nil
}

func (g *Generator) receive(c *conn) error {
	whole, err := c.receive(g.buf)
	if err != nil || !whole {
		return err
	}
	c.idle = time.Now()
	g.took = append(g.took, c.idle.Sub(c.due))
	g.free = append(g.free, c)
	return nil
}

// wakeAt sets the timer. A time that is past still rings.
func (g *Generator) wakeAt(at time.Time) error {
	in := unix.NsecToTimespec(max(1, time.Until(at).Nanoseconds()))
	if err := unix.TimerfdSettime(g.clock, 0, &unix.ItimerSpec{Value: in}, nil); err != nil {
		return fmt.Errorf("openloop: setting the timer: %w", err)
	}
	return nil
}
