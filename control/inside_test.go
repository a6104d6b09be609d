package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/drain"
)

func TestInsideRefusesWhatThereIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1")
		w.mustStart()
		defer w.c.Close()
		for _, want := range []InsideWant{{Service: "shop"}, {Service: "web", Pool: "red"}, {Service: "web", Backend: "c:1"}, {Service: "web", Pool: "green", Backend: "a:1"}} {
			_, err := w.c.Inside(want)
			if r := refusalOf(t, err); r.Kind != "unknown" || r.Hint == "" {
				t.Errorf("%+v: %+v", want, r)
			}
		}
		for _, want := range []InsideWant{{}, {Service: "web", Pool: "green", Draining: true}, {Service: "web", Backend: "blue/a:1"}} {
			if l, err := w.c.Inside(want); err != nil || l.Total != 0 || l.Items == nil {
				t.Errorf("%+v: %+v %v", want, l, err)
			}
		}
	})
}

// TestHistoryKeepsCutsByID: of very many the oldest, and how many more there were.
func TestHistoryKeepsCutsByID(t *testing.T) {
	report := &drain.Report{Count: drain.Count{Found: 1500, Cut: 1500}}
	for range 1000 {
		report.CutList = append(report.CutList, drain.Item{ID: "52a1c0ffee000001-1", Path: "/" + strings.Repeat("x", 500), Began: time.Unix(1, 0)})
	}
	report.CutMore = 500
	w := newWorld(t, "web blue=a:1")
	w.mustStart()
	defer w.c.Close()
	w.c.append(Entry{Kind: "change", Generation: 1, Service: "web", Outcome: &Receipt{Drain: report}})
	all, err := w.c.History("web", 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v %v", all, err)
	}
	d := all[0].Outcome.Drain
	if d.CutAll() != 1500 || len(d.CutList) == 0 || len(d.CutList) == 1000 || d.CutList[0].ID != "52a1c0ffee000001-1" {
		t.Errorf("%d listed, %d more", len(d.CutList), d.CutMore)
	}
}
