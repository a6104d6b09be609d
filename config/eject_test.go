package config

import (
	"testing"
	"time"
)

func TestEject(t *testing.T) {
	isolate(t)
	quiet := defaultEject()
	quiet.Connect = 0
	whole := Eject{
		Connect: 2, Errors: 5, Answers: []StatusRange{{500, 599}, {429, 429}}, Latency: 2.5, Above: 50 * time.Millisecond,
		Window: 5 * time.Second, Most: 30, Time: time.Second, Longest: time.Minute,
	}
	onlyBroken := defaultEject()
	onlyBroken.Errors, onlyBroken.Answers = 3, nil
	long := defaultEject()
	long.Time, long.Longest = 10*time.Minute, 10*time.Minute
	for line, want := range map[string]Eject{
		"path: /":            defaultEject(),
		"eject: off":         quiet,
		"eject: {time: 10m}": long,
		"eject: {connect: off, errors: off, latency: off}": quiet,
		"eject: {errors: 3, answers: off}":                 onlyBroken,
		"eject: {connect: 2, errors: 5, answers: [5xx, 429], latency: 2.5, above: 50ms, window: 5s, most: 30%, time: 1s, longest: 1m}": whole,
	} {
		equal(t, line, one(t, "backends: x:1", line).Eject, want)
	}
}

func TestSlowStartAndFailOpen(t *testing.T) {
	isolate(t)
	s := one(t, "backends: x:1", "slow_start: 10s", "fail_open: 30%")
	equal(t, "slow start", s.SlowStart, 10*time.Second)
	equal(t, "fail open", s.FailOpen, 30)
	s = one(t, "backends: x:1", "slow_start: off", "fail_open: off")
	equal(t, "off", [2]int{int(s.SlowStart), s.FailOpen}, [2]int{})
}
