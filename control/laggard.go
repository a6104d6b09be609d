package control

import (
	"fmt"
	"slices"
	"time"

	"sluice/upstream"
)

// leastSamples is how many answers a median is of at least. With fewer, a handful of slow requests would make a slow
// backend; where too few came within a window, they are kept for the next one.
const leastSamples = 20

// median is what a backend took for the middle one of its answers.
type median struct {
	key   Key
	watch *upstream.Watch
	took  time.Duration
}

// laggards compares the backends of a service at the end of each window.
func (e *ejector) laggards(svc *Service, one *builtService, at time.Time) []suspect {
	limits := &svc.File.Eject
	if limits.Latency == 0 {
		delete(e.windows, svc.Name)
		return nil
	}
	if at.Before(e.windows[svc.Name]) {
		return nil
	}
	e.windows[svc.Name] = at.Add(limits.Window)
	var all []median
	for k, s := range one.stays {
		if n, took := s.watch.Latencies(leastSamples); n > 0 {
			all = append(all, median{k, s.watch, took})
		}
	}
	return outliers(all, limits.Latency, limits.Above)
}

// outliers are those that take more than times as long as their siblings, by the median of the siblings' medians. One
// without siblings is measured by nobody.
func outliers(all []median, times float64, above time.Duration) (found []suspect) {
	for i, m := range all {
		usual := middle(all, i)
		if usual > 0 && m.took > above && float64(m.took) > times*float64(usual) {
			found = append(found, suspect{m.key, m.watch, lagging, float64(m.took) / float64(usual), fmt.Sprintf(
				"half of its answers take more than %s, and those of its siblings %s", m.took.Round(time.Millisecond/10), usual.Round(time.Millisecond/10))})
		}
	}
	return found
}

// middle is the median without that of number i; of two in the middle the longer one, which is the milder judgement.
func middle(all []median, i int) time.Duration {
	var others []time.Duration
	for j, m := range all {
		if j != i {
			others = append(others, m.took)
		}
	}
	if len(others) == 0 {
		return 0
	}
	slices.Sort(others)
	return others[len(others)/2]
}
