package drain

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReportText(t *testing.T) {
	tests := []struct {
		want string
		rep  Report
	}{
		{"inside 0: 0 finished, 0 cut in 0s", Report{}},
		{"inside 3: 2 finished, 1 cut (websocket 1) in 10s", Report{
			Count: Count{Found: 3, Finished: 2, Cut: 1}, Took: 10 * time.Second,
			Classes: map[Class]Count{Request: {Found: 2, Finished: 2}, WebSocket: {Found: 1, Cut: 1}},
		}},
		{"inside 4: 1 finished, 0 cut, 2 retried elsewhere, 1 failed in 1s", Report{Count: Count{Found: 4, Finished: 1, Retried: 2, Failed: 1}, Took: time.Second}},
		{"inside 5: 1 finished, 3 cut (request 1, stream 2), 1 still inside in 1.235s", Report{
			Count: Count{Found: 5, Finished: 1, Cut: 3, Left: 1}, Took: 1234567 * time.Microsecond,
			Classes: map[Class]Count{Stream: {Cut: 2}, Request: {Cut: 1}},
		}},
	}
	for _, test := range tests {
		if got := test.rep.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestReportArithmetic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("1", Request, 2*time.Second)
		w.begin("2", Upload, forever)
		w.begin("3", Stream, forever)
		w.begin("4", Tunnel, forever).hangs = true
		w.begin("5", WebSocket, 4*time.Second)
		rep := Run(t.Context(), w.job())
		if rep.Found != rep.Finished+rep.Cut+rep.Left || rep.Found != 5 {
			t.Errorf("%+v does not add up", rep.Count)
		}
		for class, c := range rep.Classes {
			if c.Found != c.Finished+c.Cut+c.Left {
				t.Errorf("%s: %+v does not add up", class, c)
			}
		}
		var total Count
		for _, c := range rep.Classes {
			total = total.plus(c)
		}
		if total != rep.Count {
			t.Errorf("by class %+v, in all %+v", total, rep.Count)
		}
		for i := 1; i < len(rep.CutList); i++ {
			if rep.CutList[i].Began.Before(rep.CutList[i-1].Began) {
				t.Error("the oldest is not first")
			}
		}
	})
}

// TestCarriers: an exit's gate counts connections, and the receipt is about what they carried.
func TestCarriers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(t)
		w.begin("1", Request, time.Second)
		w.gate.Enter() // a connection that carries nothing
		time.AfterFunc(2*time.Second, w.gate.Leave)
		job := w.job()
		job.Carriers = true
		if rep := Run(t.Context(), job); rep.Count != (Count{Found: 1, Finished: 1}) {
			t.Errorf("%+v", rep.Count)
		}
	})
}

func TestReportAsJSON(t *testing.T) {
	text, err := json.Marshal(Report{
		Count: Count{Found: 1, Cut: 1}, Took: time.Second, Classes: map[Class]Count{WebSocket: {Found: 1, Cut: 1}},
		CutList: []Item{{ID: "x", Key: 7, Class: WebSocket, Cut: func(time.Duration) bool { return true }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"found":1`, `"cut":1`, `"took_ns":1000000000`, `"websocket":{`, `"id":"x","class":"websocket"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || back.Classes[WebSocket].Cut != 1 {
		t.Errorf("read back: %+v, %v", back, err)
	}
}
