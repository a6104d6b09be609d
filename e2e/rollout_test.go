package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// restartScript ends the app at SLUICE_BACKEND abruptly and starts SLUICE_RELEASE there. With a file named fail-PORT it fails
// between the two, and with one named hold-PORT it waits. Each run is written down.
//
// A process is gone when nothing holds its port any more: when the last of its threads has ended, reaped by somebody or not.
const restartScript = `set -eu
cd "$FARM"
gone() {
  [ ! -e "/proc/$1" ] || { [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -le 1 ] && grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
}
echo "$SLUICE_SERVICE $SLUICE_POOL $SLUICE_HOST:$SLUICE_PORT $SLUICE_RELEASE" >>runs
if [ -e "$SLUICE_PORT.pid" ]; then
  pid=$(cat "$SLUICE_PORT.pid")
  kill -9 "$pid" 2>/dev/null || true
  until gone "$pid"; do sleep 0.02; done
fi
while [ -e "hold-$SLUICE_PORT" ]; do sleep 0.02; done
if [ -e "fail-$SLUICE_PORT" ]; then exit 7; fi
` + asApp + `=1 "$APP" -listen "$SLUICE_BACKEND" -release "${AS:-$SLUICE_RELEASE}" >/dev/null 2>&1 </dev/null &
echo $! >"$SLUICE_PORT.pid"
`

// farm is some apps that a script restarts.
type farm struct {
	t         *testing.T
	dir       string
	addresses []string
}

