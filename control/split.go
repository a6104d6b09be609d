package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/proxy"
)

// Split is an operator's word that other pools than the live one take shares of a service's new visitors. The live pool
// stays live and takes the rest. It never changes.
type Split struct {
	ID    uint64      `json:"id"`   // of no other split of the service
	Live  string      `json:"live"` // beside which it was made
	Since time.Time   `json:"since"`
	At    time.Time   `json:"at"` // when it was changed last
	Cause Cause       `json:"cause"`
	Arms  []Arm       `json:"arms"`
	Rules []SplitRule `json:"rules,omitempty"`
	// Judged says that it ends by itself when its pool serves worse than the live one.
	Judged bool `json:"judged,omitempty"`
}

// Arm is a pool that takes a share. Which visitors those are is in the numbers that they drew, of which each belongs to one
// pool at a time.
type Arm struct {
	Pool    string      `json:"pool"`
	Release string      `json:"release,omitempty"` // which its backends have to report; empty: any
	Since   time.Time   `json:"since"`             // when it was added, or given that release
	Spans   [][2]uint32 `json:"spans,omitempty"`   // from, and below which
}

// Share is the arm's, in hundredths of a percent.
func (a *Arm) Share() (share int) {
	for _, s := range a.Spans {
		share += int(s[1] - s[0])
	}
	return share
}

// whole is 100 %.
const whole = proxy.Numbers

// SplitWant is how a service is to be split, and what has to hold for that.
type SplitWant struct {
	Shares  map[string]int // of pools, in hundredths of a percent; one that is not named has none but the live pool
	Release string         // which the pools of it must report; for one pool alone
	// Only goes on with a pool that has no share, for those who meet a rule.
	Only bool
	// Rules are who goes where whatever its number. nil: those that there are stay; none: there are none from now on.
	Rules   []RuleText
	IfMatch *uint64
	Force   bool     // although the schema of the database does not fit
	Judge   BakeWant // how long its pool is judged for a verdict
	// Patience is how long it waits for the pools to be up and of the release.
	Patience time.Duration
}

// split gives shares of a service's visitors to pools beside the live one.
//
//	before: live blue      after: live blue, green takes 5 %
func split(service string, want SplitWant, m moment) Change {
	return func(s State) (State, error) {
		svc, err := s.find(service, want.IfMatch)
		if err != nil {
			return s, err
		}
		if err := svc.mayShare(want); err != nil {
			return s, err
		}
		if pool := want.all(); pool != "" && pool != svc.Live {
			return flip(service, pool, svc.flipWant(pool, want), m)(s)
		}
		arms, err := svc.arms(want, m)
		if err != nil {
			return s, err
		}
		if len(arms) == 0 {
			return s.endSplit(svc, m)
		}
		if svc.Bake.Running() && !svc.Bake.Split {
			return s, svc.stillBakes()
		}
		next, err := svc.withArms(arms, want, m, s.Generation)
		if err != nil {
			return s, err
		}
		return s.with(next), nil
	}
}

// all is the pool that is to have all, or "".
func (want SplitWant) all() string {
	for pool, share := range want.Shares {
		if share == whole {
			return pool
		}
	}
	return ""
}

// flipWant is a flip to the pool, of which what is expected of it as an arm is expected on.
func (svc *Service) flipWant(pool string, want SplitWant) FlipWant {
	out := FlipWant{Release: want.Release, Force: want.Force}
	if a := svc.arm(pool); a != nil && out.Release == "" {
		out.Release = a.Release
	}
	return out
}

