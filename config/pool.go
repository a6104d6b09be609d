package config

import (
	"net"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	maxWeight      = 1000 // a share of one in a thousand is finer than anyone steers by hand
	maxConnections = 1_000_000
)

func (v value) readPools(to *[]Pool, limit int, releases *[]value) {
	v.mapping("write pools: {blue: [10.0.0.1:3000], green: [10.0.0.2:3000]}", func(_ string, field value) {
		if field.properName("a pool") {
			*to = append(*to, field.pool(limit, releases))
		}
	})
}

// pool reads a list of backends, or a mapping that has one. Releases that are expected are noted, to be looked at again.
func (v value) pool(limit int, releases *[]value) Pool {
	p := Pool{Name: v.name, MaxConnections: limit}
	if v.node.Kind != yaml.MappingNode {
		v.backendList(&p)
		return p
	}
	var backends, root *value
	ok := v.object("write "+v.name+": {backends: [10.0.0.1:3000]}", fields{
		"backends":        func(v value) { backends = &v },
		"root":            func(v value) { root = &v },
		"max_connections": wholeField(&p.MaxConnections, 0, maxConnections),
		"preview":         func(v value) { p.Preview = v.poolPreview(p.Name) },
		"release":         func(v value) { *releases = append(*releases, v); v.poolRelease(&p.Release) },
	})
	switch {
	case root != nil && backends != nil:
		root.refuseKey("keep one of the two", "pool %s has `backends` and `root`: it is servers or a folder", show(v.name))
	case root != nil:
		root.root(&p)
	case backends != nil:
		backends.backendList(&p)
	case ok:
		v.refuseKey("add backends: [10.0.0.1:3000], or root: /var/www/site", "pool %s has neither `backends` nor `root`", show(v.name))
	}
	return p
}

func (v value) backendList(p *Pool) {
	lines := map[string]int{}
	for _, item := range v.list("write " + v.name + ": [10.0.0.1:3000, 10.0.0.2:3000]") {
		b, ok := item.backend(p.MaxConnections)
		if !ok {
			continue
		}
		if line := lines[b.Address]; line > 0 {
			item.refuse("keep one of the two; to give it a larger share, use weight", "%s is in pool %s twice, first on line %d", show(b.Address), show(p.Name), line)
			continue
		}
		lines[b.Address] = item.node.Line
		p.Backends = append(p.Backends, b)
	}
	for _, b := range p.Backends {
		if b.Weight > 0 {
			return
		}
	}
	if len(p.Backends) > 0 {
		v.refuse("give at least one a weight of 1 or more", "pool %s could never serve: each backend has weight 0", show(p.Name))
	}
}

// backend reads an address, or a mapping that has one.
func (v value) backend(limit int) (Backend, bool) {
	b := Backend{Weight: defaultWeight, MaxConnections: limit}
	if v.node.Kind != yaml.MappingNode {
		v.address(&b)
		return b, b.Address != ""
	}
	var weight, port *value
	ok := v.object("write {address: 10.0.0.1:3000, weight: 2}", fields{
		"address":         func(v value) { v.address(&b) },
		"weight":          func(v value) { weight = &v; v.whole(&b.Weight, 0, maxWeight) },
		"max_connections": wholeField(&b.MaxConnections, 0, maxConnections),
		"health_port":     func(v value) { port = &v; v.whole(&b.HealthPort, 1, maxPort) },
	})
	if port != nil && b.Network == "unix" {
		port.refuseKey("remove it; a unix socket is checked where it is", "a unix socket has no port")
	}
	if ok && !hasKey(v, "address") {
		v.refuse("write {address: 10.0.0.1:3000, weight: 2}", "a backend has no `address`")
	}
	if weight != nil && b.Name.Service {
		weight.refuseKey("leave it out", "SRV records say the weights of %s themselves", show(b.Address))
	}
	return b, b.Address != ""
}

// address fills in where a backend is. The address stays empty when it is refused.
func (v value) address(b *Backend) {
	text, ok := v.text()
	if !ok {
		return
	}
	if strings.HasPrefix(text, unixScheme) || strings.HasPrefix(text, "/") {
		v.socket(text, b)
		return
	}
	if strings.HasPrefix(text, serviceScheme) {
		v.serviceRecords(text, b)
		return
	}
	if scheme, rest, found := strings.Cut(text, "://"); found && scheme != "http" {
		v.refuseScheme(scheme, rest)
		return
	}
	host, port, problem := splitAddress(strings.TrimSuffix(strings.TrimPrefix(text, "http://"), "/"), false)
	if problem != "" {
		v.refuse(addressFix(text), "%s is no address of a backend: %s", show(text), problem)
		return
	}
	b.Network, b.Dial = "tcp", net.JoinHostPort(host, strconv.Itoa(port))
	b.Address = b.Dial
	if isName(host) {
		b.Name = Name{Host: host, Port: port}
	}
}

func (v value) socket(text string, b *Backend) {
	socket, problem := socketPath(text)
	if problem != "" {
		v.refuse("write unix:///run/app.sock", "%s is no address of a backend: %s", show(text), problem)
		return
	}
	b.Network, b.Dial, b.Address = "unix", socket, unixScheme+"//"+socket
}

func (v value) refuseScheme(scheme, rest string) {
	if scheme == "https" {
		v.refuse("use the plain port of the app, as http://10.0.0.1:3000", "https to a backend is not in this version of Sluice")
		return
	}
	v.refuse("write http://10.0.0.1:3000, 10.0.0.1:3000 or unix:///run/app.sock", "a backend cannot be spoken to by %s", show(scheme))
}

// addressFix guesses what a lone port meant.
func addressFix(text string) string {
	if port, problem := parsePort(strings.TrimPrefix(text, ":")); problem == "" && port > 0 {
		return "write 127.0.0.1:" + strconv.Itoa(port)
	}
	return "write 10.0.0.1:3000, app:3000, [::1]:3000 or unix:///run/app.sock"
}
