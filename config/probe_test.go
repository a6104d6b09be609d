package config

import (
	"testing"
	"time"
)

func TestProbes(t *testing.T) {
	isolate(t)
	probe := func(path string, change func(*Probe)) Probe {
		p := Probe{Method: "GET", Path: path, Status: []StatusRange{{200, 399}}, Timeout: 5 * time.Second}
		if change != nil {
			change(&p)
		}
		return p
	}
	rows := []struct {
		text  string
		want  []Probe
		every time.Duration
	}{
		{"bake: 60s", nil, 500 * time.Millisecond},
		{"bake: {probes: /}", []Probe{probe("/", nil)}, 500 * time.Millisecond},
		{`bake: {probes: [/, "/a?b=c"], every: 2s}`, []Probe{probe("/", nil), probe("/a?b=c", nil)}, 2 * time.Second},
		{"bake: {probes: [{path: /a, method: HEAD, host: example.com, timeout: 1s, expect: {status: [200, 3xx]}}]}", []Probe{probe("/a", func(p *Probe) {
			p.Method, p.Host, p.Timeout, p.Status = "HEAD", "example.com", time.Second, []StatusRange{{200, 200}, {300, 399}}
		})}, 500 * time.Millisecond},
	}
	for _, row := range rows {
		b := one(t, "pools: {blue: x:1, green: x:2}", row.text).Bake
		equal(t, row.text, b.Probes, row.want)
		equal(t, row.text, b.Every, row.every)
	}
	equal(t, "below the path of the service", one(t, "path: /shop", "backends: x:1", `bake: {probes: [/shop, /shop/x, "/shop?a=b"]}`).Bake.Probes[2].Path, "/shop?a=b")
	equal(t, "the path of the service", one(t, "path: /shop", "backends: x:1", "bake: {probes: {method: HEAD}}").Bake.Probes[0].Path, "/shop")
	equal(t, "by one of its hosts", one(t, `hosts: ["*.example.com"]`, "backends: x:1", "bake: {probes: {path: /, host: \"A.example.com:8080\"}}").Bake.Probes[0].Host, "A.example.com:8080")
}
