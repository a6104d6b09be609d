package proxy

import (
	"sync/atomic"
	"time"

	"sluice/drain"
)

// LastingCounters tell what lasts from what is answered and over: how long it took says nothing of how quick a service is,
// but how long it took to begin does. An ordinary request costs them nothing.
type LastingCounters struct {
	Took   [len(TookBounds) + 1]atomic.Int64 // those that are over, by duration; Counters.Took has them too
	Opened [len(TookBounds) + 1]atomic.Int64 // those that began, by how long the backend took to agree
	Cut    atomic.Int64                      // failures of any class that were a drain's doing
}

func (l *LastingCounters) opened(waited time.Duration) { l.Opened[bucket(waited)].Add(1) }

func (l *LastingCounters) add(ex *Exchange, took time.Duration) {
	if drain.Class(ex.class.Load()) >= drain.Stream {
		l.Took[bucket(took)].Add(1)
	}
	if ex.cut.Load() && (ex.Lost() || isFailure(ex.Status)) {
		l.Cut.Add(1)
	}
}

func isFailure(status int) bool { return status >= 500 || status < 100 }

const (
	// An operator who looks at a graph would call it strain from about here on. The numbers are no finer than that.
	strainedErrors = 0.02 // share of failures, and twice what it was before
	strainedSlow   = 0.20 // share of answers slower than all but a twentieth were before
	fewestErrors   = 3    // fewer are chance
	fewestAnswers  = 20   // of a look, to say what share of them is slow
	fewestBefore   = 100  // to say what was usual
)

// Strain watches how a service fares from one look to the next, beside how it fared before the first. One goroutine looks.
type Strain struct {
	counters *Counters
	last     fared
	errors   float64 // the share before
	usual    int     // the bucket that held all but a twentieth of the answers before
	verdict  bool    // of the last look at enough of them
}

// fared is how a service has fared until a moment.
type fared struct {
	answers       [len(TookBounds) + 1]int64
	total, errors int64
}

// Strain begins to watch.
func (c *Counters) Strain() *Strain {
	s := &Strain{counters: c, last: c.fared(), usual: len(TookBounds)}
	if s.last.total < fewestBefore {
		return s
	}
	s.errors = s.last.failing()
	above := s.last.total
	for i, n := range s.last.answers {
		if above -= n; above*20 <= s.last.total {
			s.usual = i
			break
		}
	}
	return s
}

func (c *Counters) fared() (f fared) {
	for i := range f.answers {
		f.answers[i] = max(0, c.Took[i].Load()-c.Lasting.Took[i].Load()) + c.Lasting.Opened[i].Load()
		f.total += f.answers[i]
	}
	f.errors = c.Status[0].Load() + c.Status[5].Load() + c.Lost.Load() - c.Lasting.Cut.Load()
	return f
}

func (f *fared) failing() float64 { return float64(max(0, f.errors)) / float64(max(1, f.total)) }

func (f *fared) since(o *fared) (d fared) {
	for i := range d.answers {
		d.answers[i] = f.answers[i] - o.answers[i]
	}
	d.total, d.errors = f.total-o.total, f.errors-o.errors
	return d
}

// slower is the share of answers that are in none of the first buckets.
func (f *fared) slower(than int) float64 {
	n := int64(0)
	for _, k := range f.answers[than+1:] {
		n += k
	}
	return float64(n) / float64(max(1, f.total))
}

// Seen reports whether the service has been under strain since the last look. A look at too few answers says what the one
// before said, and they count for the next: where few are sent because of a strain, few answers are no sign of its end.
func (s *Strain) Seen() bool {
	now := s.counters.fared()
	d := now.since(&s.last)
	if d.errors >= fewestErrors && d.failing() > max(strainedErrors, 2*s.errors) {
		s.last, s.verdict = now, true
	} else if d.total >= fewestAnswers {
		s.last, s.verdict = now, d.slower(s.usual) > strainedSlow
	}
	return s.verdict
}
