package control

import (
	"testing"

	"sluice/drain"
	"sluice/proxy"
)

// TestADrainSeesTheStrainOfItsService: what the drained service's counters say from the begin of the drain on, and not what
// another's do.
func TestADrainSeesTheStrainOfItsService(t *testing.T) {
	c := New(Options{Config: fileOf(t), Proxy: proxy.New(proxy.Timeouts{}, nil)})
	jobs := c.jobs(c.State(), []leaver{{Key: Key{Service: "api"}, gate: drain.NewGate()}, {Key: Key{Service: "web"}, gate: drain.NewGate()}})
	if len(jobs) != 2 || jobs[0].Strain() || jobs[1].Strain() {
		t.Fatalf("%d jobs, or strain where nothing happened", len(jobs))
	}
	c.builder.counter("web").Status[5].Add(10)
	if jobs[0].Strain() || !jobs[1].Strain() {
		t.Error("the failures of web are strain to web's drain alone")
	}
}
