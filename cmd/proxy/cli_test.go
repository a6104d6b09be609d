package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
)

// lockedBuffer takes the output of commands that run beside the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// said is what one command said.
type said struct {
	code     int
	out, err string
}

// command runs a command in this process, without a terminal.
func command(env map[string]string, args ...string) said {
	var out, err lockedBuffer
	c := &cli{in: strings.NewReader(""), out: &out, err: &err, getenv: func(name string) string { return env[name] }}
	code := execute(args, c)
	return said{code, out.String(), err.String()}
}

func TestUsageErrors(t *testing.T) {
	rows := []struct {
		args string
		says string
	}{
		{"flap", `there is no command "flap"`},
		{"stats", "did you mean status?"},
		{"flip", "SERVICE is missing"},
		{"flip web", "POOL is missing"},
		{"flip web green red", `"red" is one argument too many`},
		{"flip web green --hard", "--hard"},
		{"flip web green --timeout soon", "soon"},
		{"flip web green --bake 1", "write a length such as 60s"},
		{"flip web green --bake -1s", "write a length such as 60s"},
		{"bake", "SERVICE is missing"},
		{"drain web", "BACKEND is missing"},
		{"rollout", "SERVICE is missing"},
		{"rollout web", "--exec CMD is missing"},
		{"rollout web --exec true --batch 0", "--batch is 0"},
		{"rollout web --exec true --on-failure panic", "write stop or revert"},
		{"rollout web --exec true --timeout 0s", "lengths of time"},
		{"rollout web --show --abort r1", "leave two of them out"},
		{"rollout web --exec true --max-cut -1", "0 or more"},
		{"flip web green --max-cut -1", "0 or more"},
		{"split web", "POOL=PERCENT is missing"},
		{"split web green", "write it as green=5"},
		{"split web green=5 green=6", "green is given twice"},
		{"split web green=5 --wait --no-wait", "leave one of them out"},
		{"split web green=0 --max-cut 0 --no-wait", "leave one of them out"},
		{"split web green=5 --force", "--note"},
		{"split web green=5 --judge soon", "60s"},
		{"flip web green --max-cut all", "0 or more"},
		{"flip web green --max-cut 0 --no-wait", "leave one of them out"},
		{"rollback web --max-cut 0 --no-wait", "leave one of them out"},
		{"ready web b --max-cut 0", "--max-cut"},
		{"rollback", "SERVICE is missing"},
		{"pause", "SERVICE is missing"},
		{"pause web --for 30", "--for"},
		{"pause web --for 0s", "write a length such as 30s"},
		{"resume web now", "one argument too many"},
		{"status a b", "too many"},
		{"history --limit -1", "--limit"},
		{"check", "FILE is missing"},
		{"run", "--config FILE, or --to ADDRESS"},
		{"run --config a --to b", "exclude each other"},
		{"run --config a --listen :1", "--listen goes with --to"},
		{"run extra", "too many"},
		{"demo --flip-every 1ms", "100ms"},
		{"demo --duration -1s", "negative"},
		{"status --admin nonsense", ""},
		{"nonsense web", "there is no command"},
	}
	for _, row := range rows {
		t.Run(row.args, func(t *testing.T) {
			got := command(nil, strings.Fields(row.args)...)
			if got.code != exitUsage || !strings.Contains(got.err, row.says) || got.out != "" {
				t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help", "flip"}, {"run", "--help"}} {
		if got := command(nil, args...); got.code != 0 || !strings.Contains(got.out, "Usage:") {
			t.Errorf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
		}
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := command(nil, args...); got.code != 0 || !strings.HasPrefix(got.out, "sluice ") {
			t.Errorf("%v: exit %d %s", args, got.code, got.out)
		}
	}
	var doc map[string]string
	if got := command(nil, "version", "--json"); json.Unmarshal([]byte(got.out), &doc) != nil || doc["version"] == "" {
		t.Errorf("%s", got.out)
	}
	if got := command(nil, "completion", "bash"); got.code != 0 || !strings.Contains(got.out, "sluice") {
		t.Errorf("completion: exit %d", got.code)
	}
}

func TestNobodyAnswers(t *testing.T) {
	nowhere := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	for _, args := range []string{"status", "flip web green", "rollback web", "split web green=5", "drain web b", "ready web b", "maint web b", "pause web", "resume web", "rollout web --exec true", "rollout web --show", "bake web", "flip web green --bake 1m", "retire web v1", "lease", "lease w --release v1", "lease w --drop", "history", "stop"} {
		got := command(map[string]string{"SLUICE_ADMIN": nowhere}, strings.Fields(args)...)
		if got.code != exitFailed || !strings.Contains(got.err, "no Sluice answers at "+nowhere) || !strings.Contains(got.err, "sluice run --config") {
			t.Errorf("%s: exit %d %s", args, got.code, got.err)
		}
	}
	if got := command(nil, "status", "--admin", nowhere); got.code != exitFailed {
		t.Errorf("--admin: exit %d %s", got.code, got.err)
	}
	if got := command(map[string]string{"SLUICE_ADMIN": nowhere}, "__complete", "flip", ""); strings.Contains(got.out, "web") {
		t.Errorf("completion without a Sluice offers nothing: %s", got.out)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	good := write(t, "good.yaml", `listen: http://127.0.0.1:8080
services:
  web:
    hosts: [shop.example]
    pools: {blue: [10.0.0.1:3000, 10.0.0.2:3000], green: [10.0.0.3:3000]}
  api:
    path: /api
    backends: [10.0.0.9:1]
`)
	got := command(nil, "check", good)
	want := `HOST          PATH  SERVICE  POOL     BACKENDS
shop.example  /     web      blue     10.0.0.1:3000 10.0.0.2:3000
(any)         /api  api      default  10.0.0.9:1
`
	if got.code != 0 || got.out != want {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	var routes []config.Route
	if got := command(nil, "check", good, "--json"); json.Unmarshal([]byte(got.out), &routes) != nil || len(routes) != 2 {
		t.Errorf("%s", got.out)
	}
	bad := write(t, "bad.yaml", "listen: :8080\nservices:\n  web:\n    backend: [127.0.0.1:1]\n")
	if got := command(nil, "check", bad); got.code != exitFailed || !strings.Contains(got.err, bad+":4:5") {
		t.Errorf("exit %d %s", got.code, got.err)
	}
	missing := write(t, "tls.yaml", "listen: https://127.0.0.1:8443\ntls: {certificates: [{cert: /nowhere/a.pem, key: /nowhere/a.key}]}\nservices:\n  web:\n    backends: [127.0.0.1:1]\n")
	if got := command(nil, "check", missing); got.code != exitFailed || !strings.Contains(got.err, "/nowhere/a.pem") {
		t.Errorf("exit %d %s", got.code, got.err)
	}
}

func TestRunRefusesACME(t *testing.T) {
	file := write(t, "acme.yaml", "listen: https://127.0.0.1:8443\ntls: {acme: {email: a@example.com}}\nservices:\n  web:\n    backends: [127.0.0.1:1]\n")
	got := command(nil, "run", "--config", file, "--state", t.TempDir())
	if got.code != exitFailed || !strings.Contains(got.err, "not in this version") {
		t.Errorf("exit %d %s", got.code, got.err)
	}
}

// await fails the test when something does not come about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not come about", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
