package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// sluice is a running Sluice and how to talk to it.
type sluice struct {
	t      *testing.T
	dir    string // config, state and admin socket
	listen string // host:port of its listener
	bin    string
	cmd    *exec.Cmd
	out    *lockedBuffer
	exited chan struct{}
	admin  *http.Client
}

// lockedBuffer takes a process's output while a test reads it.
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

// freePort finds a port that nothing listens on now. It is none of those that the kernel gives to outgoing connections: one
// of them would take it before a process that is started with it can.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.N(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// newSluice lays out a directory with a configuration; LISTEN in services stands for nothing else. It does not start it.
func newSluice(t *testing.T, services string) *sluice {
	t.Helper()
	s := &sluice{t: t, dir: t.TempDir(), bin: binary, listen: freePort(t)}
	s.configure(services)
	socket := s.socket()
	s.admin = &http.Client{Timeout: 90 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	t.Cleanup(func() {
		s.admin.CloseIdleConnections()
		s.kill()
		if s.out != nil && strings.Contains(s.out.String(), "DATA RACE") {
			t.Errorf("the race detector spoke up:\n%s", tail(s.out.String(), 6000))
		}
		if t.Failed() && s.out != nil {
			t.Logf("sluice said:\n%s", tail(s.out.String(), 6000))
		}
	})
	return s
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func (s *sluice) socket() string     { return filepath.Join(s.dir, "admin.sock") }
func (s *sluice) configFile() string { return filepath.Join(s.dir, "sluice.yaml") }
func (s *sluice) stateDir() string   { return filepath.Join(s.dir, "state") }

func (s *sluice) configure(services string) {
	text := fmt.Sprintf("listen: http://%s\nadmin: unix://%s\nstate: %s\naccess_log: %s\n%s",
		s.listen, s.socket(), s.stateDir(), filepath.Join(s.dir, "access.log"), services)
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs `sluice run` and waits until it answers.
func (s *sluice) start() *sluice {
	s.t.Helper()
	s.launch()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if res, err := s.admin.Get("http://sluice/healthz"); err == nil {
			res.Body.Close()
			return s
		}
		select {
		case <-s.exited:
			s.t.Fatalf("sluice ended: %s", s.out)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatal("sluice does not answer")
		}
	}
}

func (s *sluice) launch() {
	s.t.Helper()
	s.out = &lockedBuffer{}
	s.cmd = exec.Command(s.bin, "run", "--config", s.configFile())
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go s.reap(s.cmd, s.exited)
}

func (s *sluice) reap(cmd *exec.Cmd, exited chan struct{}) {
	cmd.Wait()
	close(exited)
}

// kill is kill -9.
func (s *sluice) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	<-s.exited
}

// waitExit waits for the process's own end and returns its exit code.
func (s *sluice) waitExit(within time.Duration) int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(within):
		s.t.Fatalf("sluice did not end within %s", within)
	}
	return s.cmd.ProcessState.ExitCode()
}

// cli runs a command against it and returns its output and exit code.
func (s *sluice) cli(args ...string) (string, int) {
	s.t.Helper()
	return runCLI(s.t, append(args, "--admin", "unix://"+s.socket())...)
}

func runCLI(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("sluice %v: %v", args, err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// must is cli that has to succeed.
func (s *sluice) must(args ...string) string {
	s.t.Helper()
	out, code := s.cli(args...)
	if code != 0 {
		s.t.Fatalf("sluice %s: exit %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// post calls the API and returns the status and the answer.
func (s *sluice) post(path string) (int, map[string]any) {
	s.t.Helper()
	res, err := s.admin.Post("http://sluice"+path, "", nil)
	if err != nil {
		s.t.Fatalf("POST %s: %v", path, err)
	}
	return res.StatusCode, s.decode(res)
}

func (s *sluice) get(path string) (int, map[string]any) {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice" + path)
	if err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
	return res.StatusCode, s.decode(res)
}

func (s *sluice) decode(res *http.Response) map[string]any {
	s.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		s.t.Fatalf("%d %s: %v", res.StatusCode, body, err)
	}
	return v
}

// fetch asks through the proxy, once, on a connection of its own.
func (s *sluice) fetch(path string) (int, string, http.Header) {
	s.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + s.listen + path)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body), res.Header
}

// awaitRelease waits until the proxy answers from a release.
func (s *sluice) awaitRelease(release string) {
	s.t.Helper()
	s.await("release "+release+" answers", func() bool {
		status, _, header := s.fetch("/bytes/10")
		return status == 200 && header.Get("X-Release") == release
	})
}

func (s *sluice) await(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: did not come about", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
