package main

import (
	"bytes"
	"testing"
	"time"

	"sluice/control"
	"sluice/drain"
	"sluice/healthcheck"
)

const goldenNames = `  name      app:3000  1 address, from 127.0.0.11:53, asked 2s ago
  name      old:3000  3 addresses as last known; not resolved for 1m30s: SERVFAIL from 127.0.0.11:53
  name      new:3000  no address for 5s: no such name: NXDOMAIN from 127.0.0.11:53
  name      next:3000  not resolved yet
  name      cdn:80  1000 addresses, and 7 more that are left out
`

func TestNamesText(t *testing.T) {
	var out bytes.Buffer
	statusView{now: noon}.names(&out, &control.ServiceStatus{Pools: []control.PoolStatus{{Names: []control.NameStatus{
		{Name: "app:3000", Addresses: 1, Answered: true, From: "127.0.0.11:53", Asked: noon.Add(-2 * time.Second)},
		{Name: "old:3000", Addresses: 3, Since: noon.Add(-90 * time.Second), Asked: noon, Reason: "SERVFAIL from 127.0.0.11:53"},
		{Name: "new:3000", Since: noon.Add(-5 * time.Second), Asked: noon, Reason: "no such name: NXDOMAIN from 127.0.0.11:53"},
		{Name: "next:3000"},
		{Name: "cdn:80", Addresses: 1000, More: 7, Answered: true, Asked: noon},
	}}}})
	if out.String() != goldenNames {
		t.Errorf("got:\n%swant:\n%s", &out, goldenNames)
	}
}

// TestNamedBackendsText: a backend says which name it came from, and one that is gone while requests finish is still seen.
func TestNamedBackendsText(t *testing.T) {
	for _, tt := range []struct {
		b    control.BackendStatus
		want string
	}{
		{control.BackendStatus{Address: "10.0.0.1:3000"}, "10.0.0.1:3000"},
		{control.BackendStatus{Address: "10.0.0.1:3000", Name: "app:3000"}, "10.0.0.1:3000 (app:3000)"},
		{control.BackendStatus{Address: "10.0.0.1:3000", Name: "app:3000", Gone: true}, "10.0.0.1:3000 (app:3000, gone: until another is up)"},
	} {
		if got := backendText(tt.b); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
	s := aStatus()
	s.Services[0].Pools[0].Leaving = []control.LeavingStatus{{Address: "10.0.0.9:3000", Inside: 2, InsideBy: map[drain.Class]int{drain.Stream: 2}}}
	var out bytes.Buffer
	statusView{now: noon}.write(&out, s)
	if want := "10.0.0.9:3000  leaving  gone from the DNS            -        2 (stream 2)"; !bytes.Contains(out.Bytes(), []byte(want)) {
		t.Errorf("no %q in:\n%s", want, &out)
	}
}

// TestUndecided: the listeners wait for the first lookup, as for the first check.
func TestUndecided(t *testing.T) {
	for _, tt := range []struct {
		why  string
		pool control.PoolStatus
		want bool
	}{
		{"no lookup has ended", control.PoolStatus{Names: []control.NameStatus{{Name: "app:1"}}}, true},
		{"one brought nothing", control.PoolStatus{Names: []control.NameStatus{{Name: "app:1", Asked: noon}}}, false},
		{"no check has ended", control.PoolStatus{
			Names: []control.NameStatus{{Name: "app:1", Asked: noon}}, Backends: []control.BackendStatus{{Admin: control.Ready}},
		}, true},
		{"one is down", control.PoolStatus{Backends: []control.BackendStatus{{Admin: control.Ready, Health: healthcheck.Down}}}, false},
	} {
		if got := undecided(tt.pool); got != tt.want {
			t.Errorf("%s: %v", tt.why, got)
		}
	}
}
