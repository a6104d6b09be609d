package control

import (
	"errors"
	"testing"
	"time"

	"sluice/healthcheck"
)

// fill gives backends what checks would have found.
func fill(s State, release string, addresses ...string) State {
	for _, b := range s.backends {
		for _, a := range addresses {
			if b.Address() == a {
				s = s.observed(b.Key, healthcheck.Verdict{State: healthcheck.Up, Release: release})
			}
		}
	}
	return s
}

func plain(t *testing.T) State {
	s := fromFile(fileOf(t, "web live=blue blue=a:1,a:2 green=b:1,b:2 both=a:1"), time.Unix(0, 0), Cause{})
	s.Generation = 7
	return s
}

func generation(n uint64) *uint64 { return &n }

func TestFlipIsAPureStep(t *testing.T) {
	m := moment{time.Unix(100, 0), Cause{By: "anna", Verb: "flip"}}
	tests := []struct {
		why    string
		state  func(State) State
		pool   string
		want   FlipWant
		refuse string // kind; "" for a flip, "unchanged" for ErrUnchanged
	}{
		{"all up", func(s State) State { return fill(s, "v2", "b:1", "b:2") }, "green", FlipWant{}, ""},
		{"the release is there", func(s State) State { return fill(s, "v2", "b:1", "b:2") }, "green", FlipWant{Release: "v2"}, ""},
		{"the generation matches", func(s State) State { return fill(s, "v2", "b:1", "b:2") }, "green", FlipWant{IfMatch: generation(7)}, ""},
		{"live already", func(s State) State { return s }, "blue", FlipWant{}, "unchanged"},
		{"live already, of that release", func(s State) State { return fill(s, "v1", "a:1", "a:2") }, "blue", FlipWant{Release: "v1"}, "unchanged"},
		{"live already, of another release", func(s State) State { return fill(s, "v1", "a:1", "a:2") }, "blue", FlipWant{Release: "v2"}, "release"},
		{"live already, and nobody can say the release", func(s State) State { return s }, "blue", FlipWant{Release: "v2"}, "release"},
		{"nobody up", func(s State) State { return s }, "green", FlipWant{}, "unhealthy"},
		{"one of two up", func(s State) State { return fill(s, "v2", "b:1") }, "green", FlipWant{}, "unhealthy"},
		{"mixed releases", func(s State) State { return fill(fill(s, "v2", "b:1"), "v1", "b:2") }, "green", FlipWant{Release: "v2"}, "release"},
		{"no release reported", func(s State) State { return fill(s, "", "b:1", "b:2") }, "green", FlipWant{Release: "v2"}, "release"},
		{"no such pool", func(s State) State { return s }, "red", FlipWant{}, "unknown"},
		{"another generation", func(s State) State { return fill(s, "v2", "b:1", "b:2") }, "green", FlipWant{IfMatch: generation(6)}, "generation"},
		{"all drained", func(s State) State { return drained(fill(s, "v2", "b:1", "b:2"), "b:1", "b:2") }, "green", FlipWant{}, "unhealthy"},
		{"the one that is down is drained", func(s State) State { return drained(fill(s, "v2", "b:1"), "b:2") }, "green", FlipWant{}, ""},
	}
	for _, tt := range tests {
		before := tt.state(plain(t))
		shown := describe(before)
		after, err := flip("web", tt.pool, tt.want, m)(before)
		if describe(before) != shown {
			t.Errorf("%s: the State before was changed", tt.why)
		}
		switch {
		case tt.refuse == "unchanged":
			if !errors.Is(err, ErrUnchanged) {
				t.Errorf("%s: got %v, want unchanged", tt.why, err)
			}
		case tt.refuse != "":
			if r := refusalOf(t, err); r.Kind != tt.refuse {
				t.Errorf("%s: refused as %s (%s), want %s", tt.why, r.Kind, r.What, tt.refuse)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.why, err)
		default:
			svc := after.Services["web"]
			if svc.Live != "green" || svc.Previous != "blue" || svc.Decided == nil || svc.Decided.File != "blue" ||
				svc.Cause.By != "anna" || !svc.Since.Equal(m.at) {
				t.Errorf("%s: became %+v", tt.why, svc)
			}
		}
	}
}

func drained(s State, addresses ...string) State {
	for _, a := range addresses {
		s, _ = setAdmin("web", "green", a, Drain, AdminWant{}, moment{})(s)
	}
	return s
}

