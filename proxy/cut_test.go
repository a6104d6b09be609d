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

const events = ok + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestEventStreamIsCutBetweenEvents(t *testing.T) {
	for reason, stream := range map[string]string{
		"between two events":   "9\r\ndata: x\n\n\r\n",
		"before the first":     "",
		"an event in pieces":   "5\r\ndata:\r\n4\r\n x\n\n\r\n",
		"charset in the type":  "9\r\ndata: y\n\n\r\n",
		"with CRLF line ends":  "b\r\ndata: x\r\n\r\n\r\n",
		"a comment, as a ping": "3\r\n:\n\n\r\n",
	} {
		w := newWorld(t, 1, generous)
		c := w.ask(get)
		b := w.origins[0].conn()
		b.head()
		head := events
		if strings.HasPrefix(reason, "charset") {
			head = strings.Replace(head, "event-stream", "event-stream; charset=utf-8", 1)
		}
		b.send(head, stream)
		c.head()
		c.expect(stream)
		waitFor(t, "it is a stream", func() bool { return w.inside(1)[0].Class == drain.Stream })
		rep := cutAll(w)
		if rep.Cut != 1 || rep.Left != 0 || rep.Classes[drain.Stream].Cut != 1 {
			t.Errorf("%s: %s", reason, rep)
		}
		c.expect(last) // a clean end: the client connects again by itself
		b.rest()
		if o := w.over(); o.Err != nil || o.Lost {
			t.Errorf("%s: %+v", reason, o)
		}
	}
}

func TestEventStreamIsNotCutInAnEventUnseen(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	b.send(events, "9\r\ndata: x\n\n\r\n", "7\r\ndata: y\r\n")
	c.head()
	c.expect("9\r\ndata: x\n\n\r\n7\r\ndata: y\r\n")
	rep := cutAll(w)
	if text, _ := c.rest(); strings.Contains(text, last) {
		t.Errorf("half an event was made to look whole: %q", text)
	}
	if o := w.over(); rep.Cut != 1 || o.Err != errCut || !o.Lost {
		t.Errorf("%s, %+v", rep, o)
	}
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

func TestWebSocketIsCutWithAClose(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	text := string(frame(true, 1, false, []byte("hi")))
	b.send(text)
	c.expect(text)
	masked := string(frame(true, 1, true, []byte("ho")))
	c.send(masked)
	b.expect(masked)
	done := make(chan drain.Report, 1)
	go func() { done <- cutAll(w) }()
	c.expect("\x88\x02\x03\xe9")
	b.expect("\x88\x82\x00\x00\x00\x00\x03\xe9")
	c.send(string(frame(true, 8, true, []byte{3, 0xe9}))) // each answers as it should
	b.send(string(frame(true, 8, false, []byte{3, 0xe9})))
	c.closeWrite()
	b.closeWrite()
	if text, whole := c.rest(); text != "" || !whole {
		t.Errorf("the client got %q, and whole: %v", text, whole)
	}
	if text, whole := b.rest(); text != "" || !whole {
		t.Errorf("the backend got %q, and whole: %v", text, whole)
	}
	if rep := <-done; rep.Classes[drain.WebSocket].Cut != 1 || rep.Took > closeEcho {
		t.Errorf("%s", rep)
	}
	w.over()
}

// TestWebSocketPeersThatDoNotAnswer get a while, and the drain goes on.
func TestWebSocketPeersThatDoNotAnswer(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	rep := cutAll(w)
	c.expect("\x88\x02\x03\xe9")
	b.expect("\x88\x82\x00\x00\x00\x00\x03\xe9")
	if rep.Cut != 1 || rep.Took < closeEcho || rep.Took > 4*closeEcho {
		t.Errorf("%s", rep)
	}
}

func TestCloseIsPutBetweenMessages(t *testing.T) {
	fragment := string(frame(false, 1, false, []byte("first half")))
	whole := string(frame(true, 1, true, []byte("whole")))
	tests := []struct {
		reason               string
		toClient, toBackend  string
		clientGets, backGets bool
	}{
		{"both between messages", "", whole, true, true},
		{"inside of a frame towards the client", string(frame(true, 1, false, []byte("abc")))[:4], whole, false, true},
		{"inside of a fragmented message towards the client", fragment, "", false, true},
		{"inside of a frame towards the backend", "", whole[:7], true, false},
		{"a Close went to the client already", string(frame(true, 8, false, []byte{3, 0xe8})), "", false, true},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		c, b := open(w, "websocket")
		b.send(test.toClient)
		c.expect(test.toClient)
		c.send(test.toBackend)
		b.expect(test.toBackend)
		cutAll(w)
		toClient, _ := c.rest()
		toBackend, _ := b.rest()
		if (toClient == string(closeGoingAway)) != test.clientGets || !test.clientGets && toClient != "" {
			t.Errorf("%s: the client got %x", test.reason, toClient)
		}
		if (toBackend == string(closeGoingAwayMasked)) != test.backGets || !test.backGets && toBackend != "" {
			t.Errorf("%s: the backend got %x", test.reason, toBackend)
		}
	}
}

func TestOtherTunnelsAreJustClosed(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "postgres")
	rep := cutAll(w)
	c.ends()
	b.ends()
	if rep.Classes[drain.Tunnel].Cut != 1 || rep.Took > time.Second {
		t.Errorf("%s", rep)
	}
}

// TestCutOfATunnelWhoseClientTakesNothing unwinds as well.
func TestCutOfATunnelWhoseClientTakesNothing(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Write: time.Minute, Tunnel: time.Minute})
	_, b := open(w, "websocket")
	go io.Copy(b.Conn, io.LimitReader(zeroes{}, 64<<20))
	b.stuck()
	if rep := cutAll(w); rep.Left != 0 || rep.Cut != 1 || rep.Took > 3*time.Second {
		t.Errorf("%s", rep)
	}
	w.over()
}

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
	conn, err := lease.Connect(context.Background())
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