func newFarm(t *testing.T, n int) *farm {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{t: t, dir: t.TempDir()}
	t.Setenv("FARM", f.dir)
	t.Setenv("APP", self)
	f.write("restart.sh", restartScript)
	t.Cleanup(f.end)
	for range n {
		address := freePort(t)
		f.addresses = append(f.addresses, address)
		cmd := exec.Command("sh", f.path("restart.sh"))
		cmd.Env = append(os.Environ(), "SLUICE_SERVICE=", "SLUICE_POOL=", "SLUICE_HOST=", "SLUICE_BACKEND="+address, "SLUICE_PORT="+portOfApp(address), "SLUICE_RELEASE=v1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return f
}

func portOfApp(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func (f *farm) path(name string) string { return filepath.Join(f.dir, name) }

func (f *farm) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *farm) remove(name string) {
	f.t.Helper()
	if err := os.Remove(f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// end ends the apps by the ids that the script wrote down.
func (f *farm) end() {
	files, _ := filepath.Glob(f.path("*.pid"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// command is what --exec is given.
func (f *farm) command() string { return "sh " + f.path("restart.sh") }

// runs are the releases that the script was run with for a backend since the farm was laid out.
func (f *farm) runs(address string) (all []string) {
	text, _ := os.ReadFile(f.path("runs"))
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "web main "+address+" "); ok {
			all = append(all, rest)
		}
	}
	return all
}

func (f *farm) config() string {
	return fmt.Sprintf("services:\n  web:\n    pools:\n      main: [%s]\n    health: {path: /health, interval: 500ms, fast_interval: 50ms, timeout: 400ms}\n%s",
		strings.Join(f.addresses, ", "), quickDrains)
}

// serving is a Sluice in front of the farm with all of it up.
func (f *farm) serving() *sluice {
	s := newSluice(f.t, f.config()).start()
	s.await("all are up", func() bool { return s.releases(f) == strings.Repeat("ready v1 ", len(f.addresses)) })
	return s
}

// releases is what status says of each backend, in the order of the file: "ready v1 drain - ".
func (s *sluice) releases(f *farm) (text string) {
	for _, a := range f.addresses {
		b := s.backend(a)
		release := "-"
		if b["health"] == "up" {
			release, _ = b["release"].(string)
		}
		text += fmt.Sprintf("%s %s ", b["admin"], release)
	}
	return text
}

// startCLI starts a command that is not waited for.
func (s *sluice) startCLI(args ...string) *background {
	s.t.Helper()
	b := &background{t: s.t, out: &lockedBuffer{}, ended: make(chan struct{})}
	b.cmd = exec.Command(binary, append(args, "--admin", "unix://"+s.socket())...)
	b.cmd.Stdout, b.cmd.Stderr = b.out, b.out
	b.cmd.WaitDelay = 100 * time.Millisecond // what it ran may outlive it, and has its output
	if err := b.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go b.wait()
	s.t.Cleanup(b.kill)
	return b
}

// background is a command that runs.
type background struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *lockedBuffer
	ended chan struct{}
}

func (b *background) wait() {
	b.cmd.Wait()
	close(b.ended)
}

func (b *background) kill() {
	b.cmd.Process.Kill()
	<-b.ended
}

func (b *background) exit() int {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(60 * time.Second):
		b.t.Fatalf("did not end: %s", b.out)
	}
	return b.cmd.ProcessState.ExitCode()
}

// rolloutOf is the record of the latest rollout.
func (s *sluice) rolloutOf() (id, status string, steps string) {
	_, doc := s.get("/v1/services/web/rollout")
	for _, b := range doc["backends"].([]any) {
		steps += b.(map[string]any)["step"].(string) + " "
	}
	return doc["id"].(string), doc["status"].(string), steps
}

// TestRolloutLosesNothing brings v2 to three apps that the command ends abruptly; fails in the middle of v3 and goes on; and is told
// of an app that answers as something else.
func TestRolloutLosesNothing(t *testing.T) {
	f := newFarm(t, 3)
	s := f.serving()
	traffic := s.load()
	t.Log(s.must("rollout", "web", "--release", "v2", "--exec", f.command(), "--note", "build 7"))
	if got := s.releases(f); got != "ready v2 ready v2 ready v2 " {
		t.Errorf("after the rollout: %s", got)
	}
	for _, a := range f.addresses {
		if got := fmt.Sprint(f.runs(a)); got != "[v2]" {
			t.Errorf("the command ran at %s for %s", a, got)
		}
	}

	f.write("fail-"+portOfApp(f.addresses[1]), "")
	out, code := s.cli("rollout", "web", "--release", "v3", "--exec", f.command(), "--timeout", "20s")
	id, status, steps := s.rolloutOf()
	if code != 1 || status != "stopped" || steps != "done failed waiting " || !strings.Contains(out, "--resume "+id) || !strings.Contains(out, "exit status 7") {
		t.Errorf("exit %d, %s: %s\n%s", code, status, steps, out)
	}
	s.await("one is new, one is down, one is old", func() bool { return s.releases(f) == "ready v3 drain - ready v2 " })
	f.remove("fail-" + portOfApp(f.addresses[1]))
	t.Log(s.must("rollout", "web", "--resume", id, "--exec", f.command()))
	if got := s.releases(f); got != "ready v3 ready v3 ready v3 " {
		t.Errorf("after the resume: %s", got)
	}

	out, code = s.cli("rollout", "web", "--release", "v4", "--exec", "AS=v9 "+f.command())
	if code != 1 || !strings.Contains(out, "wrong build: reports v9, v4 is expected") {
		t.Errorf("exit %d: %s", code, out)
	}
	if got := s.releases(f); got != "drain v9 ready v3 ready v3 " {
		t.Errorf("after a wrong release: %s", got)
	}
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	for _, c := range counts.Classes {
		if c.Release == "v9" {
			t.Error("somebody was answered by v9, which nobody asked for")
		}
	}
	history := s.must("history", "web")
	for _, want := range []string{"begins: 3 of main to v2", "drain → exec", "is done", "build 7", "is resumed by"} {
		if !strings.Contains(history, want) {
			t.Errorf("the history lacks %q:\n%s", want, history)
		}
	}
}

// TestRolloutOutlivesWhoeverCarriesIt kills the command in the middle of a backend, and then Sluice below the one that resumed it.
func TestRolloutOutlivesWhoeverCarriesIt(t *testing.T) {
	f := newFarm(t, 3)
	s := f.serving()
	traffic := s.load()
	second := "hold-" + portOfApp(f.addresses[1])
	f.write(second, "")
	first := s.startCLI("rollout", "web", "--release", "v2", "--exec", f.command(), "--lease", "1s")
	s.await("the second is in hand", func() bool { return len(f.runs(f.addresses[1])) == 1 })
	id, _, _ := s.rolloutOf()

	out, code := s.cli("rollout", "web", "--release", "v3", "--exec", f.command())
	if code != 1 || !strings.Contains(out, "rollout "+id+" of web goes on since") {
		t.Errorf("two at once: exit %d: %s", code, out)
	}
	first.kill()
	f.remove(second)
	s.await("its command has ended", func() bool { _, err := os.Stat(f.path(portOfApp(f.addresses[1]) + ".pid")); return err == nil })
	s.await("it is known to be gone", func() bool { _, doc := s.get("/v1/services/web/rollout"); return doc["alive"] == false })
	out, code = s.cli("rollout", "web", "--release", "v3", "--exec", f.command())
	if code != 1 || !strings.Contains(out, "its command is gone") {
		t.Errorf("beside one whose command is gone: exit %d: %s", code, out)
	}

	third := "hold-" + portOfApp(f.addresses[2])
	f.write(third, "")
	next := s.startCLI("rollout", "web", "--resume", id, "--exec", f.command(), "--json")
	s.await("the third is in hand", func() bool { return len(f.runs(f.addresses[2])) == 1 })
	if lost := s.report(traffic.Stop(), traffic); lost != 0 { // while Sluice itself is down nobody is served
		t.Errorf("%d lost", lost)
	}
	s.kill()
	s.start()
	traffic = s.load()
	time.Sleep(1500 * time.Millisecond)
	f.remove(third)
	if code := next.exit(); code != 0 {
		t.Errorf("exit %d: %s", code, next.out)
	}
	if got := s.releases(f); got != "ready v2 ready v2 ready v2 " {
		t.Errorf("in the end: %s", got)
	}
	if got := fmt.Sprint(f.runs(f.addresses[0]), f.runs(f.addresses[1]), f.runs(f.addresses[2])); got != "[v2] [v2 v2] [v2]" {
		t.Errorf("the command ran for %s", got)
	}
	if lost := s.report(traffic.Stop(), traffic); lost != 0 {
		t.Errorf("%d lost after the restart", lost)
	}
	lines := strings.Split(strings.TrimSpace(next.out.String()), "\n")
	var last struct{ Rollout struct{ Status string } }
	if err := json.NewDecoder(bytes.NewReader([]byte(lines[len(lines)-1]))).Decode(&last); err != nil || last.Rollout.Status != "done" {
		t.Errorf("the last line is %s: %v", lines[len(lines)-1], err)
	}
}

// TestRolloutReverts brings the former release back to all that was updated, two at a time.
func TestRolloutReverts(t *testing.T) {
	f := newFarm(t, 4)
	s := f.serving()
	traffic := s.load()
	f.write("bad.sh", `[ "$SLUICE_RELEASE $SLUICE_BACKEND" != "v2 `+f.addresses[3]+`" ] || exit 9; exec `+f.command())
	out, code := s.cli("rollout", "web", "--release", "v2", "--batch", "2", "--on-failure", "revert", "--exec", "sh "+f.path("bad.sh"))
	_, status, steps := s.rolloutOf()
	if code != 1 || status != "reverted" || steps != "reverted reverted reverted reverted " {
		t.Errorf("exit %d, %s: %s\n%s", code, status, steps, out)
	}
	if got := s.releases(f); got != "ready v1 ready v1 ready v1 ready v1 " {
		t.Errorf("in the end: %s", got)
	}
	if lost := s.report(traffic.Stop(), traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
}

// TestInterruptedRollout: Ctrl-C while the command runs finishes that backend, and stops before the next.
func TestInterruptedRollout(t *testing.T) {
	f := newFarm(t, 2)
	s := f.serving()
	hold := "hold-" + portOfApp(f.addresses[0])
	f.write(hold, "")
	cli := s.startCLI("rollout", "web", "--release", "v2", "--exec", f.command())
	s.await("the first is in hand", func() bool { return len(f.runs(f.addresses[0])) == 1 })
	cli.cmd.Process.Signal(os.Interrupt)
	s.await("it has heard", func() bool { return strings.Contains(cli.out.String(), "interrupted") })
	f.remove(hold)
	code := cli.exit()
	id, status, steps := s.rolloutOf()
	if code != 1 || status != "stopped" || steps != "done waiting " || !strings.Contains(cli.out.String(), "--resume "+id) {
		t.Errorf("exit %d, %s: %s\n%s", code, status, steps, cli.out)
	}
	if got := s.releases(f); got != "ready v2 ready v1 " {
		t.Errorf("after the interrupt: %s", got)
	}
	s.must("rollout", "web", "--abort", id)
	if out, code := s.cli("rollout", "web", "--resume", id, "--exec", f.command()); code != 1 || !strings.Contains(out, "nothing to resume") {
		t.Errorf("resume of an aborted one: exit %d: %s", code, out)
	}
}
