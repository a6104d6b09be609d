package healthcheck

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// dumbState reads the state off a whole sequence, with no counter: at each step it looks back over the results since
// the state began to be possible. It is slow, and obvious.
func dumbState(results []bool, rise, fall int) State {
	state := Unknown
	for end := 1; end <= len(results); end++ {
		seen := results[:end]
		switch {
		case state == Unknown && seen[end-1]:
			state = Up
		case state == Unknown && lastAll(seen, false, fall):
			state = Down
		case state == Up && lastAll(seen, false, fall):
			state = Down
		case state == Down && lastAll(seen, true, rise):
			state = Up
		}
	}
	return state
}

func lastAll(results []bool, want bool, n int) bool {
	if len(results) < n {
		return false
	}
	for _, r := range results[len(results)-n:] {
		if r != want {
			return false
		}
	}
	return true
}

func lastRun(results []bool, want bool) int {
	n := 0
	for n < len(results) && results[len(results)-1-n] == want {
		n++
	}
	return n
}

// TestNextAgainstDumbReference tries every sequence of up to eight results with every rise and fall up to three, with
// cancelled results strewn in, which must not matter.
func TestNextAgainstDumbReference(t *testing.T) {
	for rise := 1; rise <= 3; rise++ {
		for fall := 1; fall <= 3; fall++ {
			for length := 0; length <= 8; length++ {
				for bits := range 1 << length {
					checkSequence(t, sequence(bits, length), rise, fall)
				}
			}
		}
	}
}

func sequence(bits, length int) []bool {
	results := make([]bool, length)
	for i := range results {
		results[i] = bits>>i&1 == 1
	}
	return results
}

func checkSequence(t *testing.T, results []bool, rise, fall int) {
	t.Helper()
	var v Verdict
	since := time.Time{}
	for i, ok := range results {
		before := v
		at := epoch.Add(time.Duration(i) * time.Second)
		v = v.Next(Result{At: at, OK: ok, Reason: reasonFor(ok)}, rise, fall)
		if v.State != before.State || i == 0 {
			since = at
		}
		if again := v.Next(Result{Cancelled: true, At: at.Add(time.Hour), Reason: "called off"}, rise, fall); again != v {
			t.Fatalf("a cancelled result changed %+v into %+v", v, again)
		}
	}
	want := Verdict{
		State: dumbState(results, rise, fall), Since: since,
		Passes: lastRun(results, true), Fails: lastRun(results, false),
	}
	if n := len(results); n > 0 {
		want.Checked = epoch.Add(time.Duration(n-1) * time.Second)
		want.Reason = reasonFor(results[n-1])
		want.Kind = Result{OK: results[n-1]}.kind()
		want.Answer = results[n-1]
		want.Same = want.Passes // each names the same release: none
		want.Passed = slices.Contains(results, true)
		want.Steady = want.Passed
	}
	if v != want {
		t.Fatalf("rise %d fall %d after %v:\n got %+v\nwant %+v", rise, fall, results, v, want)
	}
	wantFast := v.State == Unknown || v.State == Up && v.Fails > 0 || v.State == Down && v.Passes > 0
	if v.Transitional() != wantFast {
		t.Fatalf("Transitional of %+v is %v", v, !wantFast)
	}
}

func reasonFor(ok bool) string {
	if ok {
		return ""
	}
	return "refused"
}

func TestRelease(t *testing.T) {
	tests := []struct {
		why     string
		before  string
		result  Result
		release string
	}{
		{"a passing answer names it", "v1", Result{OK: true, Release: "v2"}, "v2"},
		{"a failing answer is believed too", "v1", Result{Release: "v2"}, "v2"},
		{"no answer says nothing about the release", "v1", Result{Reason: "refused"}, "v1"},
		{"a passing answer without one takes it away", "v1", Result{OK: true}, ""},
		{"a cancelled check says nothing", "v1", Result{Release: "v2", Cancelled: true}, "v1"},
	}
	for _, test := range tests {
		before := Verdict{State: Up, Release: test.before}
		if got := before.Next(test.result, 2, 3); got.Release != test.release {
			t.Errorf("%s: release %q, want %q", test.why, got.Release, test.release)
		} else if got.State != Up {
			t.Errorf("%s: state %v, want up", test.why, got.State)
		}
	}
}

func TestDiffers(t *testing.T) {
	up := Verdict{State: Up, Release: "v1"}
	down := Verdict{State: Down, Reason: "refused"}
	tests := []struct {
		why           string
		before, after Verdict
		want          bool
	}{
		{"nothing new", up, up, false},
		{"only the time", up, Verdict{State: Up, Release: "v1", Checked: epoch, Passes: 9}, false},
		{"a first fail while up is not news yet", up, Verdict{State: Up, Release: "v1", Reason: "refused"}, false},
		{"the release", up, Verdict{State: Up, Release: "v2"}, true},
		{"the state", up, down, true},
		{"the reason while down", down, Verdict{State: Down, Reason: "status 503, want 200"}, true},
		{"the epoch", up, Verdict{State: Up, Release: "v1", Epoch: 1}, true},
	}
	for _, test := range tests {
		if got := test.after.differs(test.before); got != test.want {
			t.Errorf("%s: differs is %v, want %v", test.why, got, test.want)
		}
	}
}

func TestStateText(t *testing.T) {
	for s := Unknown; s < numStates; s++ {
		text, err := s.MarshalText()
		if err != nil || string(text) != s.String() {
			t.Errorf("%v: marshalled %q, %v", s, text, err)
		}
		var back State
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%v: read back as %v, %v", s, back, err)
		}
	}
	s := Down
	for _, bad := range []string{"", "UP", "healthy", "state(3)"} {
		if err := s.UnmarshalText([]byte(bad)); err == nil || s != Down {
			t.Errorf("%q: read as %v without error", bad, s)
		}
	}
	if _, err := State(3).MarshalText(); err == nil {
		t.Error("a state that does not exist was marshalled")
	}
	if got := fmt.Sprint(State(9)); got != "state(9)" {
		t.Errorf("printed %q", got)
	}
}
