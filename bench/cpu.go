package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc. The kernel converts to it for every program, whatever its own clock is
// (USER_HZ, proc(5)); it is 100 a second wherever Go runs on Linux.
const tick = time.Second / 100

// procStat is what /proc/<pid>/stat says of one process and the CPU it used.
type procStat struct {
	pid, parent, group int
	own                time.Duration // user and system, all threads, ended ones too
	reaped             time.Duration // of children that ended and were waited for, and of theirs
}

// parseProcStat reads one line of /proc/<pid>/stat. The name stands in brackets and may itself hold brackets and
// spaces, so that fields are counted from the last closing one.
func parseProcStat(line []byte) (procStat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("no process name in %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:open])))
	if err != nil {
		return procStat{}, fmt.Errorf("no process id in %q", line)
	}
	fields := strings.Fields(string(line[end+1:]))
	// After the name: state, ppid, pgrp, ... and utime, stime, cutime, cstime, which proc(5) numbers 14 to 17.
	var n [15]int64
	if len(fields) < len(n) {
		return procStat{}, fmt.Errorf("too few fields in %q", line)
	}
	for i := 1; i < len(n); i++ {
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return procStat{}, fmt.Errorf("field %d of %q is no number", i+3, line)
		}
	}
	return procStat{
		pid: pid, parent: int(n[1]), group: int(n[2]),
		own: time.Duration(n[11]+n[12]) * tick, reaped: time.Duration(n[13]+n[14]) * tick,
	}, nil
}

// treeCPU is the CPU used so far by the process root, all processes below it and all in its process group,
// including those that ended and were waited for.
func treeCPU(root int) (time.Duration, error) {
	all, err := readProcesses()
	if err != nil {
		return 0, err
	}
	tree := descendants(all, root)
	if len(tree) == 0 {
		return 0, fmt.Errorf("process %d has ended", root)
	}
	return sumCPU(tree), nil
}

// sumCPU counts nobody twice: an ended child is in its parent's reaped time, a running one only in its own.
func sumCPU(tree []procStat) time.Duration {
	var sum time.Duration
	for _, p := range tree {
		sum += p.own + p.reaped
	}
	return sum
}

// descendants picks root, its process group and everything below them. The group finds those whose parent ended.
func descendants(all []procStat, root int) []procStat {
	in := map[int]bool{}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.pid] && (p.pid == root || p.group == root || in[p.parent]) {
				in[p.pid], grown = true, true
			}
		}
	}
	var tree []procStat
	for _, p := range all {
		if in[p.pid] {
			tree = append(tree, p)
		}
	}
	return tree
}

func readProcesses() ([]procStat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("/proc shows no processes; run where /proc is mounted (Linux)")
	}
	var all []procStat
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it ended since the directory was read
		}
		p, err := parseProcStat(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, p)
	}
	return all, nil
}
