package proxy

import (
	"testing"
	"time"
)

// answered counts n answers of a kind.
func answered(c *Counters, n int, status int, took time.Duration) {
	for range n {
		c.add(&Exchange{Status: status}, took)
	}
}

func TestStrain(t *testing.T) {
	tests := []struct {
		reason        string
		before, after func(c *Counters)
		want          bool
	}{
		{"nothing happened", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) }, func(*Counters) {}, false},
		{"as before", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) }, func(c *Counters) { answered(c, 100, 200, time.Millisecond) }, false},
		{"a tenth is slow", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) },
			func(c *Counters) { answered(c, 90, 200, time.Millisecond); answered(c, 10, 200, time.Second) }, false},
		{"a third is slow", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) },
			func(c *Counters) { answered(c, 60, 200, time.Millisecond); answered(c, 30, 200, 20*time.Millisecond) }, true},
		{"slow, as it always was", func(c *Counters) { answered(c, 1000, 200, time.Second) }, func(c *Counters) { answered(c, 100, 200, time.Second) }, false},
		{"slow, but by few", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) }, func(c *Counters) { answered(c, 19, 200, time.Second) }, false},
		{"slow, and nothing known of before", func(*Counters) {}, func(c *Counters) { answered(c, 100, 200, time.Second) }, false},
		{"failures", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) }, func(c *Counters) { answered(c, 3, 502, time.Millisecond) }, true},
		{"failures, and nothing known of before", func(*Counters) {}, func(c *Counters) { answered(c, 5, 503, time.Millisecond) }, true},
		{"no answers", func(*Counters) {}, func(c *Counters) { answered(c, 5, 0, time.Millisecond) }, true},
		{"one failure of a hundred", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) },
			func(c *Counters) { answered(c, 297, 200, time.Millisecond); answered(c, 3, 500, time.Millisecond) }, false},
		{"failures, as many as ever", func(c *Counters) { answered(c, 900, 200, time.Millisecond); answered(c, 100, 500, time.Millisecond) },
			func(c *Counters) { answered(c, 85, 200, time.Millisecond); answered(c, 15, 500, time.Millisecond) }, false},
		{"refused by the client's fault", func(c *Counters) { answered(c, 1000, 200, time.Millisecond) }, func(c *Counters) { answered(c, 50, 404, time.Millisecond) }, false},
	}
	for _, test := range tests {
		c := &Counters{}
		test.before(c)
		s := c.Strain()
		test.after(c)
		if got := s.Seen(); got != test.want {
			t.Errorf("%s: %v", test.reason, got)
		}
	}
}

// TestWhatLastsIsNoStrain: an hour that a WebSocket was open for, and the cut that ended it, say nothing of the service; a
// handshake that takes long does.
func TestWhatLastsIsNoStrain(t *testing.T) {
	c := &Counters{}
	answered(c, 1000, 200, time.Millisecond)
	s := c.Strain()
	for range 100 {
		ex := &Exchange{Status: 101}
		ex.setClass(eventStream)
		c.add(ex, time.Hour)
		cut := &Exchange{Status: 503, Err: errCut}
		cut.cut.Store(true)
		c.add(cut, time.Millisecond)
		torn := &Exchange{Status: 200, Err: errCut, broken: true}
		torn.cut.Store(true)
		torn.setClass(unknownLength)
		c.add(torn, time.Minute)
	}
	if s.Seen() {
		t.Error("the endings were taken for strain")
	}
	for range 100 {
		c.Lasting.opened(time.Second)
	}
	if !s.Seen() {
		t.Error("handshakes of a second were not")
	}
}

// TestFewAnswersAddUp: a quiet service is judged too, later.
func TestFewAnswersAddUp(t *testing.T) {
	c := &Counters{}
	answered(c, 1000, 200, time.Millisecond)
	s := c.Strain()
	for range 3 {
		answered(c, 6, 200, time.Second)
		if s.Seen() {
			t.Error("judged by too few")
		}
	}
	answered(c, 6, 200, time.Second)
	if !s.Seen() {
		t.Error("24 slow answers were forgotten")
	}
	if answered(c, 6, 200, time.Millisecond); !s.Seen() {
		t.Error("few answers ended the strain")
	}
	if answered(c, 14, 200, time.Millisecond); s.Seen() {
		t.Error("the slow answers were counted twice")
	}
}
