package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// stream reads server-sent events for a while. It leaves when its time is over. The other side may end it, by a whole
// body, between two events.
func (w *worker) stream(r *Result) error {
	ms := 10 + w.client.rand.IntN(60)
	q := &request{method: "GET", path: fmt.Sprintf("/events?ms=%d", ms), id: r.RequestID, fields: "Accept: text/event-stream\r\n"}
	began, err := w.client.send(q)
	r.Began = began
	if err != nil {
		return err
	}
	a, err := w.open(q, r, 200)
	if err != nil {
		return err
	}
	length, cancel := context.WithTimeout(w.leaving, w.traffic.cfg.Session(r.Class, w.client.rand))
	defer cancel()
	for n := 1; length.Err() == nil; n++ {
		err := w.nextEvent(a, n)
		if err == io.EOF { // and not a fault that wraps it
			r.ByServer = true
			return w.client.finish(a, false)
		}
		if err != nil {
			return err
		}
		if n == 1 {
			w.traffic.timed(r.Class, time.Since(r.Began))
		}
		w.traffic.messaged(r.Class)
		r.Bytes = a.body.read
	}
	w.client.drop()
	return nil
}

// farewell is what may stand between the last event and the end: when to come back. An event is longer.
var farewell = regexp.MustCompile(`^retry: [0-9]+\n\n$`)

// nextEvent reads exactly the n-th event. It returns io.EOF if the body is whole before its first byte.
func (w *worker) nextEvent(a *answer, n int) error {
	want := event(n, a.release)
	got := make([]byte, len(want))
	m, err := io.ReadFull(a.body, got)
	var fault *Fault
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF && farewell.Match(got[:m]):
		return io.EOF
	case err == io.ErrUnexpectedEOF:
		return faultf(Short, "the body ended as if it were whole, inside event %d, after %.40q", n, got[:m])
	case errors.As(err, &fault) && m > 0:
		fault.Cut = false
		return fault
	case err != nil:
		return err
	case !bytes.Equal(got, []byte(want)):
		return faultf(Wrong, "event %d reads %.80q", n, got)
	}
	return nil
}
