package proxy

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/drain"
)

func newGate() *drain.Gate { return drain.NewGate() }

// cutAll drains the first origin with a policy that waits for nothing.
func cutAll(w *world) drain.Report {
	gate := w.origins[0].Gate
	return drain.Run(context.Background(), drain.Job{
		Gates: []*drain.Gate{gate}, Inside: func() []drain.Item { return w.proxy.Ledger.Inside(gate) },
		Nudge: w.origins[0].Endpoint.CloseIdle,
	})
}

func TestCutRequestIsAnswered(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	rep := cutAll(w)
	c.has("HTTP/1.1 503", "Retry-After: 1")
	b.rest()
	if o := w.over(); rep.Cut != 1 || o.Err != errCut || o.Retries != 0 || rep.CutList[0].ID != o.ID {
		t.Errorf("%s, %+v", rep, o)
	}
}

func TestCutUploadEnds(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(post, long, enough)
	b := w.origins[0].conn()
	b.head()
	b.expect(enough)
	rep := cutAll(w)
	c.has("HTTP/1.1 503", "Connection: close")
	if o := w.over(); rep.Classes[drain.Upload].Cut != 1 || o.Err != errCut {
		t.Errorf("%s, %+v", rep, o)
	}
}

func TestCutDownloadIsVisiblyIncomplete(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(ok, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	c.head()
	c.expect("5\r\nhello\r\n")
	cutAll(w)
	if text, _ := c.rest(); text != "" {
		t.Errorf("%q", text)
	}
}

// TestCutOfAClientThatTakesNothing: the response waits in a full socket. It must unwind too, or it would hold a deploy.
func TestCutOfAClientThatTakesNothing(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: time.Minute, Body: time.Minute, Write: time.Minute})
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	go io.Copy(b.Conn, io.MultiReader(strings.NewReader(ok+"\r\n"), io.LimitReader(zeroes{}, 64<<20)))
	waitFor(t, "the answer began", func() bool { return w.inside(1)[0].Class != drain.Upload && b.stuck() })
	rep := cutAll(w)
	if rep.Left != 0 || rep.Cut != 1 || rep.Took > lastTake+2*time.Second {
		t.Errorf("%s", rep)
	}
	w.over()
	c.Close()
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// stuck waits long enough for the sockets between here and there to fill up.
func (p *peer) stuck() bool { time.Sleep(200 * time.Millisecond); return true }

func TestClientThatLeavesEndsTheBackendsWork(t *testing.T) {
	w := newWorld(t, 2, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	ex := <-w.exchanges
	if ex.Unwatched(time.Now().Add(-time.Hour)) || !ex.Unwatched(time.Now().Add(time.Hour)) {
		t.Error("it has been at the backend for a moment, and nobody reads from its client")
	}
	c.Close()
	ex.ClientGone()
	b.ends()
	if o := w.over(); o.Status != 499 || o.Err != errGone || o.Retries != 0 || o.Lost {
		t.Errorf("%+v", o)
	}
	w.origins[1].unused()
	if ex.Unwatched(time.Now().Add(time.Hour)) {
		t.Error("over, but still to be watched")
	}
}

// TestClientThatLeftBetweenAttempts: the news comes while the exchange is inside of no backend, and comes once.
func TestClientThatLeftBetweenAttempts(t *testing.T) {
	o := newOrigin(t)
	ex := incoming(false)
	lease, err := (&world{t: t, proxy: testProxy, origins: []*origin{o}}).lease()
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	ex.ClientGone()
	ex.enter(o.Gate)
	conn, err := lease.Connect(context.Background(), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Discard(conn)
	if ex.carry(conn.HTTP()); !conn.HTTP().Interrupted() {
		t.Error("a backend was set to work for nobody")
	}
	if ex.Reset(time.Now()); ex.gone.Load() {
		t.Error("the next request is another one")
	}
}
