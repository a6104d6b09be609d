package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// calls are the system calls of one peer per request.
type calls struct {
	Peer     string             `json:"peer"`
	Requests int64              `json:"requests"`
	Each     map[string]float64 `json:"per_request"`
}

func (c calls) total() (sum float64) {
	for _, n := range c.Each {
		sum += n
	}
	return sum
}

// countCalls has strace count the system calls of every peer in w, each started anew. It is apart from all rounds: a
// traced program is many times slower, so that none of its other figures mean anything.
func countCalls(ctx context.Context, f field, cpus cpuList) (list []calls, err error) {
	if f.place, err = place(cpus, f.work.proxyCPUs); err != nil {
		return nil, err
	}
	f.peers = f.taking()
	backend, err := f.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer backend.stop()
	for _, p := range f.peers {
		c, err := f.callsOf(ctx, p)
		if err != nil {
			return list, fmt.Errorf("counting the system calls of %s: %w", p.name, err)
		}
		list = append(list, c)
	}
	return list, nil
}

func (f *field) callsOf(ctx context.Context, p server) (calls, error) {
	proxy, err := p.start(ctx, f.dir, f.work, f.place.proxy, f.backends)
	if err != nil {
		return calls{}, err
	}
	defer proxy.stop()
	if err := f.warm(ctx, proxy); err != nil {
		return calls{}, err
	}
	counted := filepath.Join(f.dir, "strace-"+p.name)
	tracer, err := attach(proxy.pid, f.dir, counted)
	if err != nil {
		return calls{}, err
	}
	l, err := runWrk(ctx, f.work, f.script, proxy.url, f.seconds, f.place.load)
	tracer.signal(syscall.SIGINT) // it then lets go and writes down what it counted
	select {
	case <-tracer.ended:
	case <-time.After(10 * time.Second):
	}
	tracer.stop()
	if err != nil {
		return calls{}, err
	}
	text, err := os.ReadFile(counted)
	if err != nil {
		return calls{}, err
	}
	return callsPer(l.Requests, p.name, text)
}

// attach starts strace on a process and all below it, and returns when it has them.
func attach(pid int, dir, counted string) (*process, error) {
	all, err := readProcesses()
	if err != nil {
		return nil, err
	}
	args := []string{"strace", "-c", "-f", "-o", counted}
	tree := descendants(all, pid)
	for _, p := range tree {
		args = append(args, "-p", strconv.Itoa(p.pid))
	}
	tracer, err := startProcess("strace", dir, "strace.log", args)
	if err != nil {
		return nil, err
	}
	for late := time.Now().Add(5 * time.Second); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		if !slices.ContainsFunc(tree, func(p procStat) bool { return !traced(p.pid) }) {
			return tracer, nil
		}
	}
	tracer.stop()
	said, _ := os.ReadFile(tracer.log)
	return nil, fmt.Errorf("strace did not attach: %s", tail(said))
}

func traced(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err == nil && !bytes.Contains(status, []byte("TracerPid:\t0\n"))
}

// callsPer reads the table of strace -c, whose columns are: % time, seconds, usecs/call, calls, errors (or nothing) and
// the name.
func callsPer(requests int64, peer string, table []byte) (calls, error) {
	c := calls{Peer: peer, Requests: requests, Each: map[string]float64{}}
	for s := bufio.NewScanner(bytes.NewReader(table)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 5 || fields[len(fields)-1] == "total" {
			continue
		}
		if n, err := strconv.ParseInt(fields[3], 10, 64); err == nil {
			c.Each[fields[len(fields)-1]] += float64(n) / float64(requests)
		}
	}
	if len(c.Each) == 0 || requests == 0 {
		return c, errors.New("strace counted nothing")
	}
	return c, nil
}

// printCalls has a line for each call that anyone makes often enough to matter.
func printCalls(out io.Writer, work string, list []calls) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(out, "\nsystem calls per request in %s, counted by strace -c:\n\n", work)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\t")
	for _, c := range list {
		fmt.Fprintf(table, "%s\t", c.Peer)
	}
	fmt.Fprintln(table)
	for _, name := range callNames(list) {
		printCall(table, name, list, func(c calls) float64 { return c.Each[name] })
	}
	printCall(table, "all", list, calls.total)
	table.Flush()
}

func printCall(out io.Writer, name string, list []calls, of func(calls) float64) {
	fmt.Fprintf(out, "%s\t", name)
	for _, c := range list {
		fmt.Fprintf(out, "%.2f\t", of(c))
	}
	fmt.Fprintln(out)
}

// callNames are the calls of which somebody makes one in a hundred requests or more, the most frequent first.
func callNames(list []calls) (names []string) {
	most := map[string]float64{}
	for _, c := range list {
		for name, n := range c.Each {
			most[name] = max(most[name], n)
		}
	}
	for name, n := range most {
		if n >= 0.01 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(most[b], most[a]), cmp.Compare(a, b))
	})
	return names
}
