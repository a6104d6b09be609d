package proxy

import (
	"testing"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

func (w *world) lease() (upstream.Lease, error) {
	return upstream.NewPool("p", upstream.RoundRobin, []*upstream.Backend{w.origins[0].Backend}).Claim(&upstream.Tried{})
}

func TestLedgerListsPerGate(t *testing.T) {
	w := newWorld(t, 2, generous)
	var backends []*peer
	for i := range 4 { // in turn: two to each
		c := w.ask("GET /", string(rune('a'+i)), " HTTP/1.1\r\nHost: h\r\n\r\n")
		defer c.Close()
		b := w.origins[i%2].conn()
		b.head()
		backends = append(backends, b)
	}
	l := &w.proxy.Ledger
	first, second := w.origins[0].Gate, w.origins[1].Gate
	if a, b, both, all := len(l.Inside(first)), len(l.Inside(second)), len(l.Inside(first, second)), len(l.Inside()); a != 2 || b != 2 || both != 4 || all != 4 {
		t.Errorf("%d, %d, %d, %d inside", a, b, both, all)
	}
	if n := len(l.Inside(drain.NewGate())); n != 0 {
		t.Errorf("%d inside of a gate that nobody entered", n)
	}
	items := l.Inside(first)
	it := items[0]
	if it.Path != "/a" || items[1].Path != "/c" || it.Method != "GET" || it.Host != "h" || it.Client != "192.0.2.7" || it.ID == "" || it.Class != drain.Request {
		t.Errorf("%+v: the oldest first, and told in full", items)
	}
	for _, b := range backends {
		b.send(ok0)
		w.over()
	}
	if n := len(l.Inside()); n != 0 {
		t.Errorf("%d inside after all were answered", n)
	}
}

// TestStaleItemCutsNothing: an item was listed, its request ended, and the next one on the connection is under way.
func TestStaleItemCutsNothing(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	stale := w.inside(1)[0]
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	if stale.Cut(0) {
		t.Error("cut what was over")
	}
	c.send(get)
	b.head()
	if stale.Cut(0) {
		t.Error("cut the next request")
	}
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
}

// TestStaleItemOfAnAttempt: a request that was sent to another backend meanwhile is not inside of the first.
func TestStaleItemOfAnAttempt(t *testing.T) {
	w := newWorld(t, 2, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	stale := w.inside(1)[0]
	b.reset()
	b = w.origins[1].conn()
	b.head()
	if stale.Cut(0) {
		t.Error("cut at a backend that is not drained")
	}
	if n := len(w.proxy.Ledger.Inside(w.origins[0].Gate)); n != 0 {
		t.Error("still listed at the first")
	}
	b.send(ok0)
	c.has("HTTP/1.1 200")
}

func TestTwoRequestsWithOneID(t *testing.T) {
	w := newWorld(t, 1, generous)
	for range 2 {
		w.ask("GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: same\r\n\r\n")
		w.origins[0].conn().head()
	}
	if items := w.inside(2); items[0].ID != "same" || items[1].ID != "same" || items[0].Key == items[1].Key {
		t.Errorf("%+v: one id, and yet two requests", items)
	}
	if rep := cutAll(w); rep.Found != 2 || rep.Cut != 2 || len(rep.CutList) != 2 {
		t.Errorf("%s", rep)
	}
}

func TestUnknownLengthBecomesAStream(t *testing.T) {
	ex := incoming(false)
	gate := drain.NewGate()
	ex.enter(gate)
	ex.headAt = time.Now()
	ex.setClass(unknownLength)
	for age, class := range map[time.Duration]drain.Class{
		0: drain.Request, longDownload - time.Second: drain.Request, longDownload + time.Second: drain.Stream,
	} {
		if it, _ := ex.item(nil, ex.headAt.Add(age)); it.Class != class {
			t.Errorf("after %s: %s, want %s", age, it.Class, class)
		}
	}
}

// TestLateCutDoesNotPoisonTheConnection: the cut comes when the answer is complete already. The connection was made to
// fail, so it must not be kept for the next request.
func TestLateCutDoesNotPoisonTheConnection(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.dial()
	l := (<-w.exchanges).Client.(*link)
	for range 3 {
		l.cutAtFlush.Store(true)
		c.send(get)
		b := w.origins[0].conn()
		b.head()
		b.send(ok0)
		c.has("HTTP/1.1 200")
		if o := w.over(); o.Err != nil {
			t.Errorf("%+v: it was complete", o)
		}
		b.ends()
	}
}

func TestLedgerForgets(t *testing.T) {
	var l Ledger
	ex := incoming(false)
	l.Remove(ex)
	l.Add(ex)
	ex.enter(drain.NewGate())
	if len(l.Inside()) != 1 {
		t.Error("not listed")
	}
	l.Remove(ex)
	if len(l.Inside()) != 0 {
		t.Error("listed after it was removed")
	}
}
