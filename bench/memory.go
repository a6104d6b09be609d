package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// settling says when memory no longer changes.
type settling struct {
	every  time.Duration // between looks
	steady int           // for so many looks in a row
	within float64       // as a part of the memory
	most   int           // looks; after these it counts as settled: below the time after which anyone closes an idle connection
}

var (
	beforeLoad = settling{every: time.Second, steady: 3, within: 0.005, most: 15}
	// usualSettling waits for ten steady seconds: what a proxy gives back after a while, it gives back within less.
	usualSettling = settling{every: time.Second, steady: 10, within: 0.005, most: 45}
)

// settle returns the memory of a process tree when it no longer changes, and how long that took.
func (s settling) settle(ctx context.Context, root int) (bytes int64, took time.Duration, err error) {
	began, since := time.Now(), 0
	last, err := treeMemory(root)
	for look := 0; err == nil && look < s.most && since < s.steady; look++ {
		if err := rest(ctx, s.every); err != nil {
			return 0, 0, err
		}
		var now int64
		now, err = treeMemory(root)
		if float64(max(now-last, last-now)) > s.within*float64(last) {
			last, since = now, 0
			took = time.Since(began)
			continue
		}
		since++
	}
	return last, took, err
}

// treeMemory is the memory of the process root and all below it. What several share is counted once, in parts (PSS).
func treeMemory(root int) (int64, error) {
	all, err := readProcesses()
	if err != nil {
		return 0, err
	}
	tree := descendants(all, root)
	if len(tree) == 0 {
		return 0, fmt.Errorf("process %d has ended", root)
	}
	var sum int64
	for _, p := range tree {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/smaps_rollup")
		if err != nil {
			return 0, fmt.Errorf("reading the memory of a process: %w", err)
		}
		n, err := parsePSS(text)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

var pssLine = regexp.MustCompile(`(?m)^Pss:\s+(\d+) kB$`)

func parsePSS(smaps []byte) (int64, error) {
	m := pssLine.FindSubmatch(smaps)
	if m == nil {
		return 0, fmt.Errorf("no Pss in %q", tail(smaps))
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}
