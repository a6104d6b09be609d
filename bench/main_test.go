package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a test leaves a goroutine behind: each one here waits for a process or serves a backend.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == generatorWord { // the load is this program once more
		os.Exit(generateHere(os.Stdin, os.Stdout, os.Stderr))
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		os.Exit(code) // the fuzzer's own goroutines stay to the end
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			os.Exit(code)
		}
		time.Sleep(20 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks[:runtime.Stack(stacks, true)])
	os.Exit(1)
}

// needs skips a test on a machine without the programs we measure: the test has nothing to say there.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		reason, args, wrong string
	}{
		{"nothing given: the small work and all peers", "", ""},
		{"everything given", "--rounds 3 --seconds 2 --retries 0 --work small,close --peers sluice,haproxy --json out.json --sluice ./s --max-ratio 1.1", ""},
		{"every work there is", "--work all", ""},
		{"an argument that is no flag was meant for something", "small", "not expected"},
		{"no round gives no figure", "--rounds 0", "--rounds 0"},
		{"a slip of the keyboard", "--seconds 40000", "--seconds 40000"},
		{"less than no retries", "--retries -1", "--retries -1"},
		{"a work nobody wrote", "--work huge", "choose from small"},
		{"proxies in Go", "--peers sluice,caddy,traefik,kamal-proxy --traefik ./t --kamal-proxy ./k --strace --configs", ""},
		{"the goals and how the cost grows", "--work goals,scale --peers all", ""},
		{"a peer we have no configuration for", "--peers sluice,squid", `"squid" is unknown`},
		{"a peer given twice would be counted twice", "--peers nginx,nginx", "given twice"},
		{"a ratio below nothing", "--max-ratio -1", "--max-ratio -1"},
		{"a ratio that is no number would let anything pass", "--max-ratio NaN", "--max-ratio NaN"},
		{"a ratio needs sluice", "--max-ratio 1 --peers nginx,haproxy", "name sluice"},
		{"a ratio needs somebody to compare with", "--max-ratio 1 --peers sluice", "nginx or haproxy"},
	} {
		_, err := parseOptions(strings.Fields(c.args), io.Discard)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.reason, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: got %v, want an error with %q", c.reason, err, c.wrong)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		reason string
		args   []string
		want   int
	}{
		{"help was asked for", []string{"--help"}, 0},
		{"a flag we do not have", []string{"--nonsense"}, 2},
		{"a value we refuse", []string{"--rounds", "0"}, 2},
		{"a binary that is not there", []string{"--sluice", "/nonexistent/sluice", "--peers", "sluice"}, 1},
	} {
		if c.want == 1 {
			needs(t, "wrk", "nginx", "taskset")
		}
		if got := command(t.Context(), c.args, io.Discard, io.Discard); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.reason, got, c.want)
		}
	}
}

func TestInterruptedRunSaysSo(t *testing.T) {
	needs(t, "wrk", "nginx", "taskset")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	if code := command(ctx, []string{"--peers", "nginx"}, io.Discard, &errs); code != 1 {
		t.Errorf("exit code %d, want 1: nothing was measured", code)
	}
	if !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("it printed %q, want it to say that it was interrupted", errs.String())
	}
}

// TestWholeRun measures nginx once, for a second, and leaves nothing behind.
func TestWholeRun(t *testing.T) {
	needs(t, "wrk", "nginx", "taskset")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	if err := os.Chmod(filepath.Dir(temp), 0o755); err != nil { // nginx's workers are another user
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "out.json")
	var out, errs bytes.Buffer
	args := []string{"--rounds", "1", "--seconds", "1", "--retries", "0", "--peers", "nginx", "--configs", "--json", file}
	if code := command(t.Context(), args, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, part := range []string{"machine: ", "configuration of nginx:", "work small: ", "no ratio"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the report has no %q:\n%s", part, out.String())
		}
	}
	checkFile(t, file)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v %v", left, err)
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Works) != 1 || len(r.Works[0].Rounds) != 1 {
		t.Fatalf("the file holds %+v, want one round of one work", r)
	}
	got := r.Works[0].Rounds[0]
	if got.Peer != "nginx" || got.Load.Requests == 0 || got.CPU <= 0 {
		t.Errorf("the round is %+v, want requests and CPU of nginx", got)
	}
	// Far outside what any machine shows: a factor of ten thousand means a wrong unit.
	if us := got.perRequest(); us < 0.1 || us > 100_000 {
		t.Errorf("%.3f us per request cannot be", us)
	}
}
