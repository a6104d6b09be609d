package proxy

import (
	"context"
	"testing"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// drainFirst takes the first origin out of traffic, as control does, and drains it.
func (w *world) drainFirst(policy drain.Policy) <-chan drain.Report {
	gone := w.origins[0]
	w.origins = w.origins[1:]
	w.route(2)
	report, closed := make(chan drain.Report, 1), make(chan struct{})
	go func() {
		report <- drain.Run(context.Background(), drain.Job{
			Gates: []*drain.Gate{gone.Gate}, Inside: func() []drain.Item { return w.proxy.Ledger.Inside(gone.Gate) },
			Nudge: func() { gone.Endpoint.CloseIdle(); close(closed) }, Policy: policy,
		})
	}()
	<-closed
	return report
}

var patient = drain.Policy{Timeout: 5 * time.Second, Stream: 5 * time.Second, WebSocket: 5 * time.Second}

func TestReceiptTellsRetriesFromFailures(t *testing.T) {
	w := newWorld(t, 2, generous)
	var backends []*peer
	first, second := w.origins[0], w.origins[1]
	for _, request := range []string{get, get, post + "Content-Length: 2\r\n\r\nhi", get, get, get} { // in turn: three to each
		w.ask(request)
		o := w.origins[len(backends)%2]
		b := o.conn()
		b.head()
		backends = append(backends, b)
	}
	report := w.drainFirst(patient)
	backends[0].reset() // a GET is sent again to the other
	b := second.conn()
	b.head()
	backends[2].reset() // a POST that was sent is not repeated
	backends[4].send(ok0)
	rep := <-report
	if want := (drain.Count{Found: 3, Finished: 1, Retried: 1, Failed: 1}); rep.Count != want || rep.Classes[drain.Request] != want {
		t.Errorf("%+v, %+v", rep.Count, rep.Classes)
	}
	if n := first.Gate.Inside(); n != 0 {
		t.Errorf("%d inside", n)
	}
	b.send(ok0)
}

// TestNoRetryWithoutAnotherBackend: what has nowhere to go is not told as saved.
func TestNoRetryWithoutAnotherBackend(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.ask(get)
	b := w.origins[0].conn()
	b.head()
	report := w.drainFirst(patient)
	b.reset()
	if rep := <-report; rep.Count != (drain.Count{Found: 1, Failed: 1}) {
		t.Errorf("%+v", rep.Count)
	}
	if o := w.over(); o.Status != 503 && o.Status != 502 {
		t.Errorf("%+v", o)
	}
}

// TestFailureBeforeADrainIsNoPartOfIt and neither is a request that came after it elsewhere.
func TestFailureBeforeADrainIsNoPartOfIt(t *testing.T) {
	w := newWorld(t, 2, generous)
	w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.reset()
	saved := w.origins[1].conn()
	saved.head()
	if rep := <-w.drainFirst(patient); rep.Found != 0 || rep.Retried != 0 {
		t.Errorf("%+v", rep.Count)
	}
	saved.send(ok0)
	w.over()
}

// TestCutThatCameTooLate: the answer was whole when the drain wanted to end it, and the receipt must not say that it was cut.
func TestCutThatCameTooLate(t *testing.T) {
	ex := incoming(false)
	ex.Peer = &Peer{}
	for _, row := range []struct {
		whole bool
		want  drain.Outcome
	}{{true, drain.Finished}, {false, drain.WasCut}} {
		ex.cut.Store(true)
		ex.whole = row.whole
		if e := New(generous, nil).ending(ex, nil); e.Outcome != row.want || (e.Item != nil) != (row.want == drain.WasCut) {
			t.Errorf("whole %v: %+v", row.whole, e)
		}
	}
}

// TestTwoDrainsOfOneRequest: one has a shorter deadline. The receipt of the other says too that the request was cut.
func TestTwoDrainsOfOneRequest(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.ask(get)
	b := w.origins[0].conn()
	b.head()
	w.inside(1)
	slow := w.drainFirstKeeping(patient)
	if rep := cutAll(w); rep.Cut != 1 || len(rep.CutList) != 1 {
		t.Errorf("the hasty one: %s", rep)
	}
	if rep := <-slow; rep.Cut != 1 || len(rep.CutList) != 1 || rep.CutList[0].Path != "/" {
		t.Errorf("the patient one: %s, %+v", rep, rep.CutList)
	}
	w.over()
}

func (w *world) drainFirstKeeping(policy drain.Policy) <-chan drain.Report {
	all := w.origins
	report := w.drainFirst(policy)
	w.origins = all
	return report
}

func TestOthers(t *testing.T) {
	w := newWorld(t, 2, generous)
	var tried upstream.Tried
	for i, want := range []bool{true, true, false} {
		if got := w.service.Live.Others(&tried); got != want {
			t.Errorf("%d tried: %v", i, got)
		}
		if i < 2 {
			tried.Add(w.origins[i].Endpoint)
		}
	}
}
