package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// backendKind is what the server behind the proxies does with a request.
type backendKind int

const (
	smallBody backendKind = iota // nginx answers about 100 bytes from memory
	largeBody                    // nginx answers a file of 1 MiB
	sink                         // HAProxy reads the whole request body, then answers about 100 bytes
)

// work is one thing that is measured. Every peer gets the same, one after the other.
type work struct {
	name        string
	about       string
	connections int // kept open by the load; never 0
	headers     []string
	script      string // wrk's Lua; "" sends plain GETs
	backend     backendKind
	backends    int // how many addresses the backend has, each a backend of its own to the proxy; 0 is one
	hosts       int // how many hosts the proxy knows besides "any"
	proxyCPUs   int // how many cores the proxy may use, and how many workers or threads it is given
	accessLog   bool
	goPeers     bool          // proxies in Go are measured too
	halfRate    bool          // the rate is half of what the slowest peer can do
	rate        float64       // requests per second of the load at a constant rate; 0: as fast as it is answered
	quiet       time.Duration // how long the proxy's own business is measured before there is any load
	most        int           // rounds, where more would show nothing new; 0 is no limit
	sizes       []int         // what is measured for each; empty: there is one size only
	grown       func(work, int) work
	measure     func(*field, context.Context, server) (round, error)
	figure      figure
	goal        float64 // the highest ratio, or figure, that we accept
}

// figure is the number of a round that a work is judged by. Less is better.
type figure struct {
	unit string
	of   func(round) float64
	kind judgement
}

// judgement is what a goal is compared with.
type judgement int

const (
	againstPeers judgement = iota // Sluice's median by that of the best peer written in C
	alone                         // Sluice's median
	flat                          // Sluice's median at the greatest size by that at the smallest
)

var (
	cost     = figure{unit: "us CPU/request", of: round.perRequest}
	netCost  = figure{unit: "us CPU/request", of: round.perRequestNet, kind: flat}
	slowest  = figure{unit: "p99 ms", of: func(r round) float64 { return r.Load.P99.Seconds() * 1000 }}
	memory   = figure{unit: "KiB/connection", of: func(r round) float64 { return r.Memory / 1024 }, kind: alone}
	starting = figure{unit: "ms to the first answer", of: func(r round) float64 { return r.Start.Seconds() * 1000 }, kind: alone}
)

// goTimes is how many times cheaper Sluice is to be than each proxy written in Go.
const goTimes = 4

// uploadScript sets the request once; wrk then builds it once, so that Lua costs nothing per request.
const uploadScript = `wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", 65536)
`

// pacedRate is the load where it must not change with the number of connections: well below what one connection carries
// with one request after the other.
const pacedRate = 4000

// works are all there is, the most telling one first.
func works() []work { return append(traffic(), slices.Concat(otherGoals(), scales())...) }

// traffic is judged by its cost.
func traffic() []work {
	list := []work{
		{name: "small", about: "100-byte responses over 64 kept connections", goPeers: true, goal: 0.95},
		{name: "small2", about: "small, with two cores for the proxy", proxyCPUs: 2, goPeers: true, goal: 1},
		{name: "conns2000", about: "100-byte responses over 2000 kept connections", connections: 2000, goPeers: true, goal: 1},
		{name: "body1m", about: "1 MiB responses over 64 kept connections", backend: largeBody, goal: 0.8},
		{name: "upload64k", about: "64 KiB uploads over 64 kept connections", script: uploadScript, backend: sink, goPeers: true, goal: 1},
		{name: "close", about: "100-byte responses, a new connection for each, 64 at a time", headers: []string{"Connection: close"}, goPeers: true, goal: 1.1},
		{name: "smalllog", about: "small, with an access log in JSON, one line per request, to a file", accessLog: true, goPeers: true, goal: 1},
	}
	for i := range list {
		w := &list[i]
		w.connections, w.proxyCPUs = max(w.connections, 64), max(w.proxyCPUs, 1)
		w.measure, w.figure = (*field).saturate, cost
	}
	return list
}

func otherGoals() []work {
	return []work{
		{name: "halfrate", about: "small at a constant rate: half of what the slowest peer can do", connections: 64, proxyCPUs: 1,
			halfRate: true, measure: (*field).pace, figure: slowest, goal: 1},
		{name: "idle", about: "memory of each of 10,000 kept connections, idle after one request", connections: 10_000, proxyCPUs: 1,
			goPeers: true, rate: pacedRate, most: 3, measure: (*field).hold, figure: memory, goal: 4},
		{name: "start", about: "from the start of the binary to its first answer", connections: 1, proxyCPUs: 1,
			goPeers: true, measure: (*field).begin, figure: starting, goal: 50},
	}
}

// scales are judged by how the cost grows.
func scales() []work {
	list := []work{
		{name: "scale-backends", about: "small over 1, 100 and 1000 backends", connections: 64, sizes: []int{1, 100, 1000},
			quiet: 4 * time.Second, grown: func(w work, n int) work { w.backends = n; return w }, measure: (*field).saturate},
		{name: "scale-hosts", about: "small to 1, 100 and 10,000 hosts, each request to the next one", connections: 64, sizes: []int{1, 100, 10_000},
			quiet: 4 * time.Second, grown: withHosts, measure: (*field).saturate},
		{name: "scale-connections", about: fmt.Sprintf("%d requests per second over 1, 100 and 10,000 connections in turn", pacedRate), connections: 1,
			sizes: []int{1, 100, 10_000}, rate: pacedRate, grown: func(w work, n int) work { w.connections = n; return w }, measure: (*field).pace},
	}
	for i := range list {
		list[i].proxyCPUs, list[i].figure, list[i].goal = 1, netCost, 1.1
	}
	return list
}

// withHosts has wrk build each host's request before it begins.
func withHosts(w work, n int) work {
	w.hosts = n
	w.script = fmt.Sprintf(`local requests, at = {}, 0
init = function(args)
  for i = 1, %d do requests[i] = wrk.format("GET", "/", {["Host"] = "h" .. i .. "%s"}) end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
`, n, hostDomain)
	return w
}

// at is the work at one of its sizes.
func (w work) at(size int) work {
	if w.grown == nil {
		return w
	}
	return w.grown(w, size)
}

func workNames() string {
	var names []string
	for _, w := range works() {
		names = append(names, w.name)
	}
	return strings.Join(names, ", ")
}

// groups are names for several works.
func groups() map[string][]work {
	return map[string][]work{"all": works(), "goals": append(traffic(), otherGoals()...), "scale": scales()}
}

// findWorks reads a list of names of works or groups, by commas.
func findWorks(list string) ([]work, error) {
	var found []work
	for _, name := range strings.Split(list, ",") {
		these := findWork(name)
		if these == nil {
			return nil, fmt.Errorf("--work: there is no %q; choose from %s, or goals, scale, all", name, workNames())
		}
		found = append(found, these...)
	}
	return found, nil
}

func findWork(name string) []work {
	if group := groups()[name]; group != nil {
		return group
	}
	for _, w := range works() {
		if w.name == name {
			return []work{w}
		}
	}
	return nil
}
