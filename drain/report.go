package drain

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Count is what became of one class of work. Found = Finished + Retried + Failed + Cut + Left.
type Count struct {
	Found    int `json:"found"`
	Finished int `json:"finished"`         // came to its end, or its client left
	Cut      int `json:"cut"`              // cut, and gone
	Retried  int `json:"retried"`          // failed here, and was sent on to another backend
	Failed   int `json:"failed,omitempty"` // failed here, and no other backend could take it
	Left     int `json:"left,omitempty"`   // still inside, whether it was cut or not
}

// plus adds up counts of work that has nothing in common.
func (c Count) plus(o Count) Count {
	return Count{
		Found: c.Found + o.Found, Finished: c.Finished + o.Finished, Cut: c.Cut + o.Cut,
		Retried: c.Retried + o.Retried, Failed: c.Failed + o.Failed, Left: c.Left + o.Left,
	}
}

// Report is the receipt of one drain. Its Count is the sum of the classes.
type Report struct {
	Count
	Took    time.Duration   `json:"took_ns"`
	Classes map[Class]Count `json:"classes,omitempty"`
	CutList []Item          `json:"cut_list,omitempty"` // what was cut, gone or not; oldest first
	CutMore int             `json:"cut_more,omitempty"` // how many more were
}

// mostCuts bounds the list of a report, which is kept in memory for a while. It is the length of a list that a person
// could still go through.
const mostCuts = 1000

// CutAll is how many were cut, gone or not.
func (rep *Report) CutAll() int { return len(rep.CutList) + rep.CutMore }

// KeepCuts shortens the list of what was cut to the oldest.
func (rep *Report) KeepCuts(most int) {
	if over := len(rep.CutList) - most; over > 0 {
		rep.CutList, rep.CutMore = rep.CutList[:most:most], rep.CutMore+over
	}
}

// Add sums up drains that ran side by side.
func (rep *Report) Add(o Report) {
	rep.Count = rep.Count.plus(o.Count)
	if rep.Classes == nil {
		rep.Classes = map[Class]Count{}
	}
	for class, n := range o.Classes {
		rep.Classes[class] = rep.Classes[class].plus(n)
	}
	rep.Took = max(rep.Took, o.Took)
	rep.CutList = append(rep.CutList, o.CutList...)
	rep.CutMore += o.CutMore
	rep.sortCuts()
	rep.KeepCuts(mostCuts)
}

func (rep *Report) sortCuts() {
	slices.SortStableFunc(rep.CutList, func(a, b Item) int { return a.Began.Compare(b.Began) })
}

// report adds up. What the gates hold is counted before the ledger is read: work only leaves, so whatever is listed
// after that was counted.
func (r *run) report() Report {
	rep := Report{Took: time.Since(r.began), Classes: map[Class]Count{}}
	inside := r.inside()
	left := r.leftOver(inside)
	ends := r.endings()
	for key, class := range r.seen {
		rep.Classes[class] = rep.Classes[class].plus(r.becameOf(key, left, ends))
	}
	for _, n := range rep.Classes {
		rep.Count = rep.Count.plus(n)
	}
	if !r.job.Carriers {
		rep.addUnseen(r.found-rep.Found, inside-rep.Left, r.job.Inside != nil)
	}
	for _, it := range r.cut {
		rep.CutList = append(rep.CutList, it)
	}
	rep.sortCuts()
	rep.KeepCuts(mostCuts)
	return rep
}

// leftOver names the work that is still inside, where there is any.
func (r *run) leftOver(n int) map[any]bool {
	left := map[any]bool{}
	if n == 0 {
		return left
	}
	for _, it := range r.look() {
		left[it.key()] = true
	}
	return left
}

// endings are what the gates were told. Work that no look has met becomes seen by its ending; so does a cut that another
// drain of the same work made.
func (r *run) endings() map[any]Outcome {
	ends := map[any]Outcome{}
	for _, g := range r.job.Gates {
		for _, e := range g.ended() {
			ends[e.Key] = e.Outcome
			if _, met := r.seen[e.Key]; !met {
				r.seen[e.Key] = e.Class
			}
			if _, known := r.cut[e.Key]; e.Outcome == WasCut && !known && e.Item != nil {
				r.cut[e.Key] = *e.Item
			}
			if e.Outcome != WasCut {
				delete(r.cut, e.Key) // it came to another end before the cut reached it
			}
		}
	}
	return ends
}

// becameOf is the count of one piece of work.
func (r *run) becameOf(key any, left map[any]bool, ends map[any]Outcome) Count {
	_, cut := r.cut[key]
	outcome, told := ends[key]
	switch {
	case left[key] && !told:
		return Count{Found: 1, Left: 1}
	case cut:
		return Count{Found: 1, Cut: 1}
	case outcome == Retried:
		return Count{Found: 1, Retried: 1}
	case outcome == Failed:
		return Count{Found: 1, Failed: 1}
	}
	return Count{Found: 1, Finished: 1}
}

// addUnseen counts work that no look has met and that said nothing of its end. Where the ledger could have met it, it came
// and went in a moment: it was an ordinary request.
func (rep *Report) addUnseen(found, left int, listed bool) {
	found = max(0, found)
	left = min(max(0, left), found)
	n := Count{Found: found, Finished: found - left, Left: left}
	rep.Count = rep.Count.plus(n)
	if listed && found > 0 {
		rep.Classes[Request] = rep.Classes[Request].plus(n)
	}
}

// String is the receipt in one line: "inside 3: 2 finished, 1 cut (websocket 1) in 10.0s".
func (rep Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "inside %d: %d finished, %d cut", rep.Found, rep.Finished, rep.Cut)
	var cuts []string
	for _, c := range Classes() {
		if n := rep.Classes[c].Cut; n > 0 {
			cuts = append(cuts, fmt.Sprintf("%s %d", c, n))
		}
	}
	if len(cuts) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(cuts, ", "))
	}
	for _, more := range []struct {
		n    int
		what string
	}{{rep.Retried, "retried elsewhere"}, {rep.Failed, "failed"}, {rep.Left, "still inside"}} {
		if more.n > 0 {
			fmt.Fprintf(&b, ", %d %s", more.n, more.what)
		}
	}
	fmt.Fprintf(&b, " in %s", rep.Took.Round(time.Millisecond))
	return b.String()
}
