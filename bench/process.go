package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program we started, in a process group of its own. stop ends the whole group.
type process struct {
	name  string
	pid   int // also the group's id
	log   string
	began time.Time
	ended chan struct{} // closed by wait, after err is set
	err   error
}

// startProcess runs args in dir with what it prints kept in the file output there. The caller must stop it.
func startProcess(name, dir, output string, args []string) (*process, error) {
	if !filepath.IsAbs(output) {
		output = filepath.Join(dir, output)
	}
	p := &process{name: name, log: output, ended: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, ownEnv(dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.began = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	go p.wait(cmd)
	return p, nil
}

func (p *process) wait(cmd *exec.Cmd) {
	p.err = cmd.Wait()
	close(p.ended)
}

// ownEnv is the environment of what runs in dir: it keeps its files there, and not with those of whoever runs us.
func ownEnv(dir string) []string {
	return append(plainEnv(os.Environ()), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
}

// plainEnv leaves out what tunes a Go program, so that Sluice runs as it would for anyone.
func plainEnv(env []string) []string {
	var plain []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG":
		default:
			plain = append(plain, e)
		}
	}
	return plain
}

// stop asks the group to end and, when it does not, ends it. It returns when the program is gone.
func (p *process) stop() {
	// Long enough for a program to tidy up; nothing is in flight when we stop one.
	const grace = 3 * time.Second
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	p.signal(syscall.SIGKILL) // also whoever outlived the group's leader
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	// The only likely error is that all of them are gone, which is what we want.
	_ = syscall.Kill(-p.pid, s)
}

// failure tells that the program ended by itself, and what it last printed.
func (p *process) failure() error {
	out, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s ended by itself (%v); it printed: %s", p.name, p.err, tail(out))
}

// awaitReady returns when the server answers GET / with 200.
func (r *running) awaitReady(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	late := time.After(readyWithin)
	var last error
	for {
		if last = get(ctx, client, r.url); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ended:
			return r.failure()
		case <-late:
			out, _ := os.ReadFile(r.log)
			return fmt.Errorf("%s did not answer within %v: %w; it printed: %s", r.name, readyWithin, last, tail(out))
		case <-time.After(20 * time.Millisecond): // often enough not to be noticed in a run
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<20)); err != nil { // our largest body is 1 MiB
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// raiseFileLimit lets us and what we start open as many files as the machine allows us: 2000 connections of wrk
// are 4000 of a proxy. Setting it by hand is what makes programs we start inherit it.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	return nil
}
