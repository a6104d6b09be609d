package main

import (
	"strings"
	"testing"
	"time"

	"sluice/control"
)

func TestSchemaView(t *testing.T) {
	says := &control.SchemaStatus{Have: 812, By: "blue/b:1"}
	pool := func(name string, r control.SchemaRange) control.PoolStatus {
		return control.PoolStatus{Name: name, Schema: &r}
	}
	rows := []struct {
		s    control.ServiceStatus
		want string
	}{
		{control.ServiceStatus{Pools: []control.PoolStatus{{Name: "blue"}}}, ""},
		{control.ServiceStatus{Schema: says, Pools: []control.PoolStatus{pool("blue", control.SchemaRange{Min: 808, Max: 812}), {Name: "red"}, pool("green", control.SchemaRange{Min: 813, Max: 830})}},
			"  schema    812, says blue/b:1; blue 808-812; green 813-830, not for 812\n"},
		{control.ServiceStatus{Schema: says, Pools: []control.PoolStatus{pool("blue", control.SchemaRange{Min: 813, Max: 812})}},
			"  schema    812, says blue/b:1; blue none: its backends have no schema in common\n"},
		{control.ServiceStatus{Pools: []control.PoolStatus{pool("blue", control.SchemaRange{Fault: "b:1: schema.min is missing"})}},
			"  schema    blue b:1: schema.min is missing\n"},
	}
	for _, row := range rows {
		var b strings.Builder
		statusView{}.schema(&b, &row.s)
		if b.String() != row.want {
			t.Errorf("%q, want %q", b.String(), row.want)
		}
	}
}

func TestBlockersView(t *testing.T) {
	now := time.Unix(100, 0)
	ends := now.Add(90 * time.Second)
	got := blockersText([]control.Blocker{
		{Kind: "inside", What: "1 tunnel inside of blue/b:1", Ends: &ends}, {Kind: "backend", What: "blue/b:1 is up and reports no release", Unknown: true},
	}, now, true)
	want := "  inside: 1 tunnel inside of blue/b:1, over in 1m30s at the latest\n  backend: blue/b:1 is up and reports no release (unknown)\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	renewed := func(until string) string {
		return blockersText([]control.Blocker{{Kind: "lease", What: "lease job, renewed until " + until, Ends: &ends}}, now, false)
	}
	if renewed("2026-01-02T03:04:05Z") != renewed("2026-01-02T03:04:25Z") {
		t.Errorf("a renewal is news: %q", renewed("…"))
	}
}
