package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	list, err := resolvePeers(ctx, o, dir)
	if err != nil {
		return report{}, err
	}
	all := report{Machine: describeMachine(ctx, list, cpus, time.Now())}
	all.Machine.print(out)
	for _, w := range o.works {
		res, err := measureWork(ctx, o.field(w, list, dir, out), o.rounds, cpus)
		if err != nil {
			return all, fmt.Errorf("work %s: %w", w.name, err)
		}
		if o.configs {
			res.printConfigs(out)
		}
		res.print(out)
		all.Works = append(all.Works, res)
	}
	if o.strace {
		small := works()[0]
		if all.Calls, err = countCalls(ctx, o.field(small, list, dir, out), cpus); err != nil {
			return all, err
		}
		printCalls(out, small.name, all.Calls)
	}
	all.printGoals(out)
	return all, nil
}

func (o options) field(w work, list []server, dir string, out io.Writer) field {
	return field{work: w, peers: list, dir: dir, seconds: o.seconds, retries: o.retries, out: out}
}

// resolvePeers turns names into servers, with a binary for sluice where it is asked for.
func resolvePeers(ctx context.Context, o options, dir string) (list []server, err error) {
	binaries := o.goBinaries()
	for _, name := range o.peers {
		if name == "sluice" {
			if binaries[name], err = sluiceBinary(ctx, o, dir); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range o.peers {
		p, _ := findPeer(binaries, name)
		if _, err := exec.LookPath(p.binary); err != nil {
			return nil, fmt.Errorf("%w; say where it is by --%s, or leave it out of --peers", err, name)
		}
		list = append(list, p)
	}
	return list, nil
}

// goBinaries are those that no package brings. They are run in folders of their own, so that a path must be whole.
func (o options) goBinaries() map[string]string {
	found := map[string]string{}
	for name, path := range map[string]string{"traefik": o.traefik, "kamal-proxy": o.kamal} {
		found[name] = name
		if path != "" {
			found[name], _ = filepath.Abs(path)
		}
	}
	return found
}

func sluiceBinary(ctx context.Context, o options, dir string) (string, error) {
	if o.sluice == "" {
		return buildSluice(ctx, dir)
	}
	return filepath.Abs(o.sluice) // it is started in a folder of its own
}
