package proxy

import (
	"errors"
	"testing"

	"sluice/message"
	"sluice/upstream"
)

// failed is all that the decision to send again depends on.
type failed struct {
	phase                   upstream.Phase
	sent, fresh, timeout    bool
	method                  string
	key                     bool // Idempotency-Key
	taken, begun, gone, cut bool
	again                   bool // it is not the first attempt
	untaken                 bool // sent, and provably read by nobody
}

// rules decide in this order; the first that applies.
var rules = []struct {
	reason  string
	applies func(failed) bool
	retry   bool
}{
	{"nobody waits for it any more", func(f failed) bool { return f.gone || f.cut }, false},
	{"a second answer cannot follow part of a first one", func(f failed) bool { return f.begun }, false},
	{"two addresses that swallow packets: it is the network", func(f failed) bool { return f.phase == upstream.Dialling && f.timeout && f.again }, false},
	{"there was no connection, so nothing was sent", func(f failed) bool { return f.phase == upstream.Dialling }, true},
	{"part of the body is gone", func(f failed) bool { return f.taken }, false},
	{"not a byte was sent", func(f failed) bool { return !f.sent }, true},
	{"nobody has read it", func(f failed) bool { return f.untaken }, true},
	{"it may still be at work there", func(f failed) bool { return f.timeout }, false},
	{"twice means the same as once", func(f failed) bool { return idempotent[f.method] }, true},
	{"client and server agreed how to tell a repetition", func(f failed) bool { return f.key }, true},
	{"it might be done twice", func(failed) bool { return true }, false},
}

var idempotent = map[string]bool{"GET": true, "HEAD": true, "PUT": true, "DELETE": true, "OPTIONS": true, "TRACE": true}

func (f failed) exchange() (*Exchange, error) {
	ex := &Exchange{}
	ex.Request.Method = []byte(f.method)
	if f.key {
		ex.Request.Add(message.IdempotencyKey, []byte("Idempotency-Key"), []byte("1"))
	}
	ex.pump.read = f.taken
	ex.begun = f.begun
	ex.gone.Store(f.gone)
	ex.cut.Store(f.cut)
	if f.again {
		ex.Retries = 1
	}
	return ex, &upstream.Error{Phase: f.phase, Sent: f.sent, Fresh: f.fresh, Timeout: f.timeout, Untaken: f.untaken, Err: errors.New("x")}
}

// every calls f for each combination.
func every(f func(failed)) {
	methods := []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "POST", "PATCH", "get", "X"}
	for phase := upstream.Dialling; phase <= upstream.Reading; phase++ {
		for _, method := range methods {
			for bits := range 1 << 10 {
				bit := func(i int) bool { return bits>>i&1 == 1 }
				f(failed{phase, bit(0), bit(1), bit(2), method, bit(3), bit(4), bit(5), bit(6), bit(7), bit(8), bit(9)})
			}
		}
	}
}

func TestRetryable(t *testing.T) {
	applied := map[string]int{}
	every(func(f failed) {
		ex, err := f.exchange()
		for _, r := range rules {
			if !r.applies(f) {
				continue
			}
			applied[r.reason]++
			if got := ex.retryable(err); got != r.retry {
				t.Fatalf("%+v: retried %v, but %s", f, got, r.reason)
			}
			return
		}
	})
	for _, r := range rules {
		if applied[r.reason] == 0 {
			t.Errorf("no case for: %s", r.reason)
		}
	}
}

// TestRetryNeverDoesTwice is what must hold whatever the order of the rules.
func TestRetryNeverDoesTwice(t *testing.T) {
	every(func(f failed) {
		ex, err := f.exchange()
		if !ex.retryable(err) {
			return
		}
		switch {
		case f.phase != upstream.Dialling && f.sent && !f.untaken && !idempotent[f.method] && !f.key:
			t.Fatalf("%+v: a server may have done this already", f)
		case f.phase != upstream.Dialling && f.taken:
			t.Fatalf("%+v: with half a body", f)
		case f.begun || f.gone || f.cut:
			t.Fatalf("%+v: nobody can be answered", f)
		}
	})
}

func TestOwnErrorsAreNotRetried(t *testing.T) {
	for _, err := range []error{errGone, errUpgrade, errInterim, errors.New("x"), &Error{Err: &upstream.Error{}}} {
		if (&Exchange{}).retryable(err) {
			t.Errorf("%v: another backend would not change that", err)
		}
	}
}
