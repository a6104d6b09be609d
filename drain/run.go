// Package drain holds a gate that admits work until it is closed, and the one procedure that empties it: close the
// gate, nudge, wait, cut, report. It serves a backend, a pool and the whole process alike, and refuses to know what
// the work is, what carries it, or who asked for the drain.
package drain

import (
	"context"
	"time"
)

// Policy says how long each class may still take. Zero means: cut at once.
type Policy struct {
	Timeout   time.Duration // request and upload
	Stream    time.Duration // stream
	WebSocket time.Duration // websocket and tunnel
}

// Deadline returns how long work of class c may take from the start of the drain.
func (p Policy) Deadline(c Class) time.Duration {
	switch c {
	case Stream:
		return p.Stream
	case WebSocket, Tunnel:
		return p.WebSocket
	default:
		return p.Timeout
	}
}

// Sooner returns the policy of a drain that was decided on a while ago.
func (p Policy) Sooner(ago time.Duration) Policy {
	return Policy{Timeout: max(0, p.Timeout-ago), Stream: max(0, p.Stream-ago), WebSocket: max(0, p.WebSocket-ago)}
}

// longest is the deadline after which nothing may be inside.
func (p Policy) longest() time.Duration { return max(p.Timeout, p.Stream, p.WebSocket) }

// Item is one piece of work inside, as a person reads it. Its texts are copies: an Item may be kept.
type Item struct {
	ID     string    `json:"id"`
	Key    any       `json:"-"` // comparable; tells apart two pieces of work with one ID, which clients choose; nil: ID does
	Class  Class     `json:"class"`
	Began  time.Time `json:"began"`
	Method string    `json:"method,omitempty"`
	Host   string    `json:"host,omitempty"`
	Path   string    `json:"path,omitempty"`
	Client string    `json:"client,omitempty"`

	Service string `json:"service,omitempty"`
	Route   string `json:"route,omitempty"` // the service's path, which the request's begins with
	Pool    string `json:"pool,omitempty"`
	Backend string `json:"backend,omitempty"`
	Retries int    `json:"retries,omitempty"` // how often it was sent before

	Age      int64     `json:"age_ms"`
	BytesIn  int64     `json:"bytes_in"`         // towards the backend, so far
	BytesOut int64     `json:"bytes_out"`        // towards the client, so far
	Recent   int64     `json:"bytes_10s"`        // either way, in the last ten seconds
	Quiet    int64     `json:"quiet_ms"`         // since bytes moved last, or since it began
	Idle     bool      `json:"idle"`             // quiet for ten seconds or longer
	EndsBy   time.Time `json:"ends_by,omitzero"` // where its backend is drained: it is over by then
	Gate     *Gate     `json:"-"`                // the one it is inside of

	// Lasting says that it does not end by itself, and that its client will come back when it is ended: where there is
	// much of it, it may be ended ahead of its deadline.
	Lasting bool `json:"-"`
	// Cut ends this piece of work, and only this one: it does nothing when the work has ended meanwhile. Clients of what
	// is ended with it should come back spread over that time.
	// It returns at once; the work leaves its gate when it has been taken apart. It reports whether it was still there.
	Cut func(spread time.Duration) bool `json:"-"`
}

// Job is what one drain empties.
type Job struct {
	Gates  []*Gate
	Inside func() []Item // lists the work inside Gates; nil when it cannot be listed, and then nothing is cut
	Nudge  func()        // after the gates are closed: close what idles, tell peers; may be nil
	Strain func() bool   // whether those who take the work over have been under strain since it was last asked; may be nil
	Policy Policy
	// Carriers says that the gates count what carries the work and not the work: the report's totals are then those of what
	// was listed.
	Carriers bool
}

const (
	// pace is how often the ledger is read again once a class is past its deadline, or work is ended ahead of it: work may
	// change class meanwhile.
	pace = 50 * time.Millisecond
	// glance is how often it is read until then: work that has become lasting meanwhile may have to be ended early.
	glance = 500 * time.Millisecond
	// idleness is how many times as long as a look the ledger is left alone: ten thousand take some 20 ms, and to look at them
	// again and again would cost half a core.
	idleness = 20
	// unwind is how long work that was cut may take to leave; longer means it hangs, which the report says.
	unwind = 5 * time.Second
)

