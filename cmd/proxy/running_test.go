package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/demo"
	"sluice/telemetry"
)

// house is a Sluice in this process before two releases of the demo app.
type house struct {
	t           *testing.T
	process     *process
	signals     chan os.Signal
	ended       chan int
	socket      string
	state       string
	blue, green string
	apps        map[string]*demo.App
	log         *lockedBuffer
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseWith(t, "")
}

// newHouseWith adds lines to the configuration.
func newHouseWith(t *testing.T, lines string) *house {
	t.Helper()
	return newHouseOf(t, lines, func(*settings) {})
}

// newHouseOf also has settings of the test's own.
func newHouseOf(t *testing.T, lines string, change func(*settings)) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{
		t: t, signals: make(chan os.Signal, 2), ended: make(chan int, 1), log: &lockedBuffer{},
		socket: filepath.Join(dir, "admin.sock"), state: filepath.Join(dir, "state"), apps: map[string]*demo.App{},
	}
	h.blue, h.green = h.app("v1"), h.app("v2")
	cfg, err := config.Parse("test", fmt.Appendf(nil, lines+demoConfig, "127.0.0.1:0", h.socket, h.state, h.blue, h.green))
	if err != nil {
		t.Fatal(err)
	}
	set := settings{config: cfg, events: telemetry.NewEvents(h.log, false), version: "test"}
	change(&set)
	if h.process, err = start(set); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { h.ended <- h.process.serve(h.signals); close(over) }()
	t.Cleanup(func() {
		h.process.stop(control.Cause{})
		<-over
	})
	return h
}

func (h *house) app(release string) string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	app := demo.NewApp(release)
	go app.Serve(l)
	h.t.Cleanup(func() { app.Close() })
	h.apps[release] = app
	return l.Addr().String()
}

func (h *house) run(args string) said {
	return command(map[string]string{"SLUICE_ADMIN": "unix://" + h.socket, "SUDO_USER": "alice"}, strings.Fields(args)...)
}

func (h *house) fetch(path string) (string, http.Header) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 15 * time.Second}
	res, err := client.Get("http://" + h.process.addresses[0].String() + path)
	if err != nil {
		return err.Error(), http.Header{}
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.Status + " " + string(body), res.Header
}

func (h *house) release() string {
	_, header := h.fetch("/bytes/1")
	return header.Get("X-Release")
}

