package control

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestRetireBesideAnOlderProcess: where nobody can say whether one still serves, nobody can say that the release is gone.
func TestRetireBesideAnOlderProcess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		unsure := errors.New("the folder cannot be locked")
		w.alone = func() error { return unsure }
		w.begin(service("web", twoPools))
		w.flips("green")
		w.servers.up("v43", blue1)
		time.Sleep(10 * time.Second)
		_, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{}, operator())
		r := refusalOf(t, err)
		if len(r.Blockers) != 1 || r.Kind != "uncertain" || r.Blockers[0].Kind != "process" || !r.Blockers[0].Unknown ||
			!strings.Contains(r.What, "an older Sluice may be at work: the folder cannot be locked") {
			t.Errorf("%+v", r)
		}
		unsure = nil
		if _, err := w.c.Retire(t.Context(), "web", "v41", RetireWant{}, operator()); err != nil {
			t.Error(err)
		}
	})
}
