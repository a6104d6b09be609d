package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sluice/control"
	"sluice/drain"
)

// readMaxCut is how much may be cut before the call fails; negative when nobody asked. A bound that is not waited for
// would pass whatever happens, so the two exclude each other.
func readMaxCut(a arguments) (int, error) {
	v, given := a.values["max_cut"]
	if !given {
		return -1, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, badArgument(fmt.Sprintf("max_cut is %q", v), "write how many may be cut: 0 or more")
	}
	if wait, explicit := a.values["wait"]; explicit && (wait == "false" || wait == "0") {
		return 0, badArgument("max_cut is known only at the end, and wait is false", "leave wait=false out")
	}
	return n, nil
}

// judge says when more was cut than the caller allows, or the release that was waited for is worse. The change was made all the
// same; what is judged is its price.
func (w waiting) judge(r control.Receipt, over bool) *Problem {
	if w.maxCut < 0 || !over || r.Drain == nil || r.Drain.CutAll() <= w.maxCut {
		return w.judgeBake(r, over)
	}
	cut := r.Drain.CutAll()
	were := "were"
	if cut == 1 {
		were = "was"
	}
	return problem(http.StatusConflict, "cut",
		fmt.Sprintf("%d of %d %s cut, and at most %d may be; the change itself stands: %s", cut, r.Drain.Found, were, w.maxCut, standing(r)),
		cutHint(r))
}

// standing is what holds after the change.
func standing(r control.Receipt) string {
	if r.Backend != "" {
		return fmt.Sprintf("%s of %s is in %s", r.Backend, r.Service, r.To)
	}
	if r.Verb == "split" {
		return fmt.Sprintf("new visitors of %s go to %s", r.Service, r.To)
	}
	return fmt.Sprintf("%s is live in %s", r.To, r.Service)
}

// cutHint names the deadlines that were too short, and the way back.
func cutHint(r control.Receipt) string {
	var keys []string
	for _, it := range r.Drain.CutList {
		if key := deadlineKey(it.Class); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	hint := fmt.Sprintf("a longer `drain: {%s: …}` of %s would have waited for them", strings.Join(keys, ": …, "), r.Service)
	switch r.Verb {
	case "flip", "rollback":
		return hint + fmt.Sprintf("; `sluice rollback %s` goes back", r.Service)
	case "split":
		return hint
	}
	return hint + fmt.Sprintf("; `sluice ready %s %s` goes back", r.Service, r.Backend)
}

func deadlineKey(c drain.Class) string {
	switch c {
	case drain.Stream:
		return "stream"
	case drain.WebSocket, drain.Tunnel:
		return "websocket"
	}
	return "timeout"
}