func TestAdministrationAndHealthAreTwoFacts(t *testing.T) {
	up := healthcheck.Verdict{State: healthcheck.Up, Release: "v1"}
	k := Key{"web", "blue", "a:1"}
	tests := []struct {
		why       string
		from, to  Admin
		keeps     bool // what was found so far
		unchanged bool
	}{
		{"a drained backend is still known to be well", Ready, Drain, true, false},
		{"nobody looks at one in maint", Ready, Maint, false, false},
		{"one that comes back was probably started anew", Drain, Ready, false, false},
		{"the same from maint", Maint, Ready, false, false},
		{"from maint to drain, checks begin at nothing", Maint, Drain, false, false},
		{"nothing to do", Ready, Ready, true, true},
		{"nothing to do", Drain, Drain, true, true},
	}
	for _, tt := range tests {
		s := plain(t).observed(k, up)
		b := *s.Backend(k)
		b.Admin = tt.from
		s = s.with(s.Services["web"].with(&b))
		after, err := setAdmin("web", "blue", "a:1", tt.to, AdminWant{}, moment{})(s)
		if errors.Is(err, ErrUnchanged) != tt.unchanged || err != nil && !tt.unchanged {
			t.Fatalf("%s: %v", tt.why, err)
		}
		got := after.Backend(k)
		if got.Admin != tt.to || (got.Health == up) != tt.keeps || (got.Incarnation == b.Incarnation) != tt.keeps {
			t.Errorf("%s: %s → %s gave %+v", tt.why, tt.from, tt.to, got)
		}
		if again := after.observed(k, up).Backend(k); again.Admin != tt.to {
			t.Errorf("%s: a passing check turned %s into %s", tt.why, tt.to, again.Admin)
		}
	}
}

func TestABackendIsNamedByAddressOrPoolAndAddress(t *testing.T) {
	svc := plain(t).Services["web"]
	tests := []struct{ pool, backend, want string }{
		{"", "a:2", "web/blue/a:2"},
		{"", "blue/a:1", "web/blue/a:1"},
		{"both", "a:1", "web/both/a:1"},
		{"both", "both/a:1", "web/both/a:1"},
		{"", "a:1", "conflict"},
		{"", "a:9", "unknown"},
		{"red", "a:1", "unknown"},
		{"green", "blue/a:1", "unknown"},
		{"", "", "unknown"},
	}
	for _, tt := range tests {
		b, err := svc.locate(tt.pool, tt.backend)
		got := ""
		if err != nil {
			got = refusalOf(t, err).Kind
		} else {
			got = b.Key.String()
		}
		if got != tt.want {
			t.Errorf("locate(%q, %q) = %s, want %s", tt.pool, tt.backend, got, tt.want)
		}
	}
}

func TestRollbackAsksForOneBackendOnly(t *testing.T) {
	m := moment{cause: Cause{Verb: "rollback"}}
	s := plain(t)
	if _, err := rollback("web", FlipWant{}, m)(s); refusalOf(t, err).Kind != "conflict" {
		t.Error("a rollback to nothing was not refused as a conflict:", err)
	}
	s = fill(s, "v2", "b:1", "b:2")
	s, err := flip("web", "green", FlipWant{}, m)(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rollback("web", FlipWant{}, m)(s); refusalOf(t, err).Kind != "unhealthy" {
		t.Error("a rollback to a dead pool was not refused:", err)
	}
	if _, err := rollback("shop", FlipWant{}, m)(s); refusalOf(t, err).Kind != "unknown" {
		t.Error(err)
	}
	s = fill(s, "v1", "a:2")
	if _, err := rollback("web", FlipWant{Release: "v9"}, m)(s); refusalOf(t, err).Kind != "release" {
		t.Error("a rollback to another release than wanted was not refused:", err)
	}
	s, err = rollback("web", FlipWant{}, m)(s)
	if err != nil || s.Services["web"].Live != "blue" || s.Services["web"].Previous != "green" {
		t.Errorf("rollback with one of two up: %v\n%s", err, describe(s))
	}
}

func TestObservedIgnoresWhoLeft(t *testing.T) {
	s := plain(t)
	for _, k := range []Key{{"shop", "blue", "a:1"}, {"web", "red", "a:1"}, {"web", "blue", "a:9"}} {
		if after := s.observed(k, healthcheck.Verdict{State: healthcheck.Up}); describe(after) != describe(s) {
			t.Errorf("a verdict on %s, which is not there, changed the State", k)
		}
	}
}

func TestLongListsAreCutShort(t *testing.T) {
	s := fromFile(fileOf(t, "web blue=a:1,a:2,a:3,a:4,a:5,a:6,a:7 green=b:1"), time.Unix(0, 0), Cause{})
	_, err := flip("web", "green", FlipWant{}, moment{})(s)
	refusalOf(t, err)
	_, err = s.Services["web"].locate("", "x")
	want := "its backends are: blue/a:1, blue/a:2, blue/a:3, blue/a:4, blue/a:5, and 3 more"
	if r := refusalOf(t, err); r.Hint != want {
		t.Errorf("hint %q, want %q", r.Hint, want)
	}
}
