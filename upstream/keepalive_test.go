package upstream

import (
	"context"
	"net"
	"testing"
	"time"

	"sluice/message"
)

// exchange makes one round trip on a connection and gives it back, as if it had been answered at a moment.
func exchange(t *testing.T, s *server, l *Lease, c *Conn, peer net.Conn, fields string, at time.Time) net.Conn {
	t.Helper()
	if peer == nil {
		peer = s.peer()
	}
	if err := c.Send(getHead(), nil, time.Second); err != nil {
		t.Fatal(err)
	}
	go answer(peer, "HTTP/1.1 204 No Content\r\n"+fields+"\r\n")
	var h message.Head
	if err := c.Receive(&h, false, time.Second); err != nil {
		t.Fatal(err)
	}
	c.Answered(&h, at)
	l.Reuse(c)
	return peer
}

func TestAnnouncedTimeouts(t *testing.T) {
	for field, want := range map[string]time.Duration{
		"timeout=5": 5 * time.Second, "timeout=5, max=100": 5 * time.Second, "max=7,Timeout=30": 30 * time.Second,
		"": 0, "timeout": 0, "timeout=": 0, "timeout=x": 0, "timeout=-1": 0, "timeout=99999999999": 0, "max=5": 0, "timeout=0": 0,
	} {
		e := NewEndpoint("tcp", "127.0.0.1:1", Options{})
		e.announce([]byte(field))
		if got := e.KeepAlive().Announced; got != want {
			t.Errorf("%q: %s, want %s", field, got, want)
		}
	}
}

// TestAnnouncedTimeoutIsKept: a connection is not used in the last fifth of the time that the server said it keeps one.
func TestAnnouncedTimeoutIsKept(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	now := time.Now()
	exchange(t, s, l, connect(t, l), nil, "Keep-Alive: timeout=5\r\n", now)
	if b.Endpoint.take(now.Add(4001*time.Millisecond), false) != nil {
		t.Error("one was used that the server may be about to end")
	}
	c := b.Endpoint.take(now.Add(3999*time.Millisecond), false)
	if c == nil {
		t.Fatal("a good one was not used")
	}
	c.close()
}

// TestOnlyProvenAgesAreRisked: a request that cannot be sent again goes on no connection but one that is well younger than
// another one that still lives.
func TestOnlyProvenAgesAreRisked(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	e, now := b.Endpoint, time.Now()
	first, second := connect(t, l), connect(t, l)
	old := exchange(t, s, l, first, nil, "", now.Add(-10*time.Second))
	if e.take(now, true) != nil {
		t.Fatal("nothing is known of the server")
	}
	exchange(t, s, l, second, nil, "", now)
	if e.take(now.Add(41*time.Second), true) != nil {
		t.Error("41 s, where another one has lived for 51: a fifth less is below that")
	}
	c := e.take(now.Add(20*time.Second), true)
	if c != second {
		t.Fatal("not the one that is safe: the other one has lived for 30 s")
	}
	if got := e.KeepAlive().Sure; got != 24*time.Second || c.useBefore.Sub(now) != got {
		t.Errorf("sure of %s, may be written to for %s; want four fifths of 30 s", got, c.useBefore.Sub(now))
	}
	c.close()
	time.Sleep(20 * time.Millisecond)
	old.Close()
	waitFor(t, "the end shows", func() bool { return !first.h1.Quiet() })
	e.Sweep(now.Add(25 * time.Second))
	if k := e.KeepAlive(); e.Idle() != 0 || k.Sure > time.Second || k.Seen == 0 || k.Seen > time.Second {
		t.Errorf("after the server ended one within a second: %+v, %d idle", k, e.Idle())
	}
}

// TestTooLateIsNotWritten: between the choice of a connection and the writing the goroutine may have had to wait.
func TestTooLateIsNotWritten(t *testing.T) {
	for what, begin := range map[string]func(*Conn) error{"whole": sendWhole, "its head": beginOnly} {
		s, b := listen(t, "tcp")
		l := claim(t, b)
		exchange(t, s, l, connect(t, l), nil, "", time.Now())
		c, err := l.Connect(context.Background(), time.Now(), false)
		if err != nil {
			t.Fatal(err)
		}
		c.useBefore = time.Now().Add(-time.Millisecond)
		err = begin(c)
		if up, ok := err.(*Error); !ok || !up.Stale || up.Sent {
			t.Errorf("%s: %v", what, err)
		}
		l.DiscardStale(c)
		if k := b.Endpoint.KeepAlive(); k.Seen != 0 {
			t.Errorf("%s: the server has ended nothing: %+v", what, k)
		}
	}
}

// TestEndsAreLearnt: the time is that of the server's end, not that at which it was noticed.
func TestEndsAreLearnt(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	peer := exchange(t, s, l, c, nil, "", time.Now())
	time.Sleep(60 * time.Millisecond)
	peer.Close()
	time.Sleep(100 * time.Millisecond)
	b.Endpoint.Sweep(time.Now())
	k := b.Endpoint.KeepAlive()
	if k.Seen < 40*time.Millisecond || k.Seen > 140*time.Millisecond || k.Limit != earlier(k.Seen) {
		t.Errorf("%+v, want about 60 ms", k)
	}
}

// TestShortestEndIsForgottenSlowly: it was a restart, for one connection lives on. The next looks let it go, by a quarter each.
func TestShortestEndIsForgottenSlowly(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	e, now := b.Endpoint, time.Now()
	e.keep.saw(4 * time.Second)
	exchange(t, s, l, connect(t, l), nil, "", now)
	e.Sweep(now.Add(3 * time.Second))
	if got := e.KeepAlive().Seen; got != 4*time.Second {
		t.Errorf("%s after 3 s, which prove nothing", got)
	}
	e.Sweep(now.Add(8 * time.Second))
	if k := e.KeepAlive(); k.Seen != 5*time.Second || k.Limit != 4*time.Second {
		t.Errorf("%+v after one look, want no use beyond the old end yet", k)
	}
	looks := 1
	for ; e.KeepAlive().Seen != 0 && looks < 100; looks++ {
		e.Sweep(now.Add(59 * time.Second))
	}
	if looks < 5 || looks > 20 {
		t.Errorf("forgotten after %d looks", looks)
	}
}

// TestOldestStaysToBeWatched although it is too old to be used.
func TestOldestStaysToBeWatched(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	e, now := b.Endpoint, time.Now()
	first, second := connect(t, l), connect(t, l)
	exchange(t, s, l, first, nil, "", now)
	exchange(t, s, l, second, nil, "Keep-Alive: timeout=5\r\n", now)
	e.Sweep(now.Add(10 * time.Second))
	if e.Idle() != 1 || e.take(now.Add(10*time.Second), false) != nil {
		t.Errorf("%d idle, want the oldest, and that not for use", e.Idle())
	}
	if k := e.KeepAlive(); k.Limit != 4*time.Second || k.Sure != 4*time.Second {
		t.Errorf("%+v", k)
	}
}
