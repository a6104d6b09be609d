package demo

import (
	"slices"
	"sync"
	"time"
)

// Bounds of what traffic remembers, however long it runs.
const (
	maxLost    = 100     // results that say why something was lost
	maxAnswers = 1 << 17 // who answered: a minute of far more traffic than the default mix makes
	maxTimes   = 1 << 10 // durations per class, for the percentiles
)

// Count is what happened in one class so far.
type Count struct {
	Done     int           // requests answered right; sessions ended well
	Lost     int           // anything else, except Cut
	Cut      int           // sessions ended without a goodbye, in a class that tolerates it
	Ended    int           // of Done: sessions that the other side ended, with a goodbye
	Reopened int           // kept connections that the other side closed while they lay idle; nothing was lost by it
	Open     int           // requests and sessions under way now
	Messages int           // events and echoes checked
	Bytes    int64         // of bodies and messages, sent and checked
	Release  string        // who answered last
	P50, P99 time.Duration // of the latest requests: until the last byte; for sessions, of an echo, or until the first event
}

// Counts is what happened so far, by class.
type Counts struct {
	Classes map[Class]Count
	Elapsed time.Duration
}

// Total adds up all classes. It has no percentiles and no release.
func (c Counts) Total() Count {
	var sum Count
	for _, n := range c.Classes {
		sum.Done += n.Done
		sum.Lost += n.Lost
		sum.Cut += n.Cut
		sum.Ended += n.Ended
		sum.Reopened += n.Reopened
		sum.Open += n.Open
		sum.Messages += n.Messages
		sum.Bytes += n.Bytes
	}
	return sum
}

type said struct {
	began   time.Time
	release string
}

// tally is the memory of running traffic.
type tally struct {
	began time.Time

	mu      sync.Mutex
	counts  map[Class]*Count
	times   map[Class]*ring[time.Duration]
	answers ring[said]
	lost    []Result
}

func newTally(began time.Time) *tally {
	y := &tally{began: began, counts: map[Class]*Count{}, times: map[Class]*ring[time.Duration]{}, answers: ring[said]{max: maxAnswers}}
	for _, class := range Classes() {
		y.counts[class] = &Count{}
		y.times[class] = &ring[time.Duration]{max: maxTimes}
	}
	return y
}

// ring keeps the latest max values.
type ring[T any] struct {
	max    int
	next   int
	values []T
}

func (r *ring[T]) add(v T) {
	if len(r.values) < r.max {
		r.values = append(r.values, v)
		return
	}
	r.values[r.next] = v
	r.next = (r.next + 1) % r.max
}

// Count returns what happened so far, for the classes that have workers.
func (t *Traffic) Count() Counts {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	c := Counts{Classes: map[Class]Count{}, Elapsed: time.Since(t.tally.began)}
	for class, workers := range t.cfg.Workers {
		if workers == 0 {
			continue
		}
		n := *t.tally.counts[class]
		n.P50, n.P99 = percentiles(t.tally.times[class].values)
		c.Classes[class] = n
	}
	return c
}

func percentiles(of []time.Duration) (p50, p99 time.Duration) {
	if len(of) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}

// Lost returns the first hundred results that were lost, with the reasons.
func (t *Traffic) Lost() []Result {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	return slices.Clone(t.tally.lost)
}

// AnsweredBy returns how many requests and sessions that began after a moment were answered by release. After a flip
// was answered, the old release must not be among them. It remembers the latest 131072 answers.
func (t *Traffic) AnsweredBy(release string, beganAfter time.Time) int {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	n := 0
	for _, a := range t.tally.answers.values {
		if a.release == release && a.began.After(beganAfter) {
			n++
		}
	}
	return n
}

// answered notes who answers a request, as soon as its head says so: for a session that is long before its result.
func (t *Traffic) answered(class Class, began time.Time, release string) {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	t.tally.answers.add(said{began, release})
	t.tally.counts[class].Release = release
}

func (t *Traffic) opened(class Class) {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	t.tally.counts[class].Open++
}

func (t *Traffic) timed(class Class, d time.Duration) {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	t.tally.times[class].add(d)
}

func (t *Traffic) messaged(class Class) {
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	t.tally.counts[class].Messages++
}

func (t *Traffic) reopened(class Class, n int) {
	if n == 0 {
		return
	}
	t.tally.mu.Lock()
	defer t.tally.mu.Unlock()
	t.tally.counts[class].Reopened += n
}

// settle counts a result and passes it on.
func (t *Traffic) settle(r Result) {
	t.record(r, true)
}

// surplus counts what came when nothing was due: the last request was counted already, and now something is wrong with it
// after all.
func (t *Traffic) surplus(r Result) {
	t.record(r, false)
}

func (t *Traffic) record(r Result, wasOpen bool) {
	t.tally.mu.Lock()
	n := t.tally.counts[r.Class]
	if wasOpen {
		n.Open--
		n.Bytes += r.Bytes
	}
	switch {
	case r.Err == nil:
		n.Done++
		if r.ByServer {
			n.Ended++
		}
	case r.Cut && t.cfg.tolerates(r.Class):
		n.Cut++
	default:
		n.Lost++
		if len(t.tally.lost) < maxLost {
			t.tally.lost = append(t.tally.lost, r)
		}
	}
	t.tally.mu.Unlock()
	if t.cfg.OnResult != nil {
		t.cfg.OnResult(r)
	}
}
