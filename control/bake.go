package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/config"
	"sluice/judge"
)

// After a flip the new release may bake: for a while it is watched beside the one before, which stays ready to take over.
// A bake is a fact of the State and is saved with the flip that begins it, in one write; so is its end with the rollback
// that it may bring. A kill -9 at any moment leaves a bake that goes on, or one that has ended, and never two ends.

// BakeState is how a bake stands.
type BakeState string

const (
	Baking     BakeState = "baking"
	BakePassed BakeState = "passed"
	RolledBack BakeState = "rolled_back" // it was worse
	BakedWorse BakeState = "worse"       // and stays, as it was asked for or could not be rolled back
	NotEnough  BakeState = "not_enough"  // data for a verdict; it stays
	Superseded BakeState = "superseded"  // another command came before the verdict
)

// Bake is one bake of a service. It never changes.
type Bake struct {
	ID      string      `json:"id"` // that of its flip
	From    Baked       `json:"from"`
	To      Baked       `json:"to"`
	Began   time.Time   `json:"began"`
	Ends    time.Time   `json:"ends"`
	Cause   Cause       `json:"cause"` // of the flip
	Rules   judge.Rules `json:"rules"`
	Reports bool        `json:"report_only,omitempty"` // it is not rolled back when it is worse
	// Baseline is what the pool before had done in the last minutes when the flip was made, and Bursts how that was spread.
	Baseline judge.Sample `json:"baseline"`
	Bursts   judge.Bursts `json:"bursts"`
	// Worse says by what it is worse where it goes on all the same, and Stuck what keeps it from being rolled back.
	Worse string   `json:"worse,omitempty"`
	Stuck string   `json:"stuck,omitempty"`
	End   *BakeEnd `json:"end,omitempty"` // nil: it goes on

	// Split says that the new pool takes a share beside the old one, which goes on: both are compared from the same moment on.
	Split bool `json:"split,omitempty"`

	// What the new pool had done when it began, and of a split the old one too; a later process counts from zero.
	start, oldStart judge.Sample
}

// Baked is one of the two sides.
type Baked struct {
	Pool     string   `json:"pool"`
	Releases []string `json:"releases,omitempty"`
}

// String is "green v42", or the pool alone.
func (b Baked) String() string {
	if len(b.Releases) == 0 {
		return b.Pool
	}
	return b.Pool + " " + b.release()
}

func (b Baked) release() string { return strings.Join(b.Releases, "+") }

// BakeEnd is how a bake ended.
type BakeEnd struct {
	State  BakeState     `json:"state"`
	At     time.Time     `json:"at"`
	Why    string        `json:"why"`
	Signal string        `json:"signal,omitempty"` // what it is worse by: "errors", "health", "p95"
	New    judge.Figures `json:"new"`
	Old    judge.Figures `json:"old"`
	// Rollback is the generation of the rollback that was made of it.
	Rollback uint64 `json:"rollback,omitempty"`
}

// Running reports that the verdict is still to come.
func (b *Bake) Running() bool { return b != nil && b.End == nil }

// State is how it stands.
func (b *Bake) State() BakeState {
	if b.End == nil {
		return Baking
	}
	return b.End.State
}

// ended is the bake with its end. What it was judged by is not needed any more.
func (b *Bake) ended(e BakeEnd) *Bake {
	next := *b
	next.End, next.Baseline, next.start, next.oldStart = &e, judge.Sample{}, judge.Sample{}, judge.Sample{}
	return &next
}

func (b *Bake) onWorse() string {
	if b.Reports {
		return config.OnWorseReport
	}
	return config.OnWorseRollback
}

// superseded is for each change of the live pool: what was watched is not there any more. One that has ended stays.
func (b *Bake) superseded(m moment) *Bake {
	if !b.Running() {
		return b
	}
	why := m.cause.Verb
	if m.cause.By != "" {
		why += " by " + m.cause.By
	}
	return b.ended(BakeEnd{State: Superseded, At: m.at, Why: why + " came before the verdict"})
}

// BakeWant is how a flip is to bake.
type BakeWant struct {
	For *time.Duration // 0: not at all; nil: as the file says
}

// longestBake only catches a slip.
const longestBake = 7 * 24 * time.Hour

func (w BakeWant) length(svc *Service) (time.Duration, error) {
	if w.For == nil {
		return svc.File.Bake.For, nil
	}
	if *w.For < 0 || *w.For > longestBake {
		return 0, &Refusal{
			Kind: "conflict",
			What: fmt.Sprintf("a bake cannot last %s", *w.For),
			Hint: "name a length of up to 168h, as in --bake 60s",
		}
	}
	return *w.For, nil
}

// watched is what both pools had done at the moment of a flip.
type watched struct {
	baseline judge.Sample
	bursts   judge.Bursts
	start    judge.Sample
	oldStart judge.Sample
}

// baking has a flip begin a bake. look tells what the two pools have done.
//
//	before: live blue      after: live green, previous blue, green bakes until 10:31
func baking(change Change, service string, want BakeWant, look func(from, to string) watched, m moment) Change {
	return func(s State) (State, error) {
		next, err := change(s)
		if err != nil {
			return next, err
		}
		was, is := s.Services[service], next.Services[service]
		length, err := want.length(was)
		switch {
		case err != nil:
			return s, err
		case length == 0:
			return next, nil
		case was.Live == is.Live && want.For == nil:
			return next, nil
		case was.Live == is.Live:
			return s, nothingBeside(service, is.Live)
		}
		return next.with(is.bakes(was, length, strconv.FormatUint(s.Generation+1, 10), look(was.Live, is.Live), m)), nil
	}
}

