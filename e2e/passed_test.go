package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unit does what systemd does for a socket unit and a service of Type=notify: it holds the socket, starts Sluice with it,
// and waits until that says that it is ready.
type unit struct {
	*sluice
	socket *os.File
	notify *net.UnixConn
}

func newUnit(t *testing.T, services string) *unit {
	t.Helper()
	u := &unit{sluice: newSluice(t, services)}
	l, err := net.Listen("tcp", u.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if u.socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	u.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(u.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.notify.Close(); u.socket.Close() })
	return u
}

// up starts the service. The shell becomes Sluice, so that LISTEN_PID is its own.
func (u *unit) up() {
	u.t.Helper()
	u.out = &lockedBuffer{}
	u.cmd = exec.Command("sh", "-c", `export LISTEN_PID=$$; exec "$0" run --config "$1"`, u.bin, u.configFile())
	u.cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=http", "NOTIFY_SOCKET="+u.notify.LocalAddr().String(), "WATCHDOG_USEC=2000000")
	u.cmd.ExtraFiles = []*os.File{u.socket}
	u.cmd.Stdout, u.cmd.Stderr = u.out, u.out
	if err := u.cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	u.exited = make(chan struct{})
	go u.reap(u.cmd, u.exited)
	u.hear(fmt.Sprintf("READY=1\nMAINPID=%d\n", u.cmd.Process.Pid))
}

func (u *unit) hear(what string) {
	u.t.Helper()
	u.notify.SetReadDeadline(time.Now().Add(15 * time.Second))
	buf := make([]byte, 4096)
	for {
		n, err := u.notify.Read(buf)
		if err != nil {
			u.t.Fatalf("%q was not said: %v\n%s", what, err, u.out)
		}
		if strings.Contains(string(buf[:n]), what) {
			return
		}
	}
}

// TestRestartWithAHeldSocket: a service that is restarted, over and over, loses nothing. Then it is killed: what was inside
// is lost with it, and still nobody is refused.
func TestRestartWithAHeldSocket(t *testing.T) {
	t.Parallel()
	a := startApp(t, "v1", "127.0.0.1:0")
	u := newUnit(t, singlePool(a.address)+"shutdown: {grace: 500ms}\n")
	u.up()
	u.awaitRelease("v1")
	u.hear("WATCHDOG=1")
	traffic := u.load()
	for range 2 {
		time.Sleep(500 * time.Millisecond)
		u.cmd.Process.Signal(syscall.SIGTERM)
		u.hear("STOPPING=1")
		if code := u.waitExit(15 * time.Second); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		u.up()
	}
	time.Sleep(500 * time.Millisecond)
	if lost := u.report(traffic.Count(), traffic); lost > 0 {
		t.Errorf("%d lost in restarts", lost)
	}
	u.kill()
	time.Sleep(200 * time.Millisecond)
	u.up()
	u.awaitRelease("v1")
	traffic.Stop()
	for _, r := range traffic.Lost() {
		if strings.Contains(r.Err.Error(), "refused") {
			t.Errorf("refused: %s %s: %v", r.Class, r.RequestID, r.Err)
		}
	}
	t.Logf("%d were inside when it was killed", len(traffic.Lost()))
}

// TestPassedSocketsThatNobodyServes: a unit with one address too many is told so, and Sluice does not start.
func TestPassedSocketsThatNobodyServes(t *testing.T) {
	t.Parallel()
	u := newUnit(t, singlePool("127.0.0.1:1"))
	text, err := os.ReadFile(u.configFile())
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), u.listen, freePort(t), 1)
	if err := os.WriteFile(u.configFile(), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `export LISTEN_PID=$$; exec "$0" run --config "$1"`, u.bin, u.configFile())
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=sluice.socket")
	cmd.ExtraFiles = []*os.File{u.socket}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `"sluice.socket"`) || !strings.Contains(string(out), "write http://"+u.listen) {
		t.Errorf("%v: %s", err, out)
	}
}
