package control

import (
	"testing"
	"time"

	"sluice/config"
	"sluice/healthcheck"
)

// TestFailOpenComesBeforeWhenDown: the checks are doubted first. Only when those that fail them refuse connections too is
// nobody there, and when_down decides.
func TestFailOpenComesBeforeWhenDown(t *testing.T) {
	refused := func(s State) State {
		return s.eject([]suspect{{Key: backend(0), reason: refusing}, {Key: backend(1), reason: refusing}}, time.Unix(100, 0))
	}
	same := func(s State) State { return s }
	for _, tt := range []struct {
		why      string
		failOpen int
		whenDown string
		then     func(State) State
		chosen   int
		gap      gap
	}{
		{"doubted, whatever when_down says", 50, config.WhenDownHold, same, 2, gap{}},
		{"doubted, and nobody fails", 50, config.WhenDownFail, same, 2, gap{}},
		{"they refuse connections: requests wait", 50, config.WhenDownHold, refused, 0, gap{hold: true}},
		{"they refuse connections: 503", 50, config.WhenDownFail, refused, 0, gap{}},
		{"believed: requests wait", 0, config.WhenDownHold, same, 0, gap{hold: true}},
		{"believed, and tried all the same", 0, config.WhenDownOpen, same, 2, gap{open: true}},
	} {
		s := ejectable(t, 2)
		file := s.Services["web"].File
		file.FailOpen, file.WhenDown = tt.failOpen, tt.whenDown
		s = tt.then(observe(s, healthcheck.Verdict{State: healthcheck.Down}, 0, 1))
		svc := s.Services["web"]
		if got := svc.gap(); got != tt.gap || len(svc.chosen()) != tt.chosen {
			t.Errorf("%s: %+v, %d are chosen; want %+v, %d", tt.why, got, len(svc.chosen()), tt.gap, tt.chosen)
		}
	}
}
