package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/deploy"
)

func aRollout() deploy.Rollout {
	return deploy.Rollout{
		ID: "r1", Service: "web", Pool: "main", Status: deploy.Running, Batch: 1, MinAvailable: 1, Began: noon,
		Backends: []deploy.Member{
			{Address: "10.0.0.1:3000", Former: "v1", Release: "v2", Step: deploy.Ended, Since: noon, Finished: 12},
			{Address: "10.0.0.2:3000", Former: "v1", Step: deploy.Failed, Since: noon.Add(time.Second), Why: "the command \x1b[2J failed"},
			{Address: "10.0.0.3:3000", Former: "v1", Step: deploy.Waiting, Since: noon},
		},
	}
}

func TestRolloutTable(t *testing.T) {
	var text strings.Builder
	rolloutTable(false, aRollout(), noon.Add(3*time.Second)).print(&text)
	want := `  BACKEND        STEP     SINCE  RELEASE  FINISHED  CUT  WHY
  10.0.0.1:3000  done     3.0s   v1 → v2  12        0
  10.0.0.2:3000  failed   2.0s   v1       0         0    the command \x1b[2J failed
  10.0.0.3:3000  waiting  3.0s   v1       0         0
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

// TestRolloutIsDrawnInPlace: on a terminal a picture takes the place of the one before, but not of what a command has written.
func TestRolloutIsDrawnInPlace(t *testing.T) {
	var out bytes.Buffer
	v := &rolloutView{cli: &cli{err: &out, errTTY: true, getenv: func(string) string { return "" }, sizeOf: func() (int, int) { return 40, 24 }}}
	drawn := func(r deploy.Rollout) string {
		out.Reset()
		v.draw(r)
		return out.String()
	}
	r := aRollout()
	drawn(r)
	if got := drawn(r); !strings.HasPrefix(got, "\r\x1b[4A") || strings.Count(got, "\n") != 4 {
		t.Errorf("the second picture: %q", got)
	}
	r.Backends[2].Step = deploy.Exec
	drawn(r)
	if got := drawn(r); strings.Contains(got, "\x1b[4A") {
		t.Errorf("drawn over what a command wrote: %q", got)
	}
	v.cli.errTTY = false
	if got := drawn(r); got != "" {
		t.Errorf("without a terminal: %q", got)
	}
}

func TestQuoted(t *testing.T) {
	if got := quoted(`a 'b' $c`); got != `'a '\''b'\'' $c'` {
		t.Error(got)
	}
}
