package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// cpuList is a set of cores, by the kernel's numbers. Empty pins nothing.
type cpuList []int

func (c cpuList) String() string {
	if len(c) == 0 {
		return "any core"
	}
	return "core " + c.commas()
}

func (c cpuList) commas() string {
	var s []string
	for _, n := range c {
		s = append(s, strconv.Itoa(n))
	}
	return strings.Join(s, ",")
}

// pin is the command that runs args on these cores only. taskset becomes what it runs, so that the process id is
// the program's own.
func (c cpuList) pin(args []string) []string {
	if len(c) == 0 {
		return args
	}
	return append([]string{"taskset", "-c", c.commas()}, args...)
}

// placement says which cores the proxy gets and which the load and the backend share.
type placement struct {
	proxy, load cpuList
	shared      bool // proxy and load compete for a core: rates and latencies then say little
}

// place gives the proxy so many of the allowed cores, and the next one to the load. Where there are too few, the
// load shares the proxy's cores; where there is only one, nothing is pinned.
func place(allowed cpuList, proxyCPUs int) (placement, error) {
	switch {
	case len(allowed) == 1 && proxyCPUs == 1:
		return placement{shared: true}, nil
	case len(allowed) < proxyCPUs:
		return placement{}, fmt.Errorf("this work gives the proxy %d cores and only %d may be used; leave it out", proxyCPUs, len(allowed))
	case len(allowed) == proxyCPUs:
		return placement{proxy: allowed, load: allowed, shared: true}, nil
	}
	// A faster proxy needs a faster load: as many cores as the proxy has, where they exist.
	load := allowed[proxyCPUs:min(2*proxyCPUs, len(allowed))]
	return placement{proxy: allowed[:proxyCPUs], load: load}, nil
}

// all are the cores in use.
func (p placement) all() cpuList {
	if p.shared {
		return p.proxy
	}
	return append(append(cpuList{}, p.proxy...), p.load...)
}

func (p placement) String() string {
	switch {
	case len(p.proxy) == 0:
		return "one core only: nothing is pinned, proxy and load share it"
	case p.shared:
		return fmt.Sprintf("proxy, load and backend share %s: read the CPU, not the rate", p.proxy)
	}
	return fmt.Sprintf("proxy on %s; load and backend on %s", p.proxy, p.load)
}

var allowedLine = regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*(\S+)`)

// allowedCPUs are the cores this process may run on.
func allowedCPUs() (cpuList, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("finding the cores we may use: %w", err)
	}
	m := allowedLine.FindSubmatch(status)
	if m == nil {
		return nil, errors.New("/proc/self/status does not list the cores we may use")
	}
	return parseCPUList(string(m[1]))
}

// parseCPUList reads the kernel's form of a set of cores, such as "0-2,7".
func parseCPUList(s string) (cpuList, error) {
	const mostCPUs = 1 << 16 // above any machine; keeps a damaged range from filling memory
	var list cpuList
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || first > last || last >= mostCPUs {
			return nil, fmt.Errorf("%q is no list of cores", s)
		}
		for n := first; n <= last; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}
