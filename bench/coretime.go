package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// coreTime is what /proc/stat says some cores did since the machine started, added up.
type coreTime struct {
	busy, idle, steal time.Duration
}

func (t coreTime) since(before coreTime) coreTime {
	return coreTime{busy: t.busy - before.busy, idle: t.idle - before.idle, steal: t.steal - before.steal}
}

func (t coreTime) total() time.Duration { return t.busy + t.idle + t.steal }

// share is part of t's total, from 0 to 1.
func (t coreTime) share(part time.Duration) float64 {
	if t.total() <= 0 {
		return 0
	}
	return float64(part) / float64(t.total())
}

func (t coreTime) stealShare() float64 { return t.share(t.steal) }

// readCoreTime adds up the cores given.
func readCoreTime(cpus cpuList) (coreTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTime{}, fmt.Errorf("reading what the cores do: %w", err)
	}
	return parseCoreTime(stat, cpus)
}

func parseCoreTime(stat []byte, cpus cpuList) (coreTime, error) {
	var sum coreTime
	found := 0
	lines := bufio.NewScanner(bytes.NewReader(stat))
	lines.Buffer(nil, 1<<20) // the line of interrupts is long on large machines
	for lines.Scan() {
		number, ok := strings.CutPrefix(lines.Text(), "cpu")
		if !ok {
			break // the cores come first
		}
		if strings.HasPrefix(number, " ") {
			continue // all cores together: what follows is a time, not a core's number
		}
		if err := sum.add(strings.Fields(number), cpus, &found); err != nil {
			return sum, err
		}
	}
	if found != len(cpus) {
		return sum, fmt.Errorf("/proc/stat shows %d of the cores %s", found, cpus.commas())
	}
	return sum, nil
}

// add takes one core's line in: its number, then user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
func (t *coreTime) add(fields []string, cpus cpuList, found *int) error {
	const times = 8
	if len(fields) <= times {
		return nil
	}
	number, err := strconv.Atoi(fields[0])
	if err != nil || !slices.Contains(cpus, number) {
		return nil
	}
	var n [times]time.Duration
	for i := range n {
		v, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/stat: %q is no time", fields[i+1])
		}
		n[i] = time.Duration(v) * tick
	}
	*found++
	t.busy += n[0] + n[1] + n[2] + n[5] + n[6]
	t.idle += n[3] + n[4]
	t.steal += n[7]
	return nil
}
