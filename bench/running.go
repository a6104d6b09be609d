package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// running is a server that answers requests. Whoever started it stops it.
type running struct {
	*process
	url     string
	listens []string // host:port
	config  string   // text
}

// start runs s in a new folder below dir, on a free port, and returns when it answers GET / with 200. backends is nil for
// the backend itself.
func (s server) start(ctx context.Context, dir string, w work, cpus cpuList, backends []string) (*running, error) {
	r, err := s.launch(ctx, dir, w, cpus, backends)
	if err != nil {
		return nil, err
	}
	if err := r.awaitReady(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// launch is start that does not wait.
func (s server) launch(ctx context.Context, dir string, w work, cpus cpuList, backends []string) (*running, error) {
	at, err := s.place(dir, w, backends)
	if err != nil {
		return nil, err
	}
	config, path, err := s.configure(at)
	if err != nil {
		return nil, err
	}
	output := "output.log"
	if s.mute && !w.accessLog {
		output = os.DevNull
	}
	p, err := startProcess(s.name, at.Dir, output, cpus.pin(s.args(path)))
	if err != nil {
		return nil, err
	}
	r := &running{process: p, url: "http://" + at.Listen() + "/", listens: at.Listens, config: config}
	if err := s.tell(ctx, at, p); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// place makes a folder and finds ports.
func (s server) place(dir string, w work, backends []string) (site, error) {
	own, err := os.MkdirTemp(dir, s.name+"-")
	if err != nil {
		return site{}, err
	}
	// nginx's workers run as a user of their own and read what the backend serves.
	if err := os.Chmod(own, 0o755); err != nil {
		return site{}, err
	}
	free, err := freeAddresses(3)
	if err != nil {
		return site{}, err
	}
	listens := free[:1]
	if backends == nil {
		listens = addresses(free[0], w.backends)
	}
	at := siteFor(w, s, own, listens, backends)
	at.Spares = free[1:]
	return at, nil
}

// configure writes all files, and returns the text and the path of the first.
func (s server) configure(at site) (text, path string, err error) {
	if text, path, err = at.write(s.file, s.config); err != nil {
		return "", "", err
	}
	for name, config := range s.more {
		if _, _, err := at.write(name, config); err != nil {
			return "", "", err
		}
	}
	if at.Large && at.Backends == nil {
		err = writeLargeFile(filepath.Join(at.Dir, "www"))
	}
	return text, path, err
}

func (s site) write(name, config string) (text, path string, err error) {
	if text, err = s.render(config); err != nil {
		return "", "", err
	}
	path = filepath.Join(s.Dir, name)
	return text, path, os.WriteFile(path, []byte(text), 0o644)
}

func writeLargeFile(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "large"), make([]byte, 1<<20), 0o644)
}

// tell gives a server that has no file its orders, again and again until it listens for them.
func (s server) tell(ctx context.Context, at site, p *process) error {
	if s.deploy == "" {
		return nil
	}
	words, err := at.render(s.deploy)
	if err != nil {
		return err
	}
	for late := time.Now().Add(readyWithin); ; {
		cmd := exec.CommandContext(ctx, s.binary, strings.Fields(words)...)
		cmd.Dir, cmd.Env = at.Dir, ownEnv(at.Dir)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("telling %s what to do: %w: %s", s.name, err, tail(out))
		}
		select {
		case <-p.ended:
			return p.failure()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Ports are looked for below those that the kernel gives to whoever asks for any, or connects: between our look and the
// server's start it would give one of those to another program.
const firstPort, lastPort = 10_000, 30_000

// freeAddresses finds ports nobody listens on. They are free again when this returns, so use them at once.
func freeAddresses(n int) ([]string, error) {
	var found []string
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort)))
		if err != nil {
			continue
		}
		defer l.Close()
		if found = append(found, l.Addr().String()); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("no free port on 127.0.0.1 from %d to %d", firstPort, lastPort)
}

// readyWithin is how long a server may take from its start to its first 200: Sluice and HAProxy check the backend
// first, within seconds.
const readyWithin = 15 * time.Second
