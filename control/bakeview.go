package control

import (
	"time"

	"sluice/judge"
)

// BakeStatus is a bake as it is seen from outside.
type BakeStatus struct {
	ID          string        `json:"id"`
	Service     string        `json:"service"`
	State       BakeState     `json:"state"`
	From        string        `json:"from"`
	FromRelease string        `json:"from_release,omitempty"`
	To          string        `json:"to"`
	Release     string        `json:"release,omitempty"`
	Began       time.Time     `json:"began"`
	Ends        time.Time     `json:"ends"`
	Ended       *time.Time    `json:"ended,omitempty"`
	Left        float64       `json:"left_s"`
	OnWorse     string        `json:"on_worse"`         // "rollback" or "report"
	Why         string        `json:"why,omitempty"`    // of the verdict; while it bakes: why it is worse
	Stuck       string        `json:"stuck,omitempty"`  // why it is not rolled back although it is worse
	Signal      string        `json:"signal,omitempty"` // of a verdict of worse: "errors", "resets", "health", "p50", "p95"
	New         judge.Figures `json:"new"`
	Old         judge.Figures `json:"old"`                           // of the last minutes before the flip; of a split since the same moment
	Split       bool          `json:"split,omitempty"`               // it takes a share beside the old one
	Rollback    uint64        `json:"rollback_generation,omitempty"` // of the rollback that was made of it
}

// bake is the bake of a service that is to be seen; nil: there is none.
func (v *view) bake(svc *Service) *BakeStatus {
	b := svc.lastBake()
	if b == nil {
		return nil
	}
	var old, new judge.Sample
	if b.Running() {
		old, new = v.c.BakeFigures(svc.Name, b)
	}
	out := b.status(svc.Name, v.at, old.Figures(), new.Figures())
	return &out
}

func (b *Bake) status(service string, at time.Time, old, new judge.Figures) BakeStatus {
	out := BakeStatus{
		ID: b.ID, Service: service, State: b.State(), From: b.From.Pool, FromRelease: b.From.release(), To: b.To.Pool, Release: b.To.release(),
		Began: b.Began, Ends: b.Ends, OnWorse: b.onWorse(), Why: b.Worse, Stuck: b.Stuck, Old: old, New: new, Split: b.Split,
	}
	if e := b.End; e != nil {
		out.Ended, out.Why, out.Signal, out.Old, out.New, out.Rollback = &e.At, e.Why, e.Signal, e.Old, e.New, e.Rollback
		return out
	}
	out.Left = max(0, b.Ends.Sub(at).Round(time.Millisecond).Seconds())
	return out
}
