package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// app is a demo app in a process of its own.
type app struct {
	t       *testing.T
	address string
	release string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// startApp starts a release at an address; port 0 for any.
func startApp(t *testing.T, release, address string) *app {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, release: release, exited: make(chan struct{})}
	a.cmd = exec.Command(self, "-listen", address, "-release", release)
	a.cmd.Env = append(os.Environ(), asApp+"=1")
	a.cmd.Stderr = os.Stderr
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("app %s at %s: %v", release, address, err)
	}
	go a.reap()
	a.address = strings.TrimSpace(strings.TrimPrefix(line, "listening "))
	return a
}

func (a *app) reap() {
	a.cmd.Wait()
	close(a.exited)
}

// kill is kill -9, and returns when the process is gone.
func (a *app) kill() {
	a.cmd.Process.Kill()
	<-a.exited
}

// inside asks the app itself how much is inside of it.
func (a *app) inside() int {
	a.t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + a.address + "/inside")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var v struct{ Inside int }
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		a.t.Fatal(err)
	}
	return v.Inside
}
