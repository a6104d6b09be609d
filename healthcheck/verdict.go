package healthcheck

import "time"

// Result is what one check found.
type Result struct {
	At        time.Time     // when the check ended
	Took      time.Duration // from its start to At
	OK        bool          // the answer was the one the Spec asks for
	Cancelled bool          // the check was called off; it says nothing about the server and must not be counted
	Draining  bool          // the server itself asks that it gets nothing new; not OK then
	Reason    string        // why it is not OK, as a short sentence without full stop; empty when it is
	Answered  bool          // there was an answer, right or wrong
	Release   string        // the release the answer named, even when the check failed; empty: none
	Schema    Schema        // which schema the server finds and works with, as the answer says, even when the check failed
}

// Kind says what sort of trouble keeps a server from getting requests, for machines; a reason says it in words.
type Kind string

const (
	None       Kind = ""            // none: the last check passed
	Failed     Kind = "failed"      // no answer, or not the one that was wanted
	Draining   Kind = "draining"    // the server itself asks that it gets nothing new
	WrongBuild Kind = "wrong_build" // well, and of another release than the one that is expected
	Changed    Kind = "changed"     // well, and of another release than the one that was there before
	Retired    Kind = "retired"     // well, and of a release that is never to serve again
)

// DrainingReason is the reason of a server that asks for its own drain, however it does.
const DrainingReason = "draining, the app asks"

// Verdict is the opinion of a server after some results. The zero Verdict is that of a server never checked.
type Verdict struct {
	State   State
	Release string        // of the last answer that passed or named one
	Schema  Schema        // of the same
	Answer  bool          // the last check got an answer, right or wrong
	Kind    Kind          // what sort of trouble the last check found: None, Failed or Draining
	Reason  string        // why the last check failed; empty after a pass
	Same    int           // length of the run of passes that named Release, which the last result ended
	Passed  bool          // a check has passed
	Steady  bool          // Release was the first that passed, or has passed more than rise times in a row since it changed
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
//	any --the server asks for its drain--> down
//
// A result of the other kind always starts a run anew. A release is believed at once, without any run, for it is
// what the server says of itself; Steady tells whether it has said so for long enough. A cancelled result changes nothing.
func (v Verdict) Next(r Result, rise, fall int) Verdict {
	if r.Cancelled {
		return v
	}
	rise, fall = max(rise, 1), max(fall, 1)
	v.Checked, v.Took, v.Reason, v.Kind = r.At, r.Took, r.Reason, r.kind()
	if v.Since.IsZero() {
		v.Since = r.At
	}
	v = v.identified(r, rise)
	v.Schema, v.Answer = v.Schema.next(r), r.OK || r.Answered || r.Release != ""
	if r.OK {
		v.Passes, v.Fails, v.Reason = v.Passes+1, 0, ""
	} else {
		v.Passes, v.Fails = 0, v.Fails+1
	}
	return v.settle(r, rise, fall)
}

func (r Result) kind() Kind {
	switch {
	case r.OK:
		return None
	case r.Draining:
		return Draining
	}
	return Failed
}

// identified takes in which release answered. A pass that names none is of none, while a fail without a name says nothing:
// most failures are not the app's own words.
func (v Verdict) identified(r Result, rise int) Verdict {
	if (r.OK || r.Release != "") && r.Release != v.Release {
		v.Release, v.Same, v.Steady = r.Release, 0, false
	}
	if !r.OK {
		v.Same = 0
		return v
	}
	v.Same++
	v.Steady = v.Steady || !v.Passed || v.Same > rise
	v.Passed = true
	return v
}

// settle moves the state where the result or the runs say that it must move.
func (v Verdict) settle(r Result, rise, fall int) Verdict {
	next := v.State
	switch {
	case v.Kind == Draining:
		next = Down
	case v.State == Unknown && v.Passes > 0, v.State == Down && v.Passes >= rise:
		next = Up
	case v.State != Down && v.Fails >= fall:
		next = Down
	}
	if next != v.State {
		v.State, v.Since = next, r.At
	}
	return v
}

// Transitional says whether the opinion is about to change, so that the next check should come soon: nothing is
// known yet, a run against the state has begun, or a release is new.
func (v Verdict) Transitional() bool {
	switch v.State {
	case Up:
		return v.Fails > 0 || !v.Steady
	case Down:
		return v.Passes > 0
	default:
		return true
	}
}

// differs says whether an operator would want to hear of the step from before to v.
func (v Verdict) differs(before Verdict) bool {
	return v.State != before.State || v.Release != before.Release || v.Epoch != before.Epoch ||
		v.Steady != before.Steady || v.Schema != before.Schema || v.State != Up && (v.Reason != before.Reason || v.Kind != before.Kind || v.Answer != before.Answer)
}
