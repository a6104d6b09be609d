package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load is what the load says of one run.
type load struct {
	Requests int64         `json:"requests"`
	Took     time.Duration `json:"took_ns"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns,omitempty"`
	Lag      time.Duration `json:"lag_p99_ns,omitempty"` // of the load itself, at a constant rate
	errors   string        // wrk's own words; "" when every request got its answer
}

func (l load) perSecond() float64 { return float64(l.Requests) / l.Took.Seconds() }

// errLoad means that some requests failed, so that CPU per request would be a figure of something else.
var errLoad = errors.New("the load saw errors")

var errNone = errors.New("no request was answered")

var (
	wrkTotal   = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([\d.]+)(us|ms|s|m|h),`)
	wrkPercent = regexp.MustCompile(`(?m)^\s*(50|99)%\s+([\d.]+)(us|ms|s|m|h)\s*$`)
	wrkErrors  = regexp.MustCompile(`(?m)^\s*((?:Socket errors|Non-2xx or 3xx responses): .*?)\s*$`)
)

// parseWrk reads what wrk prints with --latency.
func parseWrk(out []byte) (load, error) {
	var l load
	total := wrkTotal.FindSubmatch(out)
	if total == nil {
		return l, fmt.Errorf("wrk printed no total: %q", tail(out))
	}
	var err error
	if l.Requests, err = strconv.ParseInt(string(total[1]), 10, 64); err != nil {
		return l, fmt.Errorf("wrk's total: %w", err)
	}
	if l.Took, err = time.ParseDuration(string(total[2]) + string(total[3])); err != nil {
		return l, fmt.Errorf("wrk's time: %w", err)
	}
	for _, m := range wrkPercent.FindAllSubmatch(out, -1) {
		d, err := time.ParseDuration(string(m[2]) + string(m[3]))
		if err != nil {
			return l, fmt.Errorf("wrk's latency: %w", err)
		}
		if string(m[1]) == "50" {
			l.P50 = d
		} else {
			l.P99 = d
		}
	}
	l.errors = string(bytes.Join(errorLines(out), []byte("; ")))
	return l, nil
}

func errorLines(out []byte) [][]byte {
	var lines [][]byte
	for _, m := range wrkErrors.FindAllSubmatch(out, -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// check refuses a run in which any request failed or none was answered.
func (l load) check() error {
	if l.errors != "" {
		return fmt.Errorf("%w: %s", errLoad, l.errors)
	}
	if l.Requests == 0 || l.Took <= 0 {
		return fmt.Errorf("%w: %w", errLoad, errNone)
	}
	return nil
}

// runWrk drives w at url for so many seconds from the cores given.
func runWrk(ctx context.Context, w work, script, url string, seconds int, cpus cpuList) (load, error) {
	args := []string{
		"wrk", "--latency", "-t", "1", "-c", strconv.Itoa(w.connections), "-d", strconv.Itoa(seconds) + "s",
		"--timeout", "10s", // longer than any answer should take; a slower one is an error of the round
	}
	for _, h := range w.headers {
		args = append(args, "-H", h)
	}
	if script != "" {
		args = append(args, "-s", script)
	}
	args = cpus.pin(append(args, url))
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if ctx.Err() != nil {
		return load{}, ctx.Err()
	}
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, tail(out))
	}
	l, err := parseWrk(out)
	if err != nil {
		return l, err
	}
	return l, l.check()
}

// tail is the last few lines' worth of out: enough to see why a program ended, short enough for one message.
func tail(out []byte) []byte {
	const most = 600
	return bytes.TrimSpace(out[max(0, len(out)-most):])
}
