package control

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
)

func TestFlipWaitsForChecksAndNoLonger(t *testing.T) {
	tests := []struct {
		why   string
		begin func(*servers) // what green is while Sluice starts
		then  func(*servers) // what it is from the flip on
		slow  time.Duration
		want  string
		took  time.Duration // at most
	}{
		{"up all the time", func(s *servers) { s.up("v2", "b:1") }, nil, 0, "", 100 * time.Millisecond},
		{"started just before the flip", nil, func(s *servers) { s.up("v2", "b:1") }, 0, "", 200 * time.Millisecond},
		{"down all the time", nil, nil, 0, "unhealthy", 200 * time.Millisecond},
		{"stopped just before the flip", func(s *servers) { s.up("v2", "b:1") }, func(s *servers) { s.down("connection refused", "b:1") }, 0,
			"unhealthy", 300 * time.Millisecond},
		{"another release since", func(s *servers) { s.up("v1", "b:1") }, func(s *servers) { s.up("v2", "b:1") }, 0, "", 100 * time.Millisecond},
		{"another release than wanted", func(s *servers) { s.up("v1", "b:1") }, nil, 0, "release", 100 * time.Millisecond},
		{"so slow that nothing is known", nil, nil, 4 * time.Second, "unhealthy", 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.why, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web blue=a:1 green=b:1")
				w.servers.up("v1", "a:1")
				w.servers.slow = tt.slow
				if tt.begin != nil {
					tt.begin(w.servers)
				}
				w.mustStart()
				defer w.c.Close()
				time.Sleep(3 * time.Second)
				if tt.then != nil {
					tt.then(w.servers)
				}
				checkFlipTakes(t, w, tt.want, tt.took)
			})
		})
	}
}

func checkFlipTakes(t *testing.T, w *world, want string, took time.Duration) {
	t.Helper()
	began := time.Now()
	_, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v2"}, operator())
	if got := time.Since(began); got > took {
		t.Errorf("took %s, want %s at most", got, took)
	}
	if want == "" && err != nil {
		t.Errorf("refused: %v", err)
	}
	if want != "" {
		if r := refusalOf(t, err); r.Kind != want {
			t.Errorf("refused as %s (%s), want %s", r.Kind, r.What, want)
		}
	}
}

func TestFlipEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.servers.slow = 4 * time.Second
		w.mustStart()
		defer w.c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := w.c.Flip(ctx, "web", "green", FlipWant{}, operator()); err != context.DeadlineExceeded || time.Since(began) > time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestRollbackWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		mustFlip(t, w, "green")
		w.servers.down("connection refused", "a:1")
		time.Sleep(10 * time.Second)
		began := time.Now()
		op, err := w.c.Rollback(t.Context(), "web", FlipWant{}, operator())
		if err != nil || time.Since(began) > 0 {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		if r := over(t, op); r.To != "blue" || r.Verb != "rollback" || r.Switched != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestSettled(t *testing.T) {
	unknown, up, down := healthcheck.Unknown, healthcheck.Up, healthcheck.Down
	tests := []struct {
		why       string
		state     healthcheck.State // in the State
		v         healthcheck.Verdict
		looks     uint64
		unchecked bool
		want      bool
	}{
		{"nothing is known", unknown, healthcheck.Verdict{State: unknown}, 2, false, false},
		{"up, and nobody looked since", up, healthcheck.Verdict{State: up}, 0, false, false},
		{"up and looked at", up, healthcheck.Verdict{State: up, Passes: 5}, 1, false, true},
		{"up and begins to fail", up, healthcheck.Verdict{State: up, Fails: 1}, 1, false, false},
		{"up, and there is nothing to look at", up, healthcheck.Verdict{State: up}, 0, true, true},
		{"up, and the State does not know yet", down, healthcheck.Verdict{State: up, Passes: 2}, 2, false, false},
		{"down after one look", down, healthcheck.Verdict{State: down, Fails: 9}, 1, false, false},
		{"down after two", down, healthcheck.Verdict{State: down, Fails: 9}, 2, false, true},
		{"down and begins to pass", down, healthcheck.Verdict{State: down, Passes: 1}, 2, false, false},
	}
	for _, tt := range tests {
		b := &Backend{Health: healthcheck.Verdict{State: tt.state}}
		if got := settled(b, tt.v, tt.looks, tt.unchecked); got != tt.want {
			t.Errorf("%s: settled is %v", tt.why, got)
		}
	}
}

// TestAPatientFlipWaits for servers that are being started, and for the right release.
func TestAPatientFlipWaits(t *testing.T) {
	for _, tt := range []struct {
		patience, ready time.Duration
		refused         bool
	}{{time.Minute, 20 * time.Second, false}, {10 * time.Second, 20 * time.Second, true}, {0, time.Second, true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web blue=a:1 green=b:1")
			w.servers.up("v1", "a:1", "b:1")
			w.mustStart()
			defer w.c.Close()
			time.Sleep(3 * time.Second)
			start := time.AfterFunc(tt.ready, func() { w.servers.up("v2", "b:1") })
			defer start.Stop()
			began := time.Now()
			_, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v2", Patience: tt.patience}, operator())
			took := time.Since(began)
			if tt.refused && (refusalOf(t, err).Kind != "release" || took > tt.patience+time.Second) {
				t.Errorf("refused after %v: %v", took, err)
			}
			if !tt.refused && (err != nil || took < tt.ready || took > tt.ready+time.Second) {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
}

// TestAPatientFlipKnowsWhatTimeDoesNotChange: a release that is retired, and a schema that its servers do not work with. A
// migration that has only just been made is seen.
func TestAPatientFlipKnowsWhatTimeDoesNotChange(t *testing.T) {
	for _, tt := range []struct {
		why, release, refused string
		have                  int64
		migrated, least, most time.Duration
	}{
		{"retired", "v0", "retired", 5, time.Hour, 0, 0},
		{"not migrated", "v2", "schema", 5, time.Hour, lookAgain, 2 * time.Second},
		{"migrated in the meantime", "v2", "", 5, lookAgain / 2, lookAgain, 2 * time.Second},
		{"migrated before", "v2", "", 6, time.Hour, 0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web blue=a:1 green=b:1")
			w.servers.up("v1", "a:1")
			word := func(have int64) {
				w.servers.set("b:1", healthcheck.Result{OK: true, Release: "v2", Schema: healthcheck.Schema{Given: true, Have: have, Min: 6, Max: 7}})
			}
			word(tt.have)
			w.mustStart()
			defer w.c.Close()
			time.Sleep(3 * time.Second)
			if _, err := w.c.Retire(t.Context(), "web", "v0", RetireWant{}, operator()); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(tt.migrated, func() { word(6) }).Stop()
			began := time.Now()
			_, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: tt.release, Patience: time.Minute}, operator())
			if took := time.Since(began); took < tt.least || took > tt.most || refusalKind(err) != tt.refused {
				t.Errorf("%s: after %v: %v", tt.why, took, err)
			}
		})
	}
}
