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
	list, err := resolvePeers(ctx, o, dir)
	if err != nil {
		return err
	}
	all := report{Machine: describeMachine(ctx, list, cpus, time.Now())}
	all.Machine.print(out)
	err = all.measure(ctx, o, list, dir, cpus, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	all.printGoals(out)
	return errors.Join(err, all.finish(o))
}

// measure goes on where a work fails: what the others show is true all the same.
func (r *report) measure(ctx context.Context, o options, list []server, dir string, cpus cpuList, out io.Writer) (failed error) {
	for _, w := range o.works {
		res, err := measureWork(ctx, o.field(w, list, dir, out), o.rounds, cpus)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("work %s: %w", w.name, err)
			fmt.Fprintf(out, "failed: %v\n", err)
			failed = errors.Join(failed, err)
			continue
		}
		if o.configs {
			res.printConfigs(out)
		}
		res.print(out)
		r.Works = append(r.Works, res)
	}
	return errors.Join(failed, r.trace(ctx, o, list, dir, cpus, out))
}

// trace counts system calls, where it is asked to.
func (r *report) trace(ctx context.Context, o options, list []server, dir string, cpus cpuList, out io.Writer) (err error) {
	if !o.strace {
		return nil
	}
	small := works()[0]
	r.Calls, err = countCalls(ctx, o.field(small, list, dir, out), cpus)
	printCalls(out, small.name, r.Calls)
	return err
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
