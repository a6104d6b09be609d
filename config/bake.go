package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Bake says how long a new release is watched after a flip, and by what it is judged.
type Bake struct {
	For     time.Duration // 0: a flip bakes only where it is asked for
	OnWorse string        // OnWorseRollback or OnWorseReport

	MinRequests  int     // below this there is no verdict
	Errors       float64 // by more than this share, 0.005 is half a percentage point,
	ErrorsFactor float64 // and by more than this factor errors have to be above those of the release before
	Latency      bool    // times are compared
	SlowerBy     time.Duration
	SlowerFactor float64
	Falls        int     // so many times that its backends went down are worse; 0: however many
	FalseAlarms  float64 // how often at most a release that is not worse may be called so, in a whole bake

	Probes []Probe       // what is asked of both releases in turn
	Every  time.Duration // so often
}

// What is done with a release that is worse.
const (
	OnWorseRollback = "rollback"
	OnWorseReport   = "report"
)

const (
	bakeFix = "write bake: 60s, bake: off, or bake: {for: 60s, min_requests: 50, on_worse: rollback}"
	// leastBake leaves room for a look or two.
	leastBake = time.Second
	// mostJudged only catches a slip.
	mostJudged = 1_000_000_000
)

func defaultBake() Bake {
	return Bake{
		OnWorse: OnWorseRollback, MinRequests: 50, Errors: 0.005, ErrorsFactor: 1.25,
		Latency: true, SlowerBy: 10 * time.Millisecond, SlowerFactor: 1.25, Falls: 3, FalseAlarms: 0.01, Every: defaultProbeEvery,
	}
}

// readBake reads the length alone, `off`, or a mapping.
func (s *reading) readBake(v value) {
	s.bake = &v
	switch {
	case v.node.Kind == yaml.MappingNode:
		keys := s.Bake.fields()
		keys["probes"] = s.readProbes
		v.object(bakeFix, keys)
	case v.node.Value != offWord:
		v.duration(&s.Bake.For, leastBake, longestWait)
	}
}

func (b *Bake) fields() fields {
	return fields{
		"for":           func(v value) { v.offOr(func() { b.For = 0 }, durationField(&b.For, leastBake, longestWait)) },
		"on_worse":      func(v value) { v.word(&b.OnWorse, OnWorseRollback, OnWorseReport) },
		"min_requests":  wholeField(&b.MinRequests, 1, mostJudged),
		"errors":        func(v value) { v.share(&b.Errors, 0, 100) },
		"errors_factor": func(v value) { v.factor(&b.ErrorsFactor) },
		"latency": func(v value) {
			v.offOr(func() { b.Latency = false }, func(v value) { v.word(new(string), "on", offWord) })
		},
		"slower_by":     durationField(&b.SlowerBy, 0, longestWait),
		"slower_factor": func(v value) { v.factor(&b.SlowerFactor) },
		"falls":         func(v value) { v.offOr(func() { b.Falls = 0 }, wholeField(&b.Falls, 1, maxRun)) },
		"false_alarms":  func(v value) { v.share(&b.FalseAlarms, 0.0001, 50) },
		"every":         durationField(&b.Every, leastInterval, longestWait),
	}
}

// share reads a percentage that may have a fraction.
func (v value) share(to *float64, low, high float64) {
	text, ok := v.text()
	if !ok {
		return
	}
	number, hasSign := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	fix := "write a percentage from " + strconv.FormatFloat(low, 'g', -1, 64) + "% to " + strconv.FormatFloat(high, 'g', -1, 64) + "%, as 0.5%"
	switch {
	case err != nil || !hasSign || math.IsNaN(n):
		v.refuse(fix, "%s is %s, which is not a percentage", v.title(), show(text))
	case n < low || n > high:
		v.refuse(fix, "%s is %s, which is out of range", v.title(), show(text))
	default:
		*to = n / 100
	}
}

// factor reads how many times as much something may be.
func (v value) factor(to *float64) {
	v.number(to, 1, 1000, "write a number as 1.25", "write a number from 1 to 1000, as 1.25")
}

// checkBake refuses to bake where there is no other pool to go back to.
func (s *reading) checkBake() {
	if s.bake != nil && s.Bake.For > 0 && len(s.Pools) == 1 {
		s.bake.refuseKey("give the service two pools, as pools: {blue: [ADDRESS], green: [ADDRESS]}, or remove it", "`bake` watches a flip, and this service has one pool")
	}
}