// TestADeployment walks through what the README promises, command by command.
func TestADeployment(t *testing.T) {
	h := newHouse(t)
	rows := []struct {
		args string
		code int
		says []string // in out and err together
		live string
	}{
		{"status", 0, []string{"web  any host  /", "blue live", "green armed", h.blue, "v1", "up", "NOT READY"}, "v1"},
		{"status web", 0, []string{"generation 1"}, "v1"},
		{"status shop", 1, []string{`no service "shop"`, "web"}, "v1"},
		{"rollback web", 1, []string{"sluice rollback: there is nothing to roll back to", "next:"}, "v1"},
		{"flip web red", 1, []string{`no pool "red"`, "blue, green"}, "v1"},
		{"flip web green --release v9", 1, []string{"reports v2", "next:"}, "v1"},
		{"flip web green --if-match 77", 1, []string{"generation"}, "v1"},
		{"flip web green --release v2 --note hello", 0, []string{"flip web: blue → green (release v2) switched in", "inside"}, "v2"},
		{"flip web green --max-cut 0", 0, []string{"already green"}, "v2"},
		{"status --inside", 0, []string{"inside 0"}, "v2"},
		{"status web --inside --limit 5", 0, []string{"inside 0"}, "v2"},
		{"status web --inside --limit 0", 2, []string{"--limit is 0"}, "v2"},
		{"rollback web --no-wait --by bob", 0, []string{"rollback web: green → blue (release v1)"}, "v1"},
		{"drain web " + h.green + " --wait", 0, []string{"ready → drain"}, "v1"},
		{"status web", 0, []string{"drain", "READY"}, "v1"},
		{"flip web green", 1, []string{"no backend of green is ready", "sluice ready web green/"}, "v1"},
		{"ready web green/" + h.green + " --wait", 0, []string{"drain → ready"}, "v1"},
		{"maint web " + h.green + " --pool green", 0, []string{"ready → maint"}, "v1"},
		{"ready web " + h.green + " --wait --pool green", 0, []string{"maint → ready"}, "v1"},
		{"drain web " + h.green + " --pool blue", 1, []string{"no backend", "next:"}, "v1"},
		{"history web", 0, []string{"flip web: blue → green", "alice", "bob", "hello"}, "v1"},
		{"history --limit 1", 0, []string{"maint → ready"}, "v1"},
		{"__complete flip w", 0, []string{"web"}, "v1"},
		{"__complete flip web g", 0, []string{"green\trelease v2"}, "v1"},
		{"__complete drain web b", 0, []string{"blue/" + h.blue}, "v1"},
		{"split web gren=5", 1, []string{`no pool "gren"`, "blue, green"}, "v1"},
		{"split web green=5 blue=5", 1, []string{"nobody would take 90%", "next:"}, "v1"},
		{"split web green --only --header X-Canary:yes --release v2 --wait", 0, []string{"split web: blue → blue 100%, green 0%, 1 by rule (release v2) switched in"}, "v1"},
		{"split web green=0 --only", 0, []string{"already blue 100%, green 0%, 1 by rule"}, "v1"},
		{"status web", 0, []string{"split", "blue 100% (release v1) got", "green 0% (release v2) got 0, errors 0", "X-Canary: yes → green", "READY → v1", "ends the split"}, "v1"},
		{"split web green=0", 0, []string{"blue 100%, green 0%, 1 by rule → blue"}, "v1"},
		{"split web green=100 --release v2", 0, []string{"split web: blue → green (release v2)", "inside"}, "v2"},
		{"split web blue=100%", 0, []string{"split web: green → blue (release v1)"}, "v1"},
		{"__complete split web g", 0, []string{"green=\trelease v2"}, "v1"},
	}
	for _, row := range rows {
		t.Run(row.args, func(t *testing.T) {
			got := h.run(row.args)
			for _, want := range row.says {
				if got.code != row.code || !strings.Contains(got.out+got.err, want) {
					t.Fatalf("exit %d, want %d and %q\n%s%s", got.code, row.code, want, got.out, got.err)
				}
			}
			if got.code == 0 && got.err != "" && !strings.HasPrefix(row.args, "__") {
				t.Errorf("a command that went well says nothing on standard error: %s", got.err)
			}
			if r := h.release(); r != row.live {
				t.Errorf("release %q answers, want %q", r, row.live)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	h := newHouse(t)
	for args, field := range map[string]string{
		"status --json": "services", "history --json": "entries", "flip web green --json": "drain", "flip web red --json": "hint",
	} {
		got := h.run(args)
		var doc map[string]any
		if err := json.Unmarshal([]byte(got.out), &doc); err != nil || doc[field] == nil {
			t.Errorf("%s: %v\n%s%s", args, err, got.out, got.err)
		}
	}
}

// TestDeadline: what is not done by the deadline is neither a success nor a failure, and it goes on.
func TestDeadline(t *testing.T) {
	h := newHouse(t)
	slow := make(chan string, 1)
	go func() { body, _ := h.fetch("/slow?ms=1500"); slow <- body }()
	await(t, "the slow request is inside", func() bool { return h.apps["v1"].Inside() > 0 })
	got := h.run("drain web " + h.blue + " --wait --timeout 100ms")
	if got.code != exitUnknown || !strings.Contains(got.out, "still inside: request") || !strings.Contains(got.err, "it goes on") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	got = h.run("drain web " + h.blue + " --wait")
	if got.code != 0 || h.apps["v1"].Inside() != 0 || !strings.Contains(got.err, "request 1") {
		t.Errorf("exit %d, %d inside\n%s%s", got.code, h.apps["v1"].Inside(), got.out, got.err)
	}
	if body := <-slow; !strings.HasPrefix(body, "200") {
		t.Errorf("the slow request: %s", body)
	}
}

// TestStop: the command answers when the process is gone; what was inside has been answered.
func TestStop(t *testing.T) {
	h := newHouse(t)
	slow := make(chan string, 1)
	go func() { body, _ := h.fetch("/slow?ms=400"); slow <- body }()
	await(t, "the slow request is inside", func() bool { return h.apps["v1"].Inside() > 0 })
	got := h.run("stop")
	if got.code != 0 || !strings.Contains(got.out, "1 finished, 0 cut") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	if body := <-slow; !strings.HasPrefix(body, "200") {
		t.Errorf("the slow request: %s", body)
	}
	if code := <-h.ended; code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	if !strings.Contains(h.log.String(), "stopped: inside 1: 1 finished, 0 cut") {
		t.Errorf("%s", h.log)
	}
	if _, err := os.Stat(h.socket); err == nil {
		t.Error("the admin socket was left behind")
	}
}

func TestSignals(t *testing.T) {
	h := newHouse(t)
	h.signals <- syscall.SIGHUP
	await(t, "SIGHUP is answered in the log", func() bool { return strings.Contains(h.log.String(), "SIGHUP") })
	go h.fetch("/slow?ms=8000")
	await(t, "the slow request is inside", func() bool { return h.apps["v1"].Inside() > 0 })
	h.signals <- syscall.SIGTERM
	await(t, "the exit has begun", func() bool { return strings.Contains(h.log.String(), "stopping") })
	if got := h.run("flip web green"); got.code != exitFailed || !strings.Contains(got.err, "nothing was changed") {
		t.Errorf("a change during the exit: exit %d %s", got.code, got.err)
	}
	began := time.Now()
	h.signals <- syscall.SIGTERM
	if code := <-h.ended; code != exitFailed || time.Since(began) > 4*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// TestASecondOne: whatever they would share, the second is refused and the first goes on.
func TestASecondOne(t *testing.T) {
	h := newHouse(t)
	address := h.process.addresses[0].String()
	rows := []struct {
		name                  string
		listen, socket, state string
		says                  string
	}{
		{"the same state", "127.0.0.1:0", h.socket + "2", h.state, "state"},
		{"the same port", address, h.socket + "2", h.state + "2", "cannot listen on " + address},
		{"the same admin socket", "127.0.0.1:0", h.socket, h.state + "3", "sluice stop"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			text := fmt.Sprintf(demoConfig, row.listen, row.socket, row.state, h.blue, h.green)
			got := command(nil, "run", "--config", write(t, "second.yaml", text))
			if got.code != exitFailed || !strings.Contains(got.err, row.says) {
				t.Errorf("exit %d %s", got.code, got.err)
			}
			if files, _ := filepath.Glob(filepath.Join(row.state, "history*")); row.state != h.state && len(files) > 0 {
				t.Errorf("a Sluice that was refused wrote %v", files)
			}
			if h.release() != "v1" || h.run("status").code != 0 {
				t.Error("the first one suffers")
			}
		})
	}
}

// TestRunTo is the sidecar: no file.
func TestRunTo(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	env := map[string]string{"SLUICE_ADMIN": "unix://" + filepath.Join(dir, "a.sock")}
	ended := make(chan said, 1)
	go func() {
		ended <- command(env, "run", "--to", h.blue, "--listen", "127.0.0.1:0", "--state", filepath.Join(dir, "s"))
	}()
	await(t, "it runs", func() bool { return command(env, "status").code == 0 })
	if got := command(env, "status"); !strings.Contains(got.out, h.blue) || !strings.Contains(got.out, "default live") {
		t.Errorf("%s", got.out)
	}
	if got := command(env, "stop"); got.code != 0 {
		t.Errorf("exit %d %s", got.code, got.err)
	}
	if got := <-ended; got.code != 0 || !strings.Contains(got.err, `"ready"`) {
		t.Errorf("exit %d\n%s", got.code, got.err)
	}
}

// TestMetricsOfARunningOne: the wiring joins counters, control and front.
func TestMetricsOfARunningOne(t *testing.T) {
	h := newHouse(t)
	h.fetch("/bytes/10")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.socket)
	}}}
	defer client.CloseIdleConnections()
	read := func() string {
		res, err := client.Get("http://sluice/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	body := read()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(body, `sluice_requests_total{code="2xx",service="web"} 1`) && time.Now().Before(end); body = read() {
		time.Sleep(time.Millisecond) // a request is counted when its answer has been written
	}
	for _, want := range []string{`sluice_requests_total{code="2xx",service="web"} 1`, `sluice_pool_live{pool="blue",release="v1",service="web"} 1`, "sluice_generation 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestOldCompilersAreToldOf(t *testing.T) {
	for v, unsafe := range map[string]bool{"go1.26.8": true, "go1.25.3": true, "go1.26.9": false, "go1.27.4": false, "devel go1.28-abc": false} {
		if unsafeCompiler(v) != unsafe {
			t.Errorf("%s: %v", v, !unsafe)
		}
	}
}
