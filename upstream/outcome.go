package upstream

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Thresholds say what a Watch looks out for.
type Thresholds struct {
	Errors  int      // failures in a row; 0: not counted
	Answers Statuses // answers of the server that are failures too
	Latency bool     // how long answers take is kept
}

// Statuses is a set of the statuses from 400 to 599. The zero value is empty.
type Statuses [(lastError - firstError + 64) / 64]uint64

const firstError, lastError = 400, 599

// Add takes the statuses from low to high into the set.
func (s *Statuses) Add(low, high int) {
	for code := max(low, firstError); code <= min(high, lastError); code++ {
		i := code - firstError
		s[i/64] |= 1 << (i % 64)
	}
}

// Has reports whether a status is in the set.
func (s *Statuses) Has(status int) bool {
	i := status - firstError
	return i >= 0 && status <= lastError && s[i/64]>>(i%64)&1 == 1
}

// Watch counts how a backend serves requests. It is that of one stay in a live pool, and is shared by all Backends of that
// stay. Whoever meets a failure counts it; what follows from it is decided by the owner, who is woken. All methods may be
// called concurrently, and on nil, which counts nothing.
type Watch struct {
	of      Thresholds
	wake    func() // must not wait
	connect atomic.Int64
	errors  atomic.Int64
	since   atomic.Int64 // when the run of errors began, in Unix nanoseconds
	times   *latencies   // nil: not kept
}

// NewWatch returns a Watch that has seen nothing. wake is called when there may be something to decide.
func NewWatch(t Thresholds, wake func()) *Watch {
	w := &Watch{of: t, wake: wake}
	if t.Latency {
		w.times = &latencies{}
	}
	return w
}

// Connects is the length of the run of connections that could not be made.
func (w *Watch) Connects() int { return int(w.connect.Load()) }

// Errors is the length of the run of failures.
func (w *Watch) Errors() int { return int(w.errors.Load()) }

// connected counts the outcome of a dial. Each failure wakes, for a check that comes at once may find that the server is
// gone. A request on a connection that was there before says nothing about new ones, and ends no run of these.
func (w *Watch) connected(err error) {
	switch {
	case w == nil:
	case err == nil:
		if w.connect.Load() != 0 {
			w.connect.Store(0)
		}
	case blames(err):
		w.connect.Add(1)
		w.wake()
	}
}

// notTheirs are errors of a dial that come from here: it was called off, no descriptor, port, memory or route is left, or
// we may not.
var notTheirs = []error{context.Canceled, syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EPERM}

// blames says whether a dial failed by the server's fault. One name that cannot be looked up, or a network that is gone,
// would otherwise take out servers that are well.
func blames(err error) bool {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return false
	}
	for _, own := range notTheirs {
		if errors.Is(err, own) {
			return false
		}
	}
	return true
}

// Answered counts an answer that came to its end, by its status. began is when its request did.
func (w *Watch) Answered(status int, began time.Time) {
	switch {
	case w == nil || w.of.Errors == 0:
	case w.of.Answers.Has(status):
		w.Failed(time.Now())
	default:
		w.well(began)
	}
}

// well counts a request that went well. One that was begun before the run of errors did says nothing about now.
func (w *Watch) well(began time.Time) {
	if w.errors.Load() == 0 || began.UnixNano() < w.since.Load() {
		return
	}
	w.errors.Store(0)
}

// Failed counts a request without a whole answer, or with one that is a failure, by the server's fault.
func (w *Watch) Failed(now time.Time) {
	if w == nil || w.of.Errors == 0 {
		return
	}
	n := w.errors.Add(1)
	if n == 1 {
		w.since.Store(now.UnixNano())
	}
	if n >= int64(w.of.Errors) {
		w.wake()
	}
}

// Took keeps how long an answer took.
func (w *Watch) Took(d time.Duration) {
	if w != nil && w.times != nil {
		w.times.add(d)
	}
}

// Latencies returns how many answers were kept since it last did, and their median. Where there are fewer than least, they
// stay for the next time and it returns zeroes.
func (w *Watch) Latencies(least int) (samples int, median time.Duration) {
	if w == nil || w.times == nil {
		return 0, 0
	}
	return w.times.take(least)
}
