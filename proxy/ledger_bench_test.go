package proxy

import (
	"testing"
	"time"

	"sluice/drain"
)

// BenchmarkLook is one look at a hundred thousand exchanges that are inside; who watches a drain takes four a second.
func BenchmarkLook(b *testing.B) {
	var l Ledger
	gate := drain.NewGate()
	for i := range 100_000 {
		ex := incoming(false)
		ex.Peer = &Peer{}
		ex.Began = time.Now().Add(-time.Duration(i*7919%100_000) * time.Millisecond)
		ex.enter(gate)
		l.Add(ex)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Look(20, gate)
	}
}

// BenchmarkFlow is what a transfer pays for being counted, each time it waits.
func BenchmarkFlow(b *testing.B) {
	p := New(generous, nil)
	ex := incoming(false)
	for b.Loop() {
		ex.BytesOut += 4096
		p.countOut(ex)
	}
}

// BenchmarkNoFlow is what a request without a body pays.
func BenchmarkNoFlow(b *testing.B) {
	p := New(generous, nil)
	ex := incoming(false)
	for b.Loop() {
		p.countOut(ex)
	}
}
