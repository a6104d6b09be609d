package proxy

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/drain"
)

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
		{"inside of a fragmented message towards the client, but between two frames", fragment, "", true, true},
		{"inside of a fragmented message, and of a ping in it", fragment + string(frame(true, 9, false, []byte("abc")))[:3], "", false, true},
		{"inside of a frame towards the backend", "", whole[:7], true, false},
		{"a Close went to the client already", string(frame(true, 8, false, []byte{3, 0xe8})), "", false, true},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			t.Parallel() // none of the peers answers, and each is waited for
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
		})
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

// cutting cuts all while the test goes on, and gives its report in the end.
func cutting(w *world) <-chan drain.Report {
	done := make(chan drain.Report, 1)
	go func() { done <- cutAll(w) }()
	waitFor(w.t, "the drain began", func() bool { return w.origins[0].Gate.Closed() })
	return done
}

// TestMessageUnderWayIsCompleted, however it is made up, before the Close.
func TestMessageUnderWayIsCompleted(t *testing.T) {
	big := make([]byte, 70<<10)
	for reason, whole := range map[string][]byte{
		"one frame":                  frame(true, 1, true, []byte("hello")),
		"without payload":            frame(true, 2, true, nil),
		"unmasked":                   frame(true, 2, false, []byte("hello")),
		"16 bits of length":          frame(true, 2, true, big[:300]),
		"64 bits of length":          frame(true, 2, true, big),
		"fragments":                  join(frame(false, 1, true, []byte("one")), frame(false, 0, true, []byte("two")), frame(true, 0, true, nil)),
		"fragments around a ping":    join(frame(false, 1, true, []byte("one")), frame(true, 9, true, []byte("?")), frame(true, 0, true, []byte("two"))),
		"fragments of 64 KiB a time": join(frame(false, 2, true, big), frame(true, 10, true, nil), frame(true, 0, true, big)),
	} {
		for _, at := range []int{1, 2, len(whole) / 2, len(whole) - 1} {
			w := newWorld(t, 1, generous)
			c, b := open(w, "websocket")
			c.send(string(whole[:at]))
			b.expect(string(whole[:at]))
			done := cutting(w)
			c.expect(string(closeGoingAway)) // the other direction does not wait for it
			c.send(string(whole[at:]), string(frame(true, 1, true, []byte("beyond"))), string(frame(true, 8, true, []byte{3, 0xe9})))
			b.expect(string(whole[at:]))
			b.expect(string(closeGoingAwayMasked))
			b.send(string(frame(true, 8, false, []byte{3, 0xe9})))
			b.ends()
			c.ends()
			if rep := <-done; rep.Cut != 1 || rep.Took >= closeEcho {
				t.Errorf("%s, cut at %d: %s", reason, at, rep)
			}
		}
	}
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// TestEchoEndsTheWait: as soon as both have answered the tunnel is over, whether they end their connections or not.
func TestEchoEndsTheWait(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	done := cutting(w)
	c.expect(string(closeGoingAway))
	c.send(string(frame(true, 1, true, []byte("sent before the Close came"))), string(frame(true, 8, true, []byte{3, 0xe9})))
	b.expect(string(closeGoingAwayMasked))
	b.send(string(frame(true, 8, false, nil)))
	if rep := <-done; rep.Took >= closeEcho || rep.Cut != 1 {
		t.Errorf("%s", rep)
	}
	if text, whole := c.rest(); text != "" || !whole {
		t.Errorf("the client got %q more, and whole: %v", text, whole)
	}
	b.ends()
	w.over()
}

// TestHugeMessage: a client that sends one for ever without looking up, its frame longer than anyone waits. It is told, and
// the backend gets no Close inside of a frame.
func TestHugeMessage(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	head := string([]byte{finBit | 2, maskBit | 127, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	c.send(head)
	b.expect(head)
	sent := make(chan error, 1)
	go func() { _, err := io.Copy(c.Conn, zeroes{}); sent <- err }()
	got := make(chan string, 1)
	go func() {
		n, last := 0, []byte(nil)
		buf := make([]byte, 64<<10)
		for {
			k, err := b.br.Read(buf)
			n, last = n+k, append(last[:0], buf[max(0, k-8):k]...)
			if err != nil {
				got <- string(last)
				return
			}
		}
	}()
	rep := cutAll(w)
	if rep.Cut != 1 || rep.Left != 0 || rep.Took > lastTake+time.Second {
		t.Errorf("%s", rep)
	}
	if err := <-sent; err == nil {
		t.Error("the sender was never ended")
	}
	if end := <-got; end == string(closeGoingAwayMasked) {
		t.Error("a Close inside of a frame")
	}
	if text, _ := c.rest(); text != string(closeGoingAway) {
		t.Errorf("the client was told %x", text)
	}
	w.over()
}

// TestEndlessFragments: a message that never ends is left between two of its frames, with the Close.
func TestEndlessFragments(t *testing.T) {
	w := newWorld(t, 1, generous)
	c, b := open(w, "websocket")
	piece := string(frame(false, 0, true, make([]byte, 1000)))
	c.send(string(frame(false, 2, true, nil)))
	go func() {
		for {
			if _, err := io.WriteString(c.Conn, piece); err != nil {
				return
			}
		}
	}()
	read := make(chan frames, 1)
	go func() {
		var f frames
		buf := make([]byte, 64<<10)
		for {
			n, err := b.br.Read(buf)
			if f.follow(buf[:n]); err != nil {
				read <- f
				return
			}
		}
	}()
	rep := cutAll(w)
	if f := <-read; !f.mayInterject() || !f.closed {
		t.Errorf("a Close at the end, and between two frames: %v, %v", f.closed, f.mayInterject())
	}
	if rep.Cut != 1 || rep.Took > lastTake+time.Second {
		t.Errorf("%s", rep)
	}
	c.Close()
	w.over()
}

// TestPeerThatReadsNothingKeepsNobody: the backend is told at once, though the client cannot be.
func TestPeerThatReadsNothingKeepsNobody(t *testing.T) {
	w := newWorld(t, 1, generous)
	_, b := open(w, "websocket")
	go io.Copy(b.Conn, io.LimitReader(zeroes{}, 64<<20))
	b.stuck()
	began := time.Now()
	done := cutting(w)
	b.expect(string(closeGoingAwayMasked))
	if took := time.Since(began); took > closeEcho/2 {
		t.Errorf("the backend was told after %s", took)
	}
	if rep := <-done; rep.Left != 0 || rep.Cut != 1 || rep.Took > lastTake+time.Second {
		t.Errorf("%s", rep)
	}
	w.over()
}

// TestUpgradeDuringTheDrain is treated as what it becomes: its deadline is that of a WebSocket, counted from the begin.
func TestUpgradeDuringTheDrain(t *testing.T) {
	for protocol, class := range map[string]drain.Class{"websocket": drain.WebSocket, "postgres": drain.Tunnel} {
		w := newWorld(t, 1, generous)
		c := w.ask("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ", protocol, "\r\n\r\n")
		b := w.origins[0].conn()
		b.head()
		gate := w.origins[0].Gate
		done := make(chan drain.Report, 1)
		go func() {
			done <- drain.Run(context.Background(), drain.Job{
				Gates: []*drain.Gate{gate}, Inside: func() []drain.Item { return w.proxy.Ledger.Inside(gate) },
				Policy: drain.Policy{Timeout: time.Minute, Stream: time.Minute, WebSocket: 300 * time.Millisecond},
			})
		}()
		waitFor(t, "the drain began", gate.Closed)
		b.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ", protocol, "\r\n\r\n")
		c.has("HTTP/1.1 101")
		if protocol == "websocket" {
			c.expect(string(closeGoingAway))
			b.expect(string(closeGoingAwayMasked))
		}
		c.ends()
		if rep := <-done; rep.Classes[class].Cut != 1 || rep.Took < 300*time.Millisecond || rep.Took > 2*time.Second {
			t.Errorf("%s: %s", protocol, rep)
		}
		w.over()
	}
}

// TestCutInTheInstantOfTheUpgrade ends in one of two ways, never in a tunnel that goes on and never without a word: 503, as
// no tunnel was there yet, or 101 and a Close.
func TestCutInTheInstantOfTheUpgrade(t *testing.T) {
	refused, closed := 0, 0
	for round := 0; round < 400 && (refused < 3 || closed < 3); round++ {
		w := newWorld(t, 1, generous)
		c := w.ask(upgrade)
		b := w.origins[0].conn()
		b.head()
		it := w.inside(1)[0]
		go func() {
			b.Conn.Write([]byte(switches))
			b.br.ReadByte() // the Close, or the end
			b.Close()
		}()
		time.Sleep(time.Duration(round%40) * 4 * time.Microsecond)
		it.Cut(0)
		switch text := c.untilClose(); {
		case strings.HasPrefix(text, "HTTP/1.1 503"):
			refused++
		case strings.HasPrefix(text, "HTTP/1.1 101") && strings.HasSuffix(text, string(closeGoingAway)):
			closed++
		default:
			t.Fatalf("the client was told %q", text)
		}
		c.Close()
		w.over()
		w.l.Close()
	}
	t.Logf("%d were refused, %d closed", refused, closed)
	if refused < 3 || closed < 3 {
		t.Errorf("the race did not happen: %d refused, %d closed", refused, closed)
	}
}

// untilClose reads to a Close, or to the end.
func (p *peer) untilClose() string {
	var all []byte
	for !strings.HasSuffix(string(all), string(closeGoingAway)) {
		one, err := p.br.ReadByte()
		if err != nil {
			break
		}
		all = append(all, one)
	}
	return string(all)
}
