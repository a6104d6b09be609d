package healthcheck

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// kinds are all that a check can bring, as far as a verdict is concerned.
var kinds = []Result{
	{OK: true, Release: "v1"},
	{OK: true, Release: "v2"},
	{OK: true},
	{Reason: "connection refused"},
	{Reason: "status 503, want 200", Release: "v2"},
	{Draining: true, Reason: DrainingReason},
	{Draining: true, Reason: DrainingReason, Release: "v1"},
	{Cancelled: true, Reason: "check called off"},
}

// looked is what a verdict has to be, read off the whole row of results each time, with no counter.
type looked struct {
	state   State
	release string
	kind    Kind
	steady  bool
}

func look(rise, fall int, all []Result) looked {
	var l looked
	l.state = Unknown
	for end := range all {
		l = look1(l, rise, fall, all[:end+1])
	}
	return l
}

func look1(l looked, rise, fall int, seen []Result) looked {
	r := seen[len(seen)-1]
	if r.OK || r.Release != "" {
		l.steady = l.steady && l.release == r.Release
		l.release = r.Release
	}
	if r.OK && (!passed(seen[:len(seen)-1]) || lastPasses(seen, &r.Release) > rise) {
		l.steady = true
	}
	switch {
	case r.OK:
		l.kind = None
	case r.Draining:
		l.kind = Draining
	default:
		l.kind = Failed
	}
	switch {
	case r.Draining:
		l.state = Down
	case l.state == Unknown && r.OK, l.state == Down && lastPasses(seen, nil) >= rise:
		l.state = Up
	case lastFails(seen) >= fall:
		l.state = Down
	}
	return l
}

// lastPasses counts the passes at the end, of one release if it is given.
func lastPasses(seen []Result, release *string) (n int) {
	for i := len(seen) - 1; i >= 0 && seen[i].OK && (release == nil || seen[i].Release == *release); i-- {
		n++
	}
	return n
}

func passed(seen []Result) bool {
	return slices.ContainsFunc(seen, func(r Result) bool { return r.OK })
}

func lastFails(seen []Result) (n int) {
	for i := len(seen) - 1; i >= 0 && !seen[i].OK; i-- {
		n++
	}
	return n
}

// TestEveryRowOfResults makes a step with each kind of result from each state that five results can lead to.
func TestEveryRowOfResults(t *testing.T) {
	const length = 5
	rows := 1
	for range length {
		rows *= len(kinds)
	}
	met := map[string]bool{}
	for _, limits := range [][2]int{{1, 1}, {2, 3}, {2, 1}} {
		for row := range rows {
			checkRow(t, row, length, limits[0], limits[1], met)
		}
	}
	for s := range numStates {
		for k := range kinds {
			if !met[fmt.Sprint(s, k)] {
				t.Errorf("no step was made from %s with %+v", s, kinds[k])
			}
		}
	}
}

func checkRow(t *testing.T, row, length, rise, fall int, met map[string]bool) {
	t.Helper()
	var v Verdict
	var seen []Result
	for i := range length {
		k := row % len(kinds)
		row /= len(kinds)
		r := kinds[k]
		r.At = epoch.Add(time.Duration(i) * time.Second)
		met[fmt.Sprint(v.State, k)] = true
		before := v
		v = v.Next(r, rise, fall)
		if r.Cancelled {
			if v != before {
				t.Fatalf("a cancelled check changed %+v to %+v", before, v)
			}
			continue
		}
		seen = append(seen, r)
		if got, want := (looked{v.State, v.Release, v.Kind, v.Steady}), look(rise, fall, seen); got != want {
			t.Fatalf("rise %d, fall %d, results %+v: %+v, want %+v", rise, fall, seen, got, want)
		}
		if (v.Kind == None) != (v.Reason == "") {
			t.Fatalf("kind %q with reason %q", v.Kind, v.Reason)
		}
	}
}

func TestANewReleaseIsTransitional(t *testing.T) {
	var v Verdict
	for _, step := range []struct {
		r            Result
		transitional bool
	}{
		{Result{OK: true, Release: "v1"}, false},
		{Result{OK: true, Release: "v2"}, true},
		{Result{OK: true, Release: "v2"}, true},
		{Result{OK: true, Release: "v2"}, false},
	} {
		if v = v.Next(step.r, 2, 3); v.Transitional() != step.transitional || v.State != Up {
			t.Errorf("after %+v: %+v", step.r, v)
		}
	}
}
