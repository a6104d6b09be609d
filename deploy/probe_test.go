package deploy

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/judge"
	"sluice/proxy"
)

// asks has the file of the oven's service name probes.
func (o *oven) asks(paths ...string) {
	file := &config.Service{Bake: config.Bake{Every: 500 * time.Millisecond}}
	for _, p := range paths {
		file.Bake.Probes = append(file.Bake.Probes, config.Probe{Method: "GET", Path: p, Status: []config.StatusRange{{Low: 200, High: 399}}, Timeout: time.Second})
	}
	svc := *o.state.Services["web"]
	svc.File = file
	o.state.Services["web"] = &svc
}

// TestProbesAreSentWhileABakeGoesOn, to both releases, each in its turn; and none before it and after it.
func TestProbesAreSentWhileABakeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOven(t, 2*time.Second, nil)
		o.asks("/", "/search")
		o.rate = 500
		ws := Watch(o, time.Now, Bakes(o, time.Now))
		time.Sleep(time.Minute)
		done := strings.Split(o.did(), "; ")
		count := map[string]int{}
		for _, one := range done {
			count[one]++
		}
		for _, one := range []string{"probe blue /", "probe green /", "probe blue /search", "probe green /search"} {
			if n := count[one]; n < 2 || n > 3 {
				t.Errorf("%s %d times in two seconds", one, n)
			}
		}
		if len(done) > 11 || count["passed at 2s"] != 1 {
			t.Error(done)
		}
		ws.Close()
	})
}

// stuck is a prober whose probes are answered when they are called off.
type stuck struct{ begun, ended atomic.Int64 }

func (s *stuck) Probe(ctx context.Context, _, _ string, _ *proxy.Figures, _ *proxy.Probe) {
	s.begun.Add(1)
	<-ctx.Done()
	s.ended.Add(1)
}

// TestProbesEndWithTheirOwner, whatever they wait for.
func TestProbesEndWithTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{}
		svc := &control.Service{Name: "web", File: &config.Service{Bake: config.Bake{Every: time.Second, Probes: []config.Probe{{Path: "/"}}}}}
		g := probesOf(s, svc, "blue", "green").start(t.Context())
		time.Sleep(10 * time.Second)
		if s.begun.Load() != 2 || s.ended.Load() != 0 {
			t.Error("one for each release", s.begun.Load(), s.ended.Load())
		}
		g.stop()
		if s.ended.Load() != 2 {
			t.Error(s.ended.Load())
		}
	})
	if g := (Probing{}).start(t.Context()); g != nil {
		t.Error("there is nothing to ask")
	} else {
		g.tell(judge.New(judge.Defaults()))
		g.stop()
	}
}

func TestWhatAProbeExpects(t *testing.T) {
	p := probeOf(&config.Probe{Method: "HEAD", Path: "/a", Host: "b", Timeout: time.Second, Status: []config.StatusRange{{Low: 200, High: 204}, {Low: 301, High: 301}}})
	if !p.Good(200) || !p.Good(301) || p.Good(205) || p.Good(500) || p.Method != "HEAD" || p.Target != "/a" || p.Host != "b" || p.Timeout != time.Second {
		t.Errorf("%+v", p)
	}
}
