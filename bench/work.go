package main

import (
	"fmt"
	"strings"
)

// backendKind is what the server behind the proxies does with a request.
type backendKind int

const (
	smallBody backendKind = iota // nginx answers about 100 bytes from memory
	largeBody                    // nginx answers a file of 1 MiB
	sink                         // HAProxy reads the whole request body, then answers about 100 bytes
)

// work is one kind of traffic. Every peer gets the same, one after the other.
type work struct {
	name        string
	about       string
	connections int // kept open by wrk; never 0
	headers     []string
	script      string // wrk's Lua; "" sends plain GETs
	backend     backendKind
	proxyCPUs   int     // how many cores the proxy may use, and how many workers or threads it is given
	accessLog   bool    // each peer writes one line per request to a file
	goal        float64 // highest ratio to the better of nginx and HAProxy that we accept; 0: none set yet
}

// uploadScript sets the request once; wrk then builds it once, so that Lua costs nothing per request.
const uploadScript = `wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", 65536)
`

// works are all kinds of traffic, the most telling one first.
func works() []work {
	return []work{
		{name: "small", about: "100-byte responses over 64 kept connections", connections: 64, proxyCPUs: 1, goal: 1.1},
		{name: "conns2000", about: "100-byte responses over 2000 kept connections", connections: 2000, proxyCPUs: 1},
		{name: "body1m", about: "1 MiB responses over 64 kept connections", connections: 64, backend: largeBody, proxyCPUs: 1},
		{name: "upload64k", about: "64 KiB uploads over 64 kept connections", connections: 64, script: uploadScript, backend: sink, proxyCPUs: 1},
		{name: "close", about: "100-byte responses, a new connection for each, 64 at a time", connections: 64, headers: []string{"Connection: close"}, proxyCPUs: 1},
		{name: "smalllog", about: "small, with an access log of one line per request", connections: 64, proxyCPUs: 1, accessLog: true},
		{name: "small2", about: "small, with two cores for the proxy", connections: 64, proxyCPUs: 2},
	}
}

func workNames() string {
	var names []string
	for _, w := range works() {
		names = append(names, w.name)
	}
	return strings.Join(names, ", ")
}

// findWorks reads a list of names, by commas; "all" is every work.
func findWorks(list string) ([]work, error) {
	if list == "all" {
		return works(), nil
	}
	var found []work
	for _, name := range strings.Split(list, ",") {
		w, ok := findWork(name)
		if !ok {
			return nil, fmt.Errorf("--work: there is no %q; choose from %s, or all", name, workNames())
		}
		found = append(found, w)
	}
	return found, nil
}

func findWork(name string) (work, bool) {
	for _, w := range works() {
		if w.name == name {
			return w, true
		}
	}
	return work{}, false
}
