package control

import (
	"strings"
	"testing"
	"time"
)

var (
	decidedAt = time.Unix(1000, 0).UTC()
	startedAt = time.Unix(2000, 0).UTC()
)

func decision(value, file string) *Decision {
	return &Decision{Value: value, File: file, At: decidedAt, Cause: Cause{By: "anna", Verb: "flip"}}
}

// The rule: the file wins only where it itself changed since the decision, or where what was decided on is gone.
func TestJoinOfDecisionsAndFile(t *testing.T) {
	tests := []struct {
		why      string
		file     string
		live     *Decision
		previous string
		want     string // live, previous
		ends     string // in the one resolution; "": there is none
	}{
		{"nothing was decided", "web live=blue blue=a:1 green=b:1", nil, "", "blue -", ""},
		{"file unchanged: the decision holds", "web live=blue blue=a:1 green=b:1", decision("green", "blue"), "blue", "green blue", ""},
		{"file unchanged, decided back again", "web live=blue blue=a:1 green=b:1", decision("blue", "blue"), "green", "blue green", ""},
		{"file changed: the file wins", "web live=red blue=a:1 green=b:1 red=c:1", decision("green", "blue"), "blue", "red green", "the file wins"},
		{"file changed to what was decided: they agree", "web live=green blue=a:1 green=b:1", decision("green", "blue"), "blue", "green blue", ""},
		{"decided back, then the file changed", "web live=green blue=a:1 green=b:1", decision("blue", "blue"), "green", "green blue", "the file wins"},
		{"the decided pool is gone", "web live=blue blue=a:1", decision("green", "blue"), "", "blue -", "no longer has"},
		{"the decided pool is gone and the file changed", "web live=red red=a:1", decision("green", "blue"), "", "red -", "no longer has"},
		{"the previous pool is gone", "web live=green green=b:1", decision("green", "green"), "blue", "green -", "nothing to roll back to"},
		{"the service is gone", "api one=c:1", decision("green", "blue"), "blue", "", "no service web"},
	}
	for _, tt := range tests {
		s := fromFile(fileOf(t, tt.file), startedAt, Cause{By: "file"})
		old := saved{Format: 1, Generation: 9, Services: map[string]savedService{"web": {Live: tt.live, Previous: tt.previous}}}
		s, ends := join(s, old, startedAt, Cause{By: "file"})
		got := ""
		if svc := s.Services["web"]; svc != nil {
			got = svc.Live + " " + orDash(svc.Previous)
		}
		if got != tt.want || s.Generation != 9 {
			t.Errorf("%s: got %q at %d, want %q at 9", tt.why, got, s.Generation, tt.want)
		}
		checkEnds(t, tt.why, ends, tt.ends)
	}
}

func checkEnds(t *testing.T, why string, ends []resolution, want string) {
	t.Helper()
	switch {
	case want == "" && len(ends) != 0:
		t.Errorf("%s: nothing was to be told, got %q", why, ends)
	case want != "" && (len(ends) != 1 || !strings.Contains(ends[0].text, want)):
		t.Errorf("%s: told %q, want one with %q", why, ends, want)
	}
}

func TestJoinOfAdministrationAndFile(t *testing.T) {
	drained, ready := decision("drain", "ready"), decision("ready", "ready")
	tests := []struct {
		why, file string
		backend   savedBackend
		want      Admin // of blue/a:1
		ends      string
	}{
		{"a drain survives", "web blue=a:1,a:2", savedBackend{Pool: "blue", Address: "a:1", Admin: drained}, Drain, ""},
		{"a ready survives", "web blue=a:1,a:2", savedBackend{Pool: "blue", Address: "a:1", Admin: ready}, Ready, ""},
		{"the backend is gone", "web blue=a:2", savedBackend{Pool: "blue", Address: "a:1", Admin: drained}, "", "no longer has it"},
		{"its pool is gone", "web green=a:1", savedBackend{Pool: "blue", Address: "a:1", Admin: drained}, "", "no longer has it"},
		{"a backend that was ready is gone: nobody misses that", "web blue=a:2", savedBackend{Pool: "blue", Address: "a:1", Admin: ready}, "", ""},
		{"no decision", "web blue=a:1", savedBackend{Pool: "blue", Address: "a:1", Admin: nil}, Ready, ""},
	}
	for _, tt := range tests {
		s := fromFile(fileOf(t, tt.file), startedAt, Cause{})
		old := saved{Services: map[string]savedService{"web": {Backends: map[string]savedBackend{"blue/a:1": tt.backend}}}}
		s, ends := join(s, old, startedAt, Cause{})
		var got Admin
		if b := s.Backend(Key{"web", "blue", "a:1"}); b != nil {
			got = b.Admin
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.why, got, tt.want)
		}
		checkEnds(t, tt.why, ends, tt.ends)
	}
}

func TestSavedIsDecisionsOnlyAndComesBack(t *testing.T) {
	s := fill(plain(t), "v2", "b:1", "b:2")
	if data, _ := s.encode(); strings.Contains(string(data), "services") || strings.Contains(string(data), "v2") {
		t.Errorf("saved without any decision: %s", data)
	}
	m := moment{decidedAt, Cause{By: "anna", Via: "api", Verb: "flip", Note: "friday"}}
	for _, step := range []Change{
		flip("web", "green", FlipWant{}, m), setAdmin("web", "blue", "a:2", Maint, AdminWant{}, m), setAdmin("web", "green", "b:1", Drain, AdminWant{}, m),
	} {
		var err error
		if s, err = step(s); err != nil {
			t.Fatal(err)
		}
	}
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	old, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	back, ends := join(plain(t), old, startedAt, Cause{})
	checkEnds(t, "the same file", ends, "")
	again, _ := back.encode()
	if string(again) != string(data) {
		t.Errorf("saved\n%s\ncame back as\n%s", data, again)
	}
	if svc := back.Services["web"]; svc.Cause != m.cause || !svc.Since.Equal(decidedAt) {
		t.Errorf("who flipped when was lost: %+v", svc)
	}
}

func TestUnreadableStateIsRefusedWithTheNextStep(t *testing.T) {
	for _, data := range []string{"", "{", "[]", `{"format":2}`, `{}`, `{"format":1,"services":{"web":[]}}`} {
		_, err := decode([]byte(data))
		if err == nil || !strings.Contains(err.Error(), "move the state directory away") {
			t.Errorf("%q: got %v", data, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := fromFile(fileOf(f, "web live=blue blue=a:1 green=b:1"), startedAt, Cause{})
	data, _ := s.encode()
	f.Add(data)
	f.Add([]byte(`{"format":1,"services":{"web":{"live":{"value":"green","file":"blue"},"previous":"web",
		"backends":{"x":{"pool":"blue","address":"a:1","admin":{"value":"nonsense"}}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		old, err := decode(data)
		if err != nil {
			return
		}
		joined, _ := join(s, old, startedAt, Cause{})
		if err := joined.sound(); err != nil {
			t.Fatal(err)
		}
		for _, b := range joined.backends {
			if b.Admin != Ready && b.Admin != Drain && b.Admin != Maint {
				t.Fatalf("%s is in %q", b.Key, b.Admin)
			}
		}
	})
}
