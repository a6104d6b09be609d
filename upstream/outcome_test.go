package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestRunsAreRuns(t *testing.T) {
	var woken int
	var set Statuses
	set.Add(502, 504)
	w := NewWatch(Thresholds{Errors: 3, Answers: set}, func() { woken++ })
	start := time.Now()
	w.Failed(start)
	w.Answered(503, start)
	w.Answered(500, start.Add(time.Second))
	if w.Errors() != 0 || woken != 0 {
		t.Errorf("%d errors, woken %d: a 500 that does not count ends the run", w.Errors(), woken)
	}
	for range 3 {
		w.Failed(start)
	}
	if w.Errors() != 3 || woken != 1 {
		t.Errorf("%d errors, woken %d: the third in a row wakes", w.Errors(), woken)
	}
	w.Answered(200, start.Add(-time.Second))
	if w.Errors() != 3 {
		t.Error("an answer to what was asked before the run began says nothing about now")
	}
	w.Answered(200, start.Add(time.Second))
	if w.Errors() != 0 {
		t.Error("a good answer ends the run")
	}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	w.connected(refused)
	w.Answered(200, start.Add(time.Second))
	if w.Connects() != 1 || woken != 2 {
		t.Errorf("%d connects, woken %d: an answer on an older connection says nothing about new ones", w.Connects(), woken)
	}
	w.connected(nil)
	if w.Connects() != 0 {
		t.Error("a connection ends the run")
	}
}

func TestOffCountsNothing(t *testing.T) {
	w := NewWatch(Thresholds{}, func() { t.Error("woken") })
	for range 100 {
		w.Failed(time.Now())
		w.Answered(502, time.Now())
		w.Took(time.Second)
	}
	if n, _ := w.Latencies(1); w.Errors() != 0 || n != 0 {
		t.Errorf("%d errors, %d samples", w.Errors(), n)
	}
	var none *Watch
	none.connected(errors.New("x"))
	none.Failed(time.Now())
	none.Answered(502, time.Now())
	none.Took(time.Second)
}

// TestWhoseFaultADialIs: what is lacking here must not take out servers.
func TestWhoseFaultADialIs(t *testing.T) {
	wrap := func(err error) error { return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)} }
	for err, theirs := range map[error]bool{
		wrap(syscall.ECONNREFUSED): true, wrap(syscall.ECONNRESET): true, wrap(syscall.ETIMEDOUT): true, wrap(syscall.EHOSTUNREACH): true,
		wrap(syscall.ENOENT): true, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}: true,
		wrap(syscall.EMFILE): false, wrap(syscall.EADDRNOTAVAIL): false, wrap(syscall.ENETUNREACH): false,
		&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}: false, context.Canceled: false,
	} {
		if blames(err) != theirs {
			t.Errorf("%v: theirs %v", err, !theirs)
		}
	}
}

// TestConnectCounts over real sockets: the errors are those that the kernel makes.
func TestConnectCounts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var woken atomic.Int32
	p := pool(RoundRobin, 1)
	p.backends[0].Endpoint = NewEndpoint("tcp", l.Addr().String(), Options{})
	p.backends[0].Watch = NewWatch(Thresholds{}, func() { woken.Add(1) })
	w := p.backends[0].Watch
	connect := func() {
		lease, err := p.Claim(&Tried{})
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		if c, err := lease.Connect(t.Context(), time.Now(), false); err == nil {
			lease.Discard(c)
		}
	}
	l.Close()
	for range 3 {
		connect()
	}
	if w.Connects() != 3 || woken.Load() != 3 {
		t.Errorf("%d refused, woken %d", w.Connects(), woken.Load())
	}
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Skip(err) // somebody else was quicker
	}
	defer l.Close()
	if connect(); w.Connects() != 0 {
		t.Errorf("%d after a connection", w.Connects())
	}
}

func TestStatuses(t *testing.T) {
	var s Statuses
	s.Add(429, 429)
	s.Add(500, 999)
	for code := range 1000 {
		if want := code == 429 || code >= 500 && code < 600; s.Has(code) != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
}

// TestMedianIsRightToATenth beside the dumb way.
func TestMedianIsRightToATenth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		l := &latencies{}
		scale := time.Duration(1) << (14 + r.IntN(20))
		var all []time.Duration
		for range 1 + r.IntN(300) {
			d := scale + time.Duration(r.Int64N(int64(scale)*8))
			all = append(all, d)
			l.add(d)
		}
		n, median := l.take(1)
		slices.Sort(all)
		want := all[(len(all)-1)/2]
		if off := float64(median)/float64(want) - 1; n != len(all) || off < -0.13 || off > 0.13 {
			t.Errorf("%d samples, median %s, want %s of %d", n, median, want, len(all))
		}
	}
	l := &latencies{}
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, time.Hour, 1 << 62} {
		l.add(d)
	}
	if n, _ := l.take(1); n != 6 {
		t.Errorf("%d of 6 kept", n)
	}
	if n, median := l.take(1); n != 0 || median != 0 {
		t.Errorf("%d, %s left", n, median)
	}
	l.add(time.Second)
	if n, _ := l.take(2); n != 0 {
		t.Error("too few are a median")
	}
	l.add(time.Second)
	if n, _ := l.take(2); n != 2 {
		t.Errorf("%d kept, want the first one too", n)
	}
}

// TestCountedAtOnce: no failure gets lost between goroutines.
func TestCountedAtOnce(t *testing.T) {
	var woken atomic.Int64
	w := NewWatch(Thresholds{Errors: 1, Latency: true}, func() { woken.Add(1) })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				w.Failed(time.Now())
				w.Took(time.Millisecond)
			}
		})
	}
	all.Wait()
	if n, _ := w.Latencies(1); n != 8000 || w.Errors() != 8000 || woken.Load() != 8000 {
		t.Errorf("%d samples, %d errors, woken %d", n, w.Errors(), woken.Load())
	}
}