func nothingBeside(service, pool string) error {
	return &Refusal{
		Kind: "conflict",
		What: fmt.Sprintf("%s of %s is live already and only expects another release now: there is no pool to roll back to, so nothing can bake", pool, service),
		Hint: "leave out --bake, or put the new release into another pool and flip to that",
	}
}

func (svc *Service) bakes(was *Service, length time.Duration, id string, w watched, m moment) *Service {
	next := *svc
	next.Bake = &Bake{
		ID: id, From: was.baked(was.Live), To: svc.baked(svc.Live), Began: m.at, Ends: m.at.Add(length), Cause: m.cause,
		Rules: judgeRules(&svc.File.Bake, length), Reports: svc.File.Bake.OnWorse == config.OnWorseReport,
		Baseline: w.baseline, Bursts: w.bursts, start: w.start,
	}
	return &next
}

func (svc *Service) baked(pool string) Baked {
	return Baked{pool, svc.Pool(pool).releaseList()}
}

// underWay returns the service while that bake of it goes on.
func (s State) underWay(service, id string) (*Service, error) {
	svc, err := s.find(service, nil)
	if err == nil && (!svc.Bake.Running() || svc.Bake.ID != id) {
		err = &Refusal{Kind: "conflict", What: fmt.Sprintf("bake %s of %s is over", id, service), Hint: "look at `sluice history " + service + "`"}
	}
	return svc, err
}

// rollBackBake ends a bake by a rollback, as one step.
//
//	before: live green, which bakes      after: live blue, the bake has ended
func rollBackBake(service, id string, end BakeEnd, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.underWay(service, id)
		if err != nil {
			return s, err
		}
		next, err := rollback(service, FlipWant{}, m)(s)
		if err != nil {
			return s, err
		}
		end.State, end.At, end.Rollback = RolledBack, m.at, s.Generation+1
		out := *next.Services[service]
		out.Bake = svc.Bake.ended(end)
		return next.with(&out), nil
	}
}

// wayBack says whether the bake may have to go back to a release.
func (b *Bake) wayBack(release string) bool {
	return b.Running() && slices.Contains(b.From.Releases, release)
}

func (b *Bake) blocker() Blocker {
	if b.Split {
		return Blocker{Kind: "bake", What: fmt.Sprintf("%s is judged beside %s", b.To, b.From), Ends: &b.Ends}
	}
	return Blocker{Kind: "bake", What: fmt.Sprintf("%s bakes, and would be rolled back to %s", b.To, b.From), Ends: &b.Ends}
}

// bake goes on over a restart for as long as what it watches is live.
func (j *joiner) bake(svc *Service, b *Bake) *Bake {
	switch {
	case !b.Running() || b.Split && svc.Live == b.From.Pool && svc.arm(b.To.Pool) != nil:
		return b
	case b.Split: // the end of the split was told
	case svc.Live != b.To.Pool || svc.Decided == nil:
		j.ended(svc.Name, "%s is not live any more as the file has it: its bake has ended", b.To.Pool)
	case svc.Previous != b.From.Pool:
		j.ended(svc.Name, "the bake of %s has ended: there is nothing to roll back to", b.To.Pool)
	default:
		return b
	}
	return b.superseded(moment{j.at, Cause{By: "file", Verb: "start"}})
}

// lastBake is the bake that goes on, or the latest one while what it ended with is live; nil: there is none.
func (svc *Service) lastBake() *Bake {
	if b := svc.Bake; b == nil || b.Running() || !svc.Since.After(b.End.At) {
		return b
	}
	return nil
}

func (w BakeWant) asks() bool { return w.For != nil && *w.For > 0 }

// baked says in the receipt of a change which bakes it began and ended.
func (r *Receipt) baked(was, is *Service) {
	if was.Bake.Running() && !was.Bake.Split && is.Bake != nil && (is.Bake.ID != was.Bake.ID || is.Bake.State() == Superseded) {
		r.Unjudged = was.Bake.To.String()
	}
	if is.Bake.Running() && (was.Bake == nil || was.Bake.ID != is.Bake.ID) {
		r.Bakes = is.Bake.Ends.Sub(is.Bake.Began).Seconds()
	}
}

// judgeRules are the rules that the file has; what it has no key for is as the judge has it. In a short bake the time in which
// caches are cold, of a look in each second, is a quarter of it at most: else nothing would be said of its times.
func judgeRules(file *config.Bake, length time.Duration) judge.Rules {
	r := judge.Defaults()
	r.WarmUp = min(r.WarmUp, int(length/4/time.Second))
	r.MinRequests, r.FalseAlarms, r.Falls = file.MinRequests, file.FalseAlarms, file.Falls
	r.Points, r.Factor = file.Errors, file.ErrorsFactor
	r.SlowerBy, r.SlowerFactor = file.SlowerBy, file.SlowerFactor
	if !file.Latency {
		r.Quantiles = nil
	}
	return r
}
