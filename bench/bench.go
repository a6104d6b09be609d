package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// bench measures every work asked for and prints a report for each.
func bench(ctx context.Context, o options, out io.Writer) (err error) {
	cpus, err := allowedCPUs()
	if err != nil {
		return err
	}
	if err := errors.Join(raiseFileLimit(), ensureTools(ctx, neededTools(o, len(cpus) > 1), out)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // for nginx's workers
		return err
	}
	found, err := measureAll(ctx, o, dir, cpus, out)
	if err != nil {
		return err
	}
	return found.finish(o)
}

func measureAll(ctx context.Context, o options, dir string, cpus cpuList, out io.Writer) (report, error) {
	list, sluice, err := resolvePeers(ctx, o, dir)
	if err != nil {
		return report{}, err
	}
	all := report{Machine: describeMachine(ctx, o, sluice, cpus, time.Now())}
	all.Machine.print(out)
	for _, w := range o.works {
		f := field{work: w, peers: list, dir: dir, seconds: o.seconds, retries: o.retries, out: out}
		res, err := measureWork(ctx, f, o.rounds, cpus)
		if err != nil {
			return all, fmt.Errorf("work %s: %w", w.name, err)
		}
		res.print(out)
		all.Works = append(all.Works, res)
	}
	return all, nil
}

// resolvePeers turns names into servers, with a binary for sluice where it is asked for.
func resolvePeers(ctx context.Context, o options, dir string) (list []server, sluice string, err error) {
	for _, name := range o.peers {
		if name == "sluice" {
			if sluice, err = sluiceBinary(ctx, o, dir); err != nil {
				return nil, "", err
			}
		}
	}
	for _, name := range o.peers {
		p, _ := findPeer(sluice, name)
		list = append(list, p)
	}
	return list, sluice, nil
}

func sluiceBinary(ctx context.Context, o options, dir string) (string, error) {
	if o.sluice == "" {
		return buildSluice(ctx, dir)
	}
	return filepath.Abs(o.sluice) // it is started in a folder of its own
}
