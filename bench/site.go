package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/template"
)

// site is what a configuration is made from. Every peer's configuration sets the same fields on a request
// (Host kept, X-Forwarded-For, X-Forwarded-Proto, X-Request-Id) and keeps its connections to the backend.
type site struct {
	Listens     []string // host:port this server listens on; all but a backend of many addresses have one
	Backends    []string // host:port it forwards to
	Services    []service
	Dir         string   // a folder of its own
	Spares      []string // free host:ports, for who cannot do without further ones
	Threads     int      // workers or threads
	Connections int      // how many the load opens
	AccessLog   string   // a file, or "" for none
	Large       bool     // responses are far larger than one buffer
	Splice      bool     // bodies may be moved within the kernel
}

// service is a name and its hosts; none: any host.
type service struct {
	Name  string
	Hosts []string
}

// mostServices is how many services the hosts of a work are spread over: enough that the proxy has to choose, few enough
// that their health checks do not become the work.
const mostServices = 100

// hostDomain ends in a name that is kept for tests (RFC 2606 §2).
const hostDomain = ".bench.test"

// servicesFor has one service for any host, and so many hosts besides, in turn over the other services.
func servicesFor(hosts int) []service {
	list := []service{{Name: "web"}}
	for i := range min(hosts, mostServices) {
		s := service{Name: fmt.Sprintf("web%d", i+1)}
		for n := i + 1; n <= hosts; n += mostServices {
			s.Hosts = append(s.Hosts, fmt.Sprintf("h%d%s", n, hostDomain))
		}
		list = append(list, s)
	}
	return list
}

// Listen is the address, of which all but a large backend have one.
func (s site) Listen() string { return s.Listens[0] }

// KeepAlive is how many connections to backends are worth keeping.
func (s site) KeepAlive() int { return s.Connections + len(s.Backends) }

// MaxConnections is above what the load opens.
func (s site) MaxConnections() int { return max(4096, s.Connections+1000) }

// Port is the port of an address.
func (s site) Port(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

// siteFor is the site of a peer, or of the backend itself when backends is nil.
func siteFor(w work, p server, dir string, listens, backends []string) site {
	s := site{
		Listens: listens, Backends: backends, Dir: dir, Threads: w.proxyCPUs, Services: servicesFor(w.hosts),
		Connections: w.connections, Large: w.backend == largeBody, Splice: p.splices,
	}
	if backends == nil {
		s.Threads = 1 // one core is enough for a backend this small, and a second worker would only add noise
	}
	if w.accessLog && backends != nil {
		s.AccessLog = filepath.Join(dir, "access.log")
	}
	return s
}

func (s site) render(text string) (string, error) {
	t, err := template.New("config").Funcs(template.FuncMap{"join": strings.Join}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("our template: %w", err)
	}
	var out strings.Builder
	if err := t.Execute(&out, s); err != nil {
		return "", fmt.Errorf("our template: %w", err)
	}
	return out.String(), nil
}

// addresses are n addresses of this machine's loopback with the port of the first: backends that differ in nothing else.
func addresses(first string, n int) []string {
	host, port, _ := strings.Cut(first, ":")
	list := []string{host + ":" + port}
	for i := 1; i < n; i++ {
		list = append(list, fmt.Sprintf("127.1.%d.%d:%s", i/250, i%250+1, port))
	}
	return list
}
