package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// packages names the Debian package of each program we run.
var packages = map[string]string{"wrk": "wrk", "nginx": "nginx", "haproxy": "haproxy", "taskset": "util-linux", "caddy": "caddy", "strace": "strace"}

// neededTools are the programs that these options cannot do without.
func neededTools(o options, pinned bool) []string {
	tools := []string{"wrk", "nginx"} // nginx is the backend, whoever is measured
	if pinned {
		tools = append(tools, "taskset")
	}
	usesSink := slices.ContainsFunc(o.works, func(w work) bool { return w.backend == sink })
	if usesSink || slices.Contains(o.peers, "haproxy") || slices.Contains(o.peers, "haproxy-splice") {
		tools = append(tools, "haproxy")
	}
	if slices.Contains(o.peers, "caddy") {
		tools = append(tools, "caddy")
	}
	if o.strace {
		tools = append(tools, "strace")
	}
	return tools
}

// ensureTools installs what is missing when it may, and says what to install when it may not.
func ensureTools(ctx context.Context, tools []string, out io.Writer) error {
	missing := missingPackages(tools)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s. Install them (on Debian or Ubuntu: sudo apt-get install %[1]s), then run this again",
			strings.Join(missing, " "))
	}
	fmt.Fprintln(out, "installing:", strings.Join(missing, " "))
	if err := install(ctx, missing); err != nil {
		return err
	}
	if still := missingPackages(tools); len(still) > 0 {
		return fmt.Errorf("still missing after apt-get: %s; install them by hand", strings.Join(still, " "))
	}
	return nil
}

func missingPackages(tools []string) []string {
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, packages[tool])
		}
	}
	return missing
}

func install(ctx context.Context, names []string) error {
	allow, err := refuseServices()
	if err != nil {
		return err
	}
	defer allow()
	if err := aptGet(ctx, "update", "-q"); err != nil {
		return err
	}
	return aptGet(ctx, append([]string{"install", "-q", "-y", "--no-install-recommends"}, names...)...)
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	// Killed in the middle it would leave packages half installed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, tail(out))
	}
	return nil
}

// refuseServices keeps Debian from starting the servers it installs: an nginx on port 80 is not what someone asks
// for who runs a benchmark. A policy that is there already stays as it is.
func refuseServices() (allow func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keeping installed servers from starting: %w", err)
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(policy)
		return nil, err
	}
	return func() { os.Remove(policy) }, nil
}

// buildSluice builds the proxy of this module into dir and returns the binary's path.
func buildSluice(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "sluice/cmd/proxy")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building sluice: %w: %s\nrun this in Sluice's source folder, or name a binary with --sluice, or leave it out of --peers",
			err, bytes.TrimSpace(tail(out)))
	}
	return binary, nil
}
