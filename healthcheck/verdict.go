package healthcheck

import "time"

// Result is what one check found.
type Result struct {
	At        time.Time     // when the check ended
	Took      time.Duration // from its start to At
	OK        bool          // the answer was the one the Spec asks for
	Cancelled bool          // the check was called off; it says nothing about the server and must not be counted
	Reason    string        // why it is not OK, as a short sentence without full stop; empty when it is
	Release   string        // the release the answer named, even when the check failed; empty: none
}

// Verdict is the opinion of a server after some results. The zero Verdict is that of a server never checked.
type Verdict struct {
	State   State
	Release string        // of the last answer that passed or named one
	Reason  string        // why the last check failed; empty after a pass
	Since   time.Time     // when State began; zero before the first result
	Checked time.Time     // when the last result came; zero before the first, and without checks
	Took    time.Duration // how long that check took
	Passes  int           // length of the run of passes that the last result ended; zero after a fail
	Fails   int           // the same for fails
	Epoch   uint64        // how many resets came before; whoever reset a Checker ignores verdicts of an earlier epoch
}

// Next returns the verdict after one more result. It is pure.
//
//	unknown --1 pass--> up       up --fall fails in a row--> down
//	unknown --fall fails--> down down --rise passes in a row--> up
//
// A result of the other kind always starts a run anew. A release is believed at once, without any run, for it is
// what the server says of itself. A cancelled result changes nothing.
func (v Verdict) Next(r Result, rise, fall int) Verdict {
	if r.Cancelled {
		return v
	}
	v.Checked, v.Took, v.Reason = r.At, r.Took, r.Reason
	if v.Since.IsZero() {
		v.Since = r.At
	}
	if r.OK || r.Release != "" {
		v.Release = r.Release
	}
	if r.OK {
		v.Passes, v.Fails, v.Reason = v.Passes+1, 0, ""
	} else {
		v.Passes, v.Fails = 0, v.Fails+1
	}
	return v.settle(r.At, rise, fall)
}

// settle moves the state where the runs say that it must move.
func (v Verdict) settle(at time.Time, rise, fall int) Verdict {
	next := v.State
	switch {
	case v.State == Unknown && v.Passes > 0, v.State == Down && v.Passes >= max(rise, 1):
		next = Up
	case v.State != Down && v.Fails >= max(fall, 1):
		next = Down
	}
	if next != v.State {
		v.State, v.Since = next, at
	}
	return v
}

// Transitional says whether the opinion is about to change, so that the next check should come soon: nothing is
// known yet, or a run against the state has begun.
func (v Verdict) Transitional() bool {
	switch v.State {
	case Up:
		return v.Fails > 0
	case Down:
		return v.Passes > 0
	default:
		return true
	}
}

// differs says whether an operator would want to hear of the step from before to v.
func (v Verdict) differs(before Verdict) bool {
	return v.State != before.State || v.Release != before.Release || v.Epoch != before.Epoch ||
		v.State != Up && v.Reason != before.Reason
}