// arms are the pools that take a share from now on, in file order, each of which may.
func (svc *Service) arms(want SplitWant, m moment) (all []Arm, err error) {
	for _, p := range svc.Pools {
		share, named := want.Shares[p.Name]
		if p.Name == svc.Live || share == 0 && !(named && want.Only) {
			continue
		}
		a := Arm{Pool: p.Name, Release: want.Release, Since: m.at}
		if old := svc.arm(p.Name); old != nil && (want.Release == "" || want.Release == old.Release) {
			a = *old
		}
		if err := svc.mayGrow(p, a, share, want); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return svc.deal(all, want.Shares), nil
}

// mayGrow refuses what a flip to the pool would be refused for, unless the pool has as large a share already: to take
// something back is never wrong.
func (svc *Service) mayGrow(p *Pool, a Arm, share int, want SplitWant) error {
	old := svc.arm(p.Name)
	if old != nil && share <= old.Share() && a.Since.Equal(old.Since) {
		return nil
	}
	if err := svc.mayExpect(p.Name, a.Release); err != nil {
		return err
	}
	if gone := svc.retiredBackends(p, true); len(gone) > 0 {
		return p.isRetired(gone)
	}
	if err := p.mayLead(svc.Name, a.Release); err != nil {
		return splitHint(err)
	}
	return svc.mayUse(p, want.Force)
}

// splitHint has a refusal of a flip tell what to do for a split.
func splitHint(err error) error {
	r, ok := err.(*Refusal)
	if !ok {
		return err
	}
	next := *r
	next.Hint = strings.ReplaceAll(r.Hint, "then flip again", "then split again")
	return &next
}

// deal gives each arm as many numbers as its share has. An arm that shrinks gives its last ones up, and one that grows takes
// the first that the live pool has: nobody else moves.
func (svc *Service) deal(arms []Arm, shares map[string]int) []Arm {
	var owner [whole]int // of each number; 0: the live pool
	for i, a := range arms {
		left := shares[a.Pool]
		for _, s := range a.Spans {
			for n := s[0]; n < s[1] && left > 0; n++ {
				owner[n] = i + 1
				left--
			}
		}
	}
	for i, a := range arms {
		left := shares[a.Pool] - min(shares[a.Pool], a.Share())
		for n := 0; n < whole && left > 0; n++ {
			if owner[n] == 0 {
				owner[n] = i + 1
				left--
			}
		}
	}
	return dealt(arms, &owner)
}

func dealt(arms []Arm, owner *[whole]int) []Arm {
	arms = slices.Clone(arms)
	for i := range arms {
		arms[i].Spans = nil
		for n := 0; n < whole; n++ {
			from := n
			for n < whole && owner[n] == i+1 {
				n++
			}
			if n > from {
				arms[i].Spans = append(arms[i].Spans, [2]uint32{uint32(from), uint32(n)})
			}
		}
	}
	return arms
}

// withArms is the service split so.
func (svc *Service) withArms(arms []Arm, want SplitWant, m moment, generation uint64) (*Service, error) {
	sp := Split{ID: uint64(m.at.UnixNano()) + generation, Live: svc.Live, Since: m.at, At: m.at, Cause: m.cause, Arms: arms}
	if old := svc.Split; old != nil {
		sp.ID, sp.Since, sp.Rules, sp.Judged = old.ID, old.Since, old.Rules, old.Judged
	}
	if err := sp.takeRules(svc, want); err != nil {
		return nil, err
	}
	if svc.Split.same(&sp) && !want.Judge.again(svc) {
		return nil, ErrUnchanged
	}
	next := *svc
	next.Split = &sp
	return next.judged(), nil
}

// same reports that nothing but the time and the cause differ.
func (sp *Split) same(other *Split) bool {
	return sp != nil && slices.Equal(sp.Rules, other.Rules) && slices.EqualFunc(sp.Arms, other.Arms, func(a, b Arm) bool {
		return a.Pool == b.Pool && a.Release == b.Release && slices.Equal(a.Spans, b.Spans)
	})
}

// endSplit gives everything back to the live pool.
func (s State) endSplit(svc *Service, m moment) (State, error) {
	if svc.Split == nil {
		return s, ErrUnchanged
	}
	return s.with(svc.unsplit(m).judged()), nil
}

// rollSplitBack is a rollback while the service is split.
func (svc *Service) rollSplitBack(s State, want FlipWant, m moment) (State, error) {
	live := svc.Pool(svc.Live)
	if live.eligible() == 0 {
		return s, live.notReady(svc.Name)
	}
	return svc.unsplit(m).stay(s, live, want.Release, m)
}

// unsplit keeps nobody at a backend that takes no traffic any more.
func (svc *Service) unsplit(m moment) *Service {
	if svc.Split == nil {
		return svc
	}
	next := *svc
	if next.Split = nil; svc.Bake != nil && svc.Bake.Split {
		next.Bake = svc.Bake.superseded(m)
	}
	out := &next
	for _, a := range svc.Split.Arms {
		for _, b := range svc.Pool(a.Pool).Backends {
			if b.kept() {
				out = out.with(b.keepsNobody())
			}
		}
	}
	return out
}

// arm is the pool's part in the split, or nil.
func (svc *Service) arm(pool string) *Arm {
	if svc.Split == nil {
		return nil
	}
	for i := range svc.Split.Arms {
		if a := &svc.Split.Arms[i]; a.Pool == pool {
			return a
		}
	}
	return nil
}

// serves reports that new requests go to the pool.
func (svc *Service) serves(pool string) bool { return pool == svc.Live || svc.arm(pool) != nil }

// shares are those of all pools that new requests go to, in percent.
func (svc *Service) shares() map[string]float64 {
	out, rest := map[string]float64{}, whole
	if svc.Split != nil {
		for i := range svc.Split.Arms {
			a := &svc.Split.Arms[i]
			out[a.Pool] = percent(a.Share())
			rest -= a.Share()
		}
	}
	out[svc.Live] = percent(rest)
	return out
}

func percent(share int) float64 { return float64(share) * 100 / whole }

// sharesText is "blue 95%, green 5%"; of a service that is not split the name of its live pool.
func (svc *Service) sharesText() string {
	if svc.Split == nil {
		return svc.Live
	}
	all := svc.shares()
	parts := []string{svc.Live + " " + percentText(all[svc.Live])}
	for i := range svc.Split.Arms {
		pool := svc.Split.Arms[i].Pool
		parts = append(parts, pool+" "+percentText(all[pool]))
	}
	if len(svc.Split.Rules) > 0 {
		parts = append(parts, fmt.Sprintf("%d by rule", len(svc.Split.Rules)))
	}
	return strings.Join(parts, ", ")
}

func percentText(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) + "%" }
