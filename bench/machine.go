package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// machine says what the figures were measured on and with.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"` // that we may use
	Siblings string            `json:"siblings,omitempty"`
	Kernel   string            `json:"kernel"`
	Date     string            `json:"date"`
	Versions map[string]string `json:"versions"`
}

var cpuModel = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)

func describeMachine(ctx context.Context, list []server, cpus cpuList, now time.Time) machine {
	m := machine{CPU: "unknown", Cores: len(cpus), Kernel: "unknown", Date: now.UTC().Format(time.DateOnly), Versions: map[string]string{}}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := cpuModel.FindSubmatch(info); model != nil {
			m.CPU = string(model[1])
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = string(bytes.TrimSpace(release))
	}
	m.Siblings = sharedCore(cpus)
	for _, p := range list {
		m.Versions[p.name] = versionOf(ctx, p)
	}
	m.Versions["backend nginx"] = firstLine(ctx, "nginx", "-v")
	m.Versions["wrk"], _, _ = strings.Cut(firstLine(ctx, "wrk", "-v"), " Copyright")
	return m
}

func versionOf(ctx context.Context, p server) string {
	switch p.name {
	case "nginx", "haproxy", "haproxy-splice":
		return firstLine(ctx, p.binary, "-v")
	case "kamal-proxy": // which has no word for it
		return builtFrom(p.binary)
	}
	return firstLine(ctx, p.binary, "version") // Sluice says its Go version too
}

// builtFrom is what Go wrote into a binary about its source.
func builtFrom(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

// firstLine is the first line args print; "" when they print none. wrk and nginx print theirs as an error.
func firstLine(ctx context.Context, args ...string) string {
	out, _ := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(bytes.TrimSpace(line))
}

// sharedCore names the first two cores when they are two threads of one physical core: the load then slows the
// proxy down. "" when they are not, or when the kernel does not say.
func sharedCore(cpus cpuList) string {
	if len(cpus) < 2 {
		return ""
	}
	path := "/sys/devices/system/cpu/cpu" + strconv.Itoa(cpus[0]) + "/topology/thread_siblings_list"
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	siblings, err := parseCPUList(string(bytes.TrimSpace(text)))
	if err != nil || !contains(siblings, cpus[1]) {
		return ""
	}
	return siblings.commas()
}

func contains(list cpuList, cpu int) bool {
	for _, n := range list {
		if n == cpu {
			return true
		}
	}
	return false
}
