package config

import (
	"slices"
	"strings"
)

const (
	leastRequests = "least_requests"
	roundRobin    = "round_robin"
	servicesFix   = "write services:\n  web:\n    backends: [127.0.0.1:3000]"
)

// newService has every default that a service has before its pools are known.
func newService(name string, line int) Service {
	return Service{Name: name, Path: defaultPath, Balance: defaultBalance, Health: defaultHealth(), Drain: defaultDrain(), Retry: defaultRetry(), Hold: defaultHold(), WhenDown: WhenDownFail, Eject: defaultEject(), Bake: defaultBake(), Rollback: defaultRollback(), Line: line}
}

func (v value) services(to *[]Service) {
	v.mapping(servicesFix, func(_ string, field value) {
		if field.properName("a service") {
			*to = append(*to, field.service())
		}
	})
}

// properName refuses a name that would have to be written differently in a URL or on a command line.
func (v value) properName(what string) bool {
	const most = 63 // as a part of a host name; a name is read and typed by people
	ok := v.name != "" && len(v.name) <= most && isAlphanumeric(rune(v.name[0])) &&
		strings.IndexFunc(v.name, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-_.", r) }) < 0
	if !ok {
		v.refuseKey("use up to 63 letters, digits, dashes, dots and underscores, and begin with a letter or digit",
			"%s cannot be the name of %s", show(v.name), what)
	}
	return ok
}

// reading is a service while it is read, with the places that are looked at again.
type reading struct {
	Service
	hosts           []value
	path, live      *value
	pools, backends *value
	files, assets   *value
	hash, sticky    *value
	keepFor         *value
	health, bake    *value
	probes          []value
	preview         *value
	previewPool     *value
	releases        []value // that pools expect
	limit           int     // max_connections of the service
}

// unsaid stands for a number that the service leaves to the whole process, until the file is read to its end.
const unsaid = -1

func (v value) service() Service {
	s := &reading{Service: newService(v.name, v.key.Line)}
	s.MaxBody = unsaid
	if v.object("write "+v.name+": {backends: [127.0.0.1:3000]}", s.fields()) {
		s.whole(v)
	}
	s.Section, s.file = v.section(), v.in.file
	return s.Service
}

func (s *reading) fields() fields {
	return fields{
		"hosts":           s.readHosts,
		"path":            func(v value) { s.path = &v; v.routePath(&s.Path) },
		"live":            func(v value) { s.live = &v },
		"pools":           func(v value) { s.pools = &v },
		"backends":        func(v value) { s.backends = &v },
		"max_connections": func(v value) { v.whole(&s.limit, 0, maxConnections) },
		"max_body":        sizeField(&s.MaxBody, 0, largestBody),
		"balance":         func(v value) { v.balance(&s.Balance) },
		"hash":            func(v value) { s.hash = &v; v.hash(&s.Hash) },
		"sticky":          s.readSticky,
		"health":          func(v value) { s.health = &v; v.health(&s.Health) },
		"drain":           func(v value) { v.drain(&s.Drain) },
		"hold":            func(v value) { v.hold(&s.Hold) },
		"when_down":       func(v value) { v.word(&s.WhenDown, WhenDownFail, WhenDownHold, WhenDownOpen) },
		"retry":           func(v value) { v.retry(&s.Retry) },
		"queue":           func(v value) { v.queue(&s.Queue) },
		"eject":           func(v value) { v.eject(&s.Eject) },
		"bake":            s.readBake,
		"files":           s.readFiles,
		"assets":          func(v value) { s.assets = &v; v.patterns(&s.Assets) },
		"preview":         s.readPreview,
		"rollback":        func(v value) { v.rollback(&s.Rollback) },
		"slow_start":      func(v value) { v.slowStart(&s.SlowStart) },
		"fail_open":       func(v value) { v.failOpen(&s.FailOpen) },
	}
}

// whole checks what only the whole service shows.
func (s *reading) whole(v value) {
	switch {
	case s.pools != nil && s.backends != nil:
		s.backends.refuseKey("put them into a pool, or keep `backends` alone", "a service has `pools` or `backends`, not both")
	case s.pools != nil:
		s.pools.readPools(&s.Pools, s.limit, &s.releases)
	case s.backends != nil:
		p := Pool{Name: defaultPool, MaxConnections: s.limit}
		s.backends.backendList(&p)
		s.Pools = []Pool{p}
	default:
		v.refuseKey("add backends: [127.0.0.1:3000]", "service %s has neither `backends` nor `pools`", show(v.name))
	}
	s.checkBalance()
	s.checkFiles()
	s.checkChecks()
	s.checkBake()
	s.checkProbes()
	s.chooseLive()
	s.checkPreview(v)
	s.claimRoutes(v)
}

func (s *reading) chooseLive() {
	if len(s.Pools) == 0 {
		return
	}
	s.Live = s.Pools[0].Name
	if s.live == nil {
		return
	}
	name, ok := s.live.text()
	names := make([]string, len(s.Pools))
	for i, p := range s.Pools {
		names[i] = p.Name
	}
	switch {
	case !ok:
	case !slices.Contains(names, name):
		s.live.refuse("write one of: "+strings.Join(names, ", "), "`live` is %s, which is no pool of this service", show(name))
	default:
		s.Live = name
	}
}

func (v value) drain(d *Drain) {
	v.object("write drain: {timeout: 30s, stream: 10s, websocket: 10s}", fields{
		"timeout":   durationField(&d.Timeout, 0, longestWait),
		"stream":    durationField(&d.Stream, 0, longestWait),
		"websocket": durationField(&d.WebSocket, 0, longestWait),
	})
}
