package main

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/config"
)

// watchMemory starts the goroutine that has requests refused before memory is gone. The collector is told of a limit below
// it, so that what passes the limit is in use, and not what was not yet collected.
func (p *process) watchMemory() error {
	limit := memoryLimit(p.config.Limits.Memory, memoryThere(os.ReadFile))
	if limit <= 0 {
		return nil
	}
	collect := limit - limit/10
	was := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(was, collect))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		p.proxy.Memory.Watch(stop, limit, p.tellMemory)
	}()
	p.onClose(func() {
		close(stop)
		<-done
		debug.SetMemoryLimit(was)
	})
	return nil
}

func (p *process) tellMemory(full bool, held int64) {
	limit := p.proxy.Memory.Use().Limit
	if full {
		p.events.Warn(fmt.Sprintf("%d MiB of memory are held, and limits.memory allows %d: new requests are answered with 503", held>>20, limit>>20), nil)
		return
	}
	p.events.Say("there is memory for new requests again", "held_mib", fmt.Sprint(held>>20))
}

// memoryLimit is what the process may hold: bytes, or a share of what there is. 0 is no limit.
func memoryLimit(m config.Memory, there int64) int64 {
	switch {
	case m.Bytes > 0:
		return int64(m.Bytes)
	case there <= 0:
		return 0
	}
	return there / 100 * int64(m.Percent)
}

// memoryThere is the least of the machine's memory, GOMEMLIMIT, and what the control groups of the process allow.
func memoryThere(read func(string) ([]byte, error)) int64 {
	there := debug.SetMemoryLimit(-1)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		there = min(there, int64(info.Totalram)*int64(info.Unit))
	}
	there = min(there, groupMemory(read))
	if there == math.MaxInt64 {
		return 0
	}
	return there
}

// groupMemory is the least limit of the control groups that the process is in, of either version. In a container the files
// of its own group are at the root.
func groupMemory(read func(string) ([]byte, error)) int64 {
	least := int64(math.MaxInt64)
	own, _ := read("/proc/self/cgroup")
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case strings.Contains(","+parts[1]+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			text, _ := read(root + path.Join(dir, file))
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				least = min(least, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}
