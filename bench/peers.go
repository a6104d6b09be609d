package main

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// server is a program that can be started with a configuration: a peer, or the backend behind them.
type server struct {
	name   string
	file   string                       // what its configuration file is called
	config string                       // template
	more   map[string]string            // further files, by name: templates
	args   func(config string) []string // the command that runs it in the foreground
	deploy string                       // template: the words, one a line, by which it is told what to do once it runs; "": its file says it all
	binary string                       // that takes these words, and that says its version

	splices bool // it is measured only where that may help
	goPeer  bool // it is written in Go, and measured only in some works
	noID    bool // it cannot give a request an X-Request-Id
	mute    bool // what it prints is dropped, except where the work wants a log: it cannot be told not to log
}

// peers are the proxies that can be measured, with the binaries that are known by their names.
func peers(binaries map[string]string) []server {
	at := func(name string) string { return binaries[name] }
	return []server{
		{name: "sluice", file: "sluice.yaml", config: sluiceProxy, binary: at("sluice"),
			args: func(c string) []string { return []string{at("sluice"), "run", "--config", c} }},
		{name: "nginx", file: "nginx.conf", config: nginxProxy, binary: "nginx", args: nginxArgs},
		haproxy("haproxy", false),
		haproxy("haproxy-splice", true),
		{name: "caddy", file: "Caddyfile", config: caddyProxy, binary: "caddy", goPeer: true,
			args: func(c string) []string { return []string{"caddy", "run", "--adapter", "caddyfile", "--config", c} }},
		{name: "traefik", file: "traefik.yaml", config: traefikStatic, more: map[string]string{"routes.yaml": traefikRoutes}, binary: at("traefik"),
			args: func(c string) []string { return []string{at("traefik"), "--configFile=" + c} }, goPeer: true, noID: true},
		{name: "kamal-proxy", file: "words", config: kamalProxy, deploy: kamalDeploy, binary: at("kamal-proxy"),
			args: func(c string) []string { return []string{"sh", "-c", `exec "$0" $(cat "$1")`, at("kamal-proxy"), c} }, goPeer: true, mute: true},
	}
}

func haproxy(name string, splices bool) server {
	return server{name: name, file: "haproxy.cfg", config: haproxyProxy, more: map[string]string{"hosts.map": haproxyHosts},
		binary: "haproxy", args: haproxyArgs, splices: splices}
}

// nginxArgs also sets the error log, which nginx would else open at its built-in place before it reads the file.
func nginxArgs(config string) []string { return []string{"nginx", "-e", "stderr", "-c", config} }

// haproxyArgs keeps HAProxy to one process in the foreground (-db): a master would cost it nothing but memory.
func haproxyArgs(config string) []string { return []string{"haproxy", "-db", "-f", config} }

// usual are the peers of a run that names none; those given a binary, and all that can be found, come with "all".
const usual = "sluice,nginx,haproxy,haproxy-splice"

// peerNames reads the list of the command line.
func peerNames(list string, o options) []string {
	if list != "all" {
		return strings.Split(list, ",")
	}
	names := append(strings.Split(usual, ","), "caddy")
	binaries := o.goBinaries()
	for _, name := range slices.Sorted(maps.Keys(binaries)) {
		// A path that was given and is wrong must be told of, not left out.
		if _, err := exec.LookPath(binaries[name]); err == nil || binaries[name] != name {
			names = append(names, name)
		}
	}
	return names
}

func findPeer(binaries map[string]string, name string) (server, bool) {
	for _, p := range peers(binaries) {
		if p.name == name {
			return p, true
		}
	}
	return server{}, false
}

// measures tells whether p has a place in w.
func (w work) measures(p server) bool {
	switch {
	case p.splices:
		return w.backend == largeBody
	case p.goPeer:
		// One that has to be told what to do after its start says nothing about starting.
		return w.goPeers && (p.deploy == "" || w.figure.unit != starting.unit)
	}
	return true
}

// backendFor is the server that stands behind every peer in w.
func backendFor(w work) server {
	if w.backend == sink {
		return server{name: "backend", file: "haproxy.cfg", config: haproxySink, args: haproxyArgs}
	}
	return server{name: "backend", file: "nginx.conf", config: nginxBackend, args: nginxArgs}
}
