package drain

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Count is what became of one class of work.
type Count struct {
	Found    int `json:"found"`
	Finished int `json:"finished"`
	Cut      int `json:"cut"`            // cut, and gone
	Left     int `json:"left,omitempty"` // still inside, whether it was cut or not
}

// Report is the receipt of one drain. Found = Finished + Cut + Left.
type Report struct {
	Count
	Took    time.Duration   `json:"took_ns"`
	Classes map[Class]Count `json:"classes,omitempty"`
	CutList []Item          `json:"cut_list,omitempty"` // all that was cut, gone or not; oldest first
}

func (r *run) report() Report {
	rep := Report{Took: time.Since(r.began), Classes: map[Class]Count{}}
	rep.Found, rep.Left = r.found, r.inside()
	left := r.leftOver(rep.Left)
	for key, class := range r.seen {
		rep.Classes[class] = r.tally(rep.Classes[class], key, left[key])
	}
	for key, it := range r.cut {
		rep.CutList = append(rep.CutList, it)
		if !left[key] {
			rep.Cut++
		}
	}
	rep.Finished = max(0, rep.Found-rep.Cut-rep.Left)
	sort.Slice(rep.CutList, func(i, j int) bool { return rep.CutList[i].Began.Before(rep.CutList[j].Began) })
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

func (r *run) tally(c Count, key any, left bool) Count {
	c.Found++
	switch _, cut := r.cut[key]; {
	case left:
		c.Left++
	case cut:
		c.Cut++
	default:
		c.Finished++
	}
	return c
}

// CountClasses makes the total that of the classes, for a drain whose gates count what carries the work and not the work.
func (rep *Report) CountClasses() {
	rep.Count = Count{}
	for _, c := range rep.Classes {
		rep.Found += c.Found
		rep.Finished += c.Finished
		rep.Cut += c.Cut
		rep.Left += c.Left
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
	if rep.Left > 0 {
		fmt.Fprintf(&b, ", %d still inside", rep.Left)
	}
	fmt.Fprintf(&b, " in %s", rep.Took.Round(time.Millisecond))
	return b.String()
}
