package proxy

import (
	"sync/atomic"

	"sluice/judge"
	"sluice/upstream"
)

// Figures count how a pool has served, for the judge of a release. They outlive snapshots: control keeps them for each
// service and pool. A request costs them two atomic adds. What says nothing of the release is not in them: a client that
// left, what a drain cut or what failed while its backend was leaving, and what never came to a backend.
type Figures struct {
	Pool   string
	status [6]atomic.Uint64 // whole answers, by the first digit
	failed atomic.Uint64    // requests without a whole answer, by the backend's fault
	resets atomic.Uint64    // the same, of round trips that were made again elsewhere
	took   [judge.Buckets]atomic.Uint64
}

// Sample is what they are at a moment. Requests come while it is taken: those that it holds are whole, but for the time
// that the latest took.
func (f *Figures) Sample() (s judge.Sample) {
	for i := range f.took {
		s.Latency[i] = f.took[i].Load()
	}
	s.Resets, s.Errors = f.resets.Load(), f.failed.Load()
	s.Requests = s.Errors
	for digit := range f.status {
		n := f.status[digit].Load()
		if s.Requests += n; digit == 5 {
			s.Errors += n
		}
	}
	return s
}

// Answers is how many whole answers there were, by the first digit of the status; 0 is for requests without one.
func (f *Figures) Answers() (by [6]uint64) {
	for digit := range f.status {
		by[digit] = f.status[digit].Load()
	}
	by[0] += f.failed.Load()
	return by
}

// FiguresOf returns those of a pool, or nil.
func (s *Service) FiguresOf(pool string) *Figures {
	for _, f := range s.Figures {
		if f.Pool == pool {
			return f
		}
	}
	return nil
}

// countForPool counts an exchange that is over for the pool that it ended at.
func (ex *Exchange) countForPool() {
	if ex.Backend == nil || !ex.tells() {
		return
	}
	switch f := ex.Service.FiguresOf(ex.Backend.Pool); {
	case f == nil:
	case ex.Err != nil:
		f.failed.Add(1)
	default:
		f.answered(ex)
	}
}

// answered keeps how long the first byte took, but of no upload that was passed on as it came, which is the client's doing
// too, and of no failure: to fail is often quicker than to serve.
func (f *Figures) answered(ex *Exchange) {
	f.status[ex.Status/100%6].Add(1)
	if ex.Status < 500 && !ex.pump.taken() {
		f.took[judge.Bucket(ex.Waited)].Add(1)
	}
}

// tells reports that the end of the exchange says something of the release. A backend whose gate is closed is on its way
// out, and its failures are part of that.
func (ex *Exchange) tells() bool {
	switch {
	case ex.Err == nil && ex.Status < 500:
		return true
	case ex.Err != nil && ex.Err.Fault != ByBackend:
		return false
	}
	return !ex.cut.Load() && !ex.gone.Load() && !ex.Backend.Gate.Closed()
}

// countReset counts a failure that the client will not see, as the request is sent again.
func (ex *Exchange) countReset(b *upstream.Backend, err error) {
	f := ex.Service.FiguresOf(b.Pool)
	if f != nil && ex.proves(err) && !b.Gate.Closed() {
		f.resets.Add(1)
	}
}
