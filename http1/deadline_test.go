package http1

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/message"
)

// clock records what a deadline was set to.
type clock struct {
	at   time.Time
	sets int
}

func (c *clock) set(at time.Time) error {
	c.at = at
	c.sets++
	return nil
}

func TestCoarseDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		d := deadline{set: c.set}
		began := time.Now()
		expect := func(why string, sets int, at time.Duration) {
			t.Helper()
			if c.sets != sets || c.at.Sub(began) != at {
				t.Errorf("%s: set %d times, to %v; want %d and %v", why, c.sets, c.at.Sub(began), sets, at)
			}
		}
		d.arm(8*time.Second, nil)
		expect("the first wait is set, an eighth late", 1, 9*time.Second)
		time.Sleep(time.Second)
		d.arm(8*time.Second, nil)
		expect("what is still right is left alone", 1, 9*time.Second)
		time.Sleep(time.Millisecond)
		d.arm(8*time.Second, nil)
		expect("what would end too soon is set again", 2, 10*time.Second+time.Millisecond)
		d.arm(time.Second, nil)
		expect("what would end too late is set again", 3, 2*time.Second+126*time.Millisecond)
		d.arm(0, nil)
		if c.sets != 4 || !c.at.IsZero() {
			t.Errorf("no wait is no deadline: %d, %v", c.sets, c.at)
		}
		d.arm(-1, nil)
		if c.sets != 4 {
			t.Error("no deadline is cleared once")
		}
	})
}

// However waits follow each other, each lasts between d and d + d/8.
func TestWaitsAreNeverShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		d := deadline{set: c.set}
		r := rand.New(rand.NewPCG(3, 4))
		for range 10_000 {
			time.Sleep(time.Duration(r.Int64N(int64(3 * time.Second))))
			want := time.Duration(1 + r.Int64N(int64(20*time.Second)))
			d.arm(want, nil)
			if left := time.Until(c.at); left < want || left > want+want/8 {
				t.Fatalf("a wait of %v would last %v", want, left)
			}
		}
	})
}

func TestWaitsOfARequest(t *testing.T) {
	for name, row := range map[string]struct {
		sent    string
		want    time.Duration
		begun   bool
		waiting Waits
	}{
		"nothing comes":       {"", 9 * time.Second, false, Waits{First: 8 * time.Second, Head: 80 * time.Second}},
		"an empty line comes": {"\r\n", 9 * time.Second, false, Waits{First: 8 * time.Second, Head: 80 * time.Second}},
		"half a head comes":   {"GET / HT", 9 * time.Second, true, Waits{First: 80 * time.Second, Head: 8 * time.Second}},
		"half an empty line":  {"\r", 9 * time.Second, true, Waits{First: 80 * time.Second, Head: 8 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				c := NewConn(ours, &DefaultLimits)
				defer c.Release()
				defer c.Close()
				go io.WriteString(theirs, row.sent)
				began := time.Now()
				err := c.ReadRequest(new(message.Head), row.waiting)
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != row.want || c.HeadBegun() != row.begun {
					t.Errorf("%v after %v, begun %v", err, time.Since(began), c.HeadBegun())
				}
			})
		})
	}
}

// One that sends a byte now and then gains nothing by it: the head has one deadline (slowloris).
func TestDrippedHeadEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := NewConn(ours, &DefaultLimits)
		defer c.Release()
		dripped := make(chan struct{})
		go func() {
			defer close(dripped)
			for _, b := range []byte(post("X: "+strings.Repeat("a", 1000), "")) {
				time.Sleep(time.Second)
				if _, err := theirs.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		err := c.ReadRequest(new(message.Head), Waits{First: time.Hour, Head: 16 * time.Second})
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took > 20*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		c.Close()
		theirs.Close()
		<-dripped
	})
}

func readAside(c *Conn) <-chan error {
	got := make(chan error, 1)
	go func() {
		err := c.ReadRequest(new(message.Head), Waits{First: time.Hour})
		c.Release()
		got <- err
	}()
	return got
}

func TestInterruptWakesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, interrupt := range map[string]func(*Conn){"Interrupt": (*Conn).Interrupt, "InterruptReads": (*Conn).InterruptReads} {
			ours, theirs := net.Pipe()
			c := NewConn(ours, &DefaultLimits)
			got := readAside(c)
			synctest.Wait()
			interrupt(c)
			if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) || !c.Interrupted() {
				t.Errorf("%s: %v", name, err)
			}
			for _, later := range []func(){func() { c.ArmRead(time.Hour) }, func() { c.ArmRead(0) }, c.ForgetReads, func() { c.ExpireReads(time.Hour) }} {
				later()
				if err := c.fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: a read later on: %v", name, err)
				}
			}
			c.Close()
			theirs.Close()
		}
	})
}

// What is cut stays cut: to arm the next write must not give it new time. What is only told to stop reading may still
// say its last words.
func TestInterruptAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := NewConn(ours, &DefaultLimits)
		c.ArmWrite(time.Hour)
		c.InterruptReads()
		c.ArmWrite(time.Hour)
		go io.CopyN(io.Discard, theirs, 1)
		if err := c.WriteRaw([]byte("x")); err != nil {
			t.Errorf("after InterruptReads: %v", err)
		}
		c.Interrupt()
		began := time.Now()
		for range 2 {
			if err := c.WriteRaw([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 0 {
				t.Errorf("after Interrupt: %v after %v", err, time.Since(began))
			}
			c.ArmWrite(2 * time.Hour)
		}
		c.Close()
	})
}

func TestExpireAndForgetReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := NewConn(ours, &DefaultLimits)
		defer c.Close()
		got := readAside(c)
		synctest.Wait()
		c.ExpireReads(0) // no limit: leaves what is set
		began := time.Now()
		c.ExpireReads(time.Second)
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("expired reads: %v after %v", err, time.Since(began))
		}
		c.ForgetReads()
		go io.WriteString(theirs, get("GET / HTTP/1.1"))
		if err := <-readAside(c); err != nil {
			t.Errorf("after ForgetReads: %v", err)
		}
	})
}

// slowSet lets something happen between the look at a flag and the deadline that is set because of it.
type slowSet struct {
	net.Conn
	before func()
}

func (s *slowSet) SetReadDeadline(at time.Time) error {
	if s.before != nil {
		before := s.before
		s.before = nil
		before()
	}
	return s.Conn.SetReadDeadline(at)
}

// An interruption that comes while another deadline is being set must win; it was lost before.
func TestInterruptWinsEachRace(t *testing.T) {
	for name, set := range map[string]func(*Conn){
		"ForgetReads": (*Conn).ForgetReads,
		"ExpireReads": func(c *Conn) { c.ExpireReads(time.Hour) },
		"ArmRead":     func(c *Conn) { c.ArmRead(time.Hour) },
	} {
		ours, theirs := net.Pipe()
		nc := &slowSet{Conn: ours}
		c := NewConn(nc, &DefaultLimits)
		nc.before = c.InterruptReads
		set(c)
		if err := c.fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
		theirs.Close()
	}
}

func TestBlockedWriteEndsInTime(t *testing.T) {
	a, _ := socketPair(t)
	c := NewConn(a, &DefaultLimits)
	c.ArmWrite(20 * time.Millisecond)
	var err error
	for err == nil {
		err = c.WriteBody(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestWaitsByAClock: a clock that is late by less than it may be makes no wait short, and few are set.
func TestWaitsByAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		ticks := new(Clock)
		d := deadline{set: c.set}
		r := rand.New(rand.NewPCG(5, 6))
		for range 10_000 {
			time.Sleep(time.Duration(r.Int64N(int64(clockLag))))
			if r.IntN(3) == 0 {
				ticks.Tick()
			}
			late := time.Since(ticks.Now())
			d.arm(20*time.Second, ticks)
			if left := time.Until(c.at); late < clockLag && (left < 20*time.Second || left > 23*time.Second) {
				t.Fatalf("a clock that is %v late: a wait of 20 s would last %v", late, left)
			}
		}
		if c.sets > 2500 {
			t.Errorf("set %d times", c.sets)
		}
	})
}
