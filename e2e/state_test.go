package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDecisionsSurviveTheKill: flips and drains are there again after kill -9, and nothing gets traffic unchecked.
func TestDecisionsSurviveTheKill(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	spare := startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address+", "+spare.address)).start()
	s.awaitRelease("v1")
	s.must("flip", "web", "green")
	s.must("drain", "web", spare.address, "--wait")
	s.kill()
	green.kill()
	s.start()
	if status, body, _ := s.fetch("/bytes/10"); status != 503 {
		t.Errorf("after a restart with a dead and a drained backend: %d %s, want 503", status, body)
	}
	out := s.must("status")
	for _, want := range []string{"green", "drain"} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	startApp(t, "v2", green.address)
	s.awaitRelease("v2")
	if n := strings.Count(s.must("history", "web"), "flip"); n == 0 {
		t.Error("the history forgot the flip")
	}
}

// stateFiles lists what is in the state directory, but not the lock or the history.
func (s *sluice) stateFile() string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.stateDir(), "state*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("no state file in %s: %v", s.stateDir(), err)
	}
	for _, f := range files {
		if filepath.Base(f) == "state.json" || filepath.Base(f) == "state" {
			return f
		}
	}
	s.t.Fatalf("no current state among %v", files)
	return ""
}

// TestDamagedStateIsNeverAnEmptyStart truncates the saved state in every way a crash or a disk can.
func TestDamagedStateIsNeverAnEmptyStart(t *testing.T) {
	damages := map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"half":      func(b []byte) []byte { return b[:len(b)/2] },
		"bit flip":  func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 4; return c },
		"cut a bit": func(b []byte) []byte { return b[:len(b)-1] },
	}
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s := newSluice(t, twoPools(blue.address, green.address)).start()
			s.awaitRelease("v1")
			s.must("flip", "web", "green")
			s.must("flip", "web", "blue")
			s.must("flip", "web", "green")
			s.kill()
			saved, err := os.ReadFile(s.stateFile())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.stateFile(), damage(saved), 0o600); err != nil {
				t.Fatal(err)
			}
			s.start()
			s.await("it serves the last good state", func() bool { status, _, _ := s.fetch("/bytes/10"); return status == 200 })
			if out := s.must("status"); !strings.Contains(out, "damage") {
				t.Errorf("status does not say that the state was damaged:\n%s", out)
			}
			if !strings.Contains(s.out.String(), "damage") {
				t.Error("nothing was said loudly")
			}
		})
	}
}

// TestRefusals: each thing that cannot be done is a sentence with the next step and an exit code, and changes nothing.
func TestRefusals(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("listen: :8080\nservices:\n  web:\n    backend: [127.0.0.1:1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newSluice(t, twoPools(blue.address, green.address))
	other.listen = s.listen
	other.configure(twoPools(blue.address, green.address))
	_, before := s.get("/v1/status")
	rows := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"unknown service", []string{"flip", "shop", "green"}, 1, "shop"},
		{"unknown pool", []string{"flip", "web", "red"}, 1, "red"},
		{"unknown backend", []string{"drain", "web", "10.9.9.9:1"}, 1, "10.9.9.9:1"},
		{"unknown flag", []string{"flip", "web", "green", "--hard"}, 2, "--hard"},
		{"unknown command", []string{"flap", "web"}, 2, "flap"},
		{"missing argument", []string{"flip", "web"}, 2, ""},
		{"wrong release", []string{"flip", "web", "green", "--release", "v9"}, 1, "v9"},
		{"no rollback yet", []string{"rollback", "web"}, 1, "rollback"},
		{"bad file", []string{"check", bad}, 1, "bad.yaml:4:5"},
		{"missing file", []string{"check", bad + ".not"}, 1, ""},
		{"run with a bad file", []string{"run", "--config", bad}, 1, "bad.yaml:4:5"},
		{"run on the same state", []string{"run", "--config", s.configFile()}, 1, ""},
		{"run on a port in use", []string{"run", "--config", other.configFile()}, 1, s.listen},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			args := row.args
			if args[0] != "check" && args[0] != "run" {
				args = append(args, "--admin", "unix://"+s.socket())
			}
			out, code := runCLI(t, args...)
			if code != row.code || !strings.Contains(out, row.says) {
				t.Errorf("exit %d, want %d; output:\n%s", code, row.code, out)
			}
			t.Log(strings.TrimSpace(out))
		})
	}
	_, after := s.get("/v1/status")
	if before["generation"] != after["generation"] {
		t.Errorf("generation %v became %v: a refusal changed something", before["generation"], after["generation"])
	}
	if out, code := runCLI(t, "status", "--admin", "unix:///nowhere/sluice.sock"); code != 1 || !strings.Contains(out, "sluice run") {
		t.Errorf("no Sluice there: exit %d: %s", code, out)
	}
}

// TestDeadlineExitsWithThree: what is still unknown at the deadline is neither success nor failure.
func TestDeadlineExitsWithThree(t *testing.T) {
	t.Parallel()
	a := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, singlePool(a.address)).start()
	s.awaitRelease("v1")
	go s.fetch("/slow?ms=4000")
	s.await("the slow request is inside", func() bool { return a.inside() > 0 })
	began := time.Now()
	out, code := s.cli("drain", "web", a.address, "--wait", "--timeout", "500ms")
	if code != 3 || time.Since(began) > 3*time.Second {
		t.Errorf("exit %d after %s: %s", code, time.Since(began), out)
	}
	if out, code := s.cli("drain", "web", a.address, "--wait"); code != 0 || a.inside() != 0 {
		t.Errorf("exit %d, %d inside: %s", code, a.inside(), out)
	}
}
