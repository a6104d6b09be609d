package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Probe is what Sluice asks of both releases while one is watched. Only what changes nothing is asked (RFC 9110 §9.2.1).
type Probe struct {
	Method  string
	Path    string // with its query; left out: that of the service
	Host    string // empty: one of the service's own
	Status  []StatusRange
	Timeout time.Duration // for the whole answer
}

const (
	probeFix = "write probes: [/], or probes: [{path: \"/search?q=a\", method: GET, host: example.com, timeout: 5s, expect: {status: 200}}]"
	// defaultProbeTimeout is longer than a page takes that anybody waits for.
	defaultProbeTimeout = 5 * time.Second
	// defaultProbeEvery makes some hundred probes in a minute, of each release.
	defaultProbeEvery = 500 * time.Millisecond
)

// readProbes reads a list of paths and of mappings.
func (s *reading) readProbes(v value) {
	for _, item := range v.list(probeFix) {
		p := Probe{Method: "GET", Status: []StatusRange{{200, 399}}, Timeout: defaultProbeTimeout}
		if item.node.Kind == yaml.MappingNode {
			item.object(probeFix, p.fields())
		} else {
			item.checkPath(&p.Path)
		}
		s.Bake.Probes = append(s.Bake.Probes, p)
		s.probes = append(s.probes, item)
	}
}

func (p *Probe) fields() fields {
	return fields{
		"path":    func(v value) { v.checkPath(&p.Path) },
		"method":  func(v value) { v.word(&p.Method, "GET", "HEAD") },
		"host":    func(v value) { v.checkHost(&p.Host) },
		"timeout": durationField(&p.Timeout, leastInterval, longestWait),
		"expect": func(v value) {
			v.object("write expect: {status: 200}", fields{"status": func(v value) { v.statuses(&p.Status) }})
		},
	}
}

// checkProbes refuses a probe that no visitor could send: the service does not answer there.
func (s *reading) checkProbes() {
	for i := range s.Bake.Probes {
		p := &s.Bake.Probes[i]
		p.Path = cmp.Or(p.Path, s.Path)
		path, _, _ := strings.Cut(p.Path, "?")
		if !below(path, s.Path) {
			s.probes[i].refuse("write a path below "+s.Path, "the probe asks for %s, and the service has %s", show(path), show(s.Path))
		}
		if p.Host != "" && !s.answersTo(p.Host) {
			s.probes[i].refuse("write one of them, or leave `host` out", "the probe asks %s, which is none of the `hosts` of the service", show(p.Host))
		}
	}
}

// below reports whether path is prefix or below it, by whole segments.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// answersTo reports whether a host, with a port or without, leads to the service.
func (s *Service) answersTo(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(host)
	_, domain, _ := strings.Cut(host, ".")
	return len(s.Hosts) == 0 || slices.Contains(s.Hosts, host) || slices.Contains(s.Hosts, "*."+domain)
}