// Run closes the gates, nudges, waits for the work inside to finish, cuts each class at its deadline and reports.
// A cancelled ctx ends the waiting, not the drain's effect: the gates stay closed and what was inside is reported as left.
func Run(ctx context.Context, job Job) Report {
	r := newRun(job)
	for {
		pause := r.step()
		if r.empty() || pause < 0 || !r.wait(ctx, pause) {
			return r.report()
		}
	}
}

// run is one drain in progress; owned by the goroutine that called Run.
type run struct {
	job   Job
	began time.Time
	found int
	seen  map[any]Class // the last class each piece of work was seen in
	cut   map[any]Item
	read  time.Duration // age at which the ledger is read again
	pacer pacer
}

// key is what tells a piece of work from all others.
func (it *Item) key() any {
	if it.Key != nil {
		return it.Key
	}
	return it.ID
}

func newRun(job Job) *run {
	r := &run{job: job, began: time.Now(), seen: map[any]Class{}, cut: map[any]Item{}, pacer: pacer{slow: 1}}
	for _, g := range job.Gates {
		r.found += g.Close()
	}
	if job.Nudge != nil {
		job.Nudge()
	}
	return r
}

// look reads the ledger.
func (r *run) look() []Item {
	if r.job.Inside == nil {
		return nil
	}
	items := r.job.Inside()
	for _, it := range items {
		if class, met := r.seen[it.key()]; !met || class != Upload || it.Class != Request {
			r.seen[it.key()] = it.Class // an upload stays one to the receipt when its body has come
		}
	}
	return items
}

func (r *run) inside() (n int) {
	for _, g := range r.job.Gates {
		n += g.Inside()
	}
	return n
}

func (r *run) empty() bool { return r.inside() == 0 }

// wait sleeps until the gates are empty or there may be something to end. It returns false when the run is over.
func (r *run) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for _, g := range r.job.Gates {
		select {
		case <-g.Empty():
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// step ends what is due, and returns for how long nothing will be; negative when there is nothing left to wait for.
func (r *run) step() (pause time.Duration) {
	age, last := time.Since(r.began), r.job.Policy.longest()+unwind
	if age >= last {
		return -1
	}
	if age >= r.read {
		items := r.look()
		looked := time.Since(r.began) - age
		r.cutOverdue(items, age)
		r.queue(items)
		r.read = r.nextLook(age, max(pace, looked*idleness))
	}
	next := min(r.read, last)
	if early := r.endEarly(age); early > age {
		next = min(next, early)
	}
	return next - age
}

// nextLook is the age at which the ledger is to be read again. often is how soon that may be.
func (r *run) nextLook(age, often time.Duration) time.Duration {
	next := age + max(glance, often)
	if r.pacer.any && len(r.pacer.line) > 0 {
		next = age + often
	}
	for _, c := range Classes() {
		switch d := r.job.Policy.Deadline(c); {
		case d > age:
			next = min(next, d)
		default:
			next = min(next, age+often)
		}
	}
	return next
}

// cutOverdue ends what has outlived the deadline of its class.
func (r *run) cutOverdue(items []Item, age time.Duration) {
	var overdue []Item
	crowd := 0
	for _, it := range items {
		if age < r.deadline(&it) || it.Cut == nil || r.wasCut(&it) {
			continue
		}
		overdue = append(overdue, it)
		if it.Lasting {
			crowd++
		}
	}
	for _, it := range overdue {
		r.end(it, time.Duration(crowd)*gap)
	}
}

// end cuts one piece of work, and reports whether it was still there.
func (r *run) end(it Item, spread time.Duration) bool {
	if !it.Cut(spread) {
		return false
	}
	it.Cut = nil
	r.cut[it.key()] = it
	return true
}

func (r *run) wasCut(it *Item) bool {
	_, cut := r.cut[it.key()]
	return cut
}

func (r *run) deadline(it *Item) time.Duration { return r.job.Policy.Deadline(it.Class) }
