package deploy

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/judge"
)

// parted is a control of one service that is split, and has had its verdict.
type parted struct {
	*oven
	old uint64 // errors of a hundred of the live pool
}

func (p parted) SplitFigures(string) (old, new judge.Sample) {
	_, new = p.BakeFigures("web", nil)
	old.Requests = 20 * new.Requests
	old.Errors = old.Requests * p.old / 100
	return old, new
}

func (p parted) EndSplit(_ context.Context, service string, id uint64, _ string) (*control.Operation, error) {
	p.happens(func() {
		p.done = append(p.done, fmt.Sprintf("split %d of %s ended at %s", id, service, time.Since(p.began)))
		svc := *p.state.Services["web"]
		svc.Split = nil
		p.state.Services = map[string]*control.Service{"web": &svc}
	})
	return nil, nil
}

// TestSplitsAreGuarded: for the length of a split its pool is compared with the live one, and worse ends it; what hits both does
// not, and neither does one that is watched otherwise.
func TestSplitsAreGuarded(t *testing.T) {
	for _, row := range []struct {
		why         string
		rate        uint64
		errors, old uint64
		change      func(*control.Service)
		want        string
	}{
		{"a good one", 50, 0, 0, nil, ""},
		{"one in five fails", 50, 20, 0, nil, "split 7 of web ended at"},
		{"so does the live one", 50, 20, 20, nil, ""},
		{"nobody comes", 0, 0, 0, nil, ""},
		{"not judged", 50, 20, 0, func(svc *control.Service) { svc.Split.Judged = false }, ""},
		{"it has no verdict yet", 50, 20, 0, func(svc *control.Service) { svc.Bake = &control.Bake{ID: "8", Split: true} }, ""},
		{"only to report", 50, 20, 0, func(svc *control.Service) { svc.File.Bake.OnWorse = config.OnWorseReport }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := parted{newOven(t, time.Second, nil), row.old}
			p.rate, p.errors = row.rate, row.errors
			svc := p.state.Services["web"]
			svc.Live, svc.Bake = "blue", nil
			svc.Split = &control.Split{ID: 7, Live: "blue", Judged: true, Arms: []control.Arm{{Pool: "green"}}}
			file := config.Bake{MinRequests: 50, FalseAlarms: 0.01, Errors: 0.005, ErrorsFactor: 1.25, SlowerFactor: 1.25}
			svc.File = &config.Service{Bake: file}
			if row.change != nil {
				row.change(svc)
			}
			ws := Watch(p, time.Now, Splits(p))
			defer ws.Close()
			time.Sleep(2 * time.Minute)
			if got := p.did(); len(got) < len(row.want) || got[:len(row.want)] != row.want || row.want == "" && got != "" {
				t.Errorf("%s: %q, want %q", row.why, got, row.want)
			}
		})
	}
}
