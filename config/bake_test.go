package config

import (
	"testing"
	"time"
)

func TestBakes(t *testing.T) {
	isolate(t)
	with := func(change func(*Bake)) Bake {
		b := defaultBake()
		change(&b)
		return b
	}
	rows := []struct {
		text string
		want Bake
	}{
		{"bake: 60s", with(func(b *Bake) { b.For = time.Minute })},
		{"bake: off", defaultBake()},
		{"bake: {for: off, min_requests: 7}", with(func(b *Bake) { b.MinRequests = 7 })},
		{"bake: {for: 2m, on_worse: report, errors: 0%, latency: off, falls: off}", with(func(b *Bake) {
			b.For, b.OnWorse, b.Errors, b.Latency, b.Falls = 2*time.Minute, "report", 0, false, 0
		})},
		{"bake: {errors: 2.5%, errors_factor: 2, latency: on, slower_by: 1s, slower_factor: 1.5, falls: 1, false_alarms: 0.1%}", with(func(b *Bake) {
			b.Errors, b.ErrorsFactor, b.SlowerBy, b.SlowerFactor, b.Falls, b.FalseAlarms = 0.025, 2, time.Second, 1.5, 1, 0.001
		})},
	}
	for _, row := range rows {
		equal(t, row.text, one(t, "pools: {blue: x:1, green: x:2}", row.text).Bake, row.want)
	}
	equal(t, "one pool may say how a bake is judged that nobody asks for", one(t, "backends: x:1", "bake: {min_requests: 7}").Bake.MinRequests, 7)
}
