package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// server is a program that can be started with a configuration: a peer, or the backend behind them.
type server struct {
	name   string
	file   string                       // what its configuration file is called
	config string                       // template
	args   func(config string) []string // the command that runs it in the foreground
}

// peers are the proxies that can be measured; sluice is the path of its binary.
func peers(sluice string) []server {
	return []server{
		{name: "sluice", file: "sluice.yaml", config: sluiceProxy, args: func(c string) []string { return []string{sluice, "run", "--config", c} }},
		{name: "nginx", file: "nginx.conf", config: nginxProxy, args: nginxArgs},
		{name: "haproxy", file: "haproxy.cfg", config: haproxyProxy, args: haproxyArgs},
	}
}

// nginxArgs also sets the error log, which nginx would else open at its built-in place before it reads the file.
func nginxArgs(config string) []string { return []string{"nginx", "-e", "stderr", "-c", config} }

// haproxyArgs keeps HAProxy to one process in the foreground (-db): a master would cost it nothing but memory.
func haproxyArgs(config string) []string { return []string{"haproxy", "-db", "-f", config} }

// knownPeer asks by name only, so the binary's path does not matter.
func knownPeer(name string) bool {
	_, ok := findPeer("", name)
	return ok
}

func findPeer(sluice, name string) (server, bool) {
	for _, p := range peers(sluice) {
		if p.name == name {
			return p, true
		}
	}
	return server{}, false
}

// backendFor is the server that stands behind every peer in w.
func backendFor(w work) server {
	if w.backend == sink {
		return server{name: "backend", file: "haproxy.cfg", config: haproxySink, args: haproxyArgs}
	}
	return server{name: "backend", file: "nginx.conf", config: nginxBackend, args: nginxArgs}
}

// running is a server that answers requests. Whoever started it stops it.
type running struct {
	*process
	url    string
	listen string // host:port
	config string // text
	cpus   cpuList
}

// start runs s in a new folder below dir, on a free port, and returns when it answers GET / with 200.
func (s server) start(ctx context.Context, dir string, w work, cpus cpuList, backend string) (*running, error) {
	own, err := os.MkdirTemp(dir, s.name+"-")
	if err != nil {
		return nil, err
	}
	// nginx's workers run as a user of their own and read what the backend serves.
	if err := os.Chmod(own, 0o755); err != nil {
		return nil, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config, path, err := s.configure(own, siteFor(w, own, listen, backend))
	if err != nil {
		return nil, err
	}
	p, err := startProcess(s.name, own, cpus.pin(s.args(path)))
	if err != nil {
		return nil, err
	}
	r := &running{process: p, url: "http://" + listen + "/", listen: listen, config: config, cpus: cpus}
	if err := r.awaitReady(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// siteFor is the site of a peer, or of the backend itself when backend is "".
func siteFor(w work, dir, listen, backend string) site {
	s := site{
		Listen: listen, Backend: backend, Dir: dir, Threads: w.proxyCPUs,
		Connections: w.connections, Large: w.backend == largeBody,
	}
	if backend == "" {
		s.Threads = 1 // one core is enough for a backend this small, and a second worker would only add noise
	}
	if w.accessLog && backend != "" {
		s.AccessLog = filepath.Join(dir, "access.log")
	}
	return s
}

func (s server) configure(dir string, at site) (text, path string, err error) {
	if text, err = at.render(s.config); err != nil {
		return "", "", err
	}
	if at.Large && at.Backend == "" {
		if err = writeLargeFile(filepath.Join(dir, "www")); err != nil {
			return "", "", err
		}
	}
	path = filepath.Join(dir, s.file)
	return text, path, os.WriteFile(path, []byte(text), 0o644)
}

func writeLargeFile(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "large"), make([]byte, 1<<20), 0o644)
}

// freeAddress finds a port nobody listens on. It is free again when this returns, so use it at once.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// readyWithin is how long a server may take from its start to its first 200: Sluice and HAProxy check the backend
// first, within seconds.
const readyWithin = 15 * time.Second
