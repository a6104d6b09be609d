package proxy

import (
	"bytes"
	"strconv"
	"time"

	"sluice/http1"
	"sluice/message"
)

// isEventStream reports a body of server-sent events that goes on for as long as both sides like. One whose length is known
// is a document of events, and ends by itself.
func isEventStream(h *message.Head) bool {
	value := h.Get(message.ContentType)
	if i := bytes.IndexByte(value, ';'); i >= 0 {
		value = value[:i]
	}
	return message.EqualFold(message.Trim(value), "text/event-stream") && !h.Framing.Known()
}

// isCoded reports that the body is compressed, or whatever else: where an event ends cannot be seen, and nothing can be put
// behind it.
func isCoded(h *message.Head) bool {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == message.Other && message.EqualFold(f.Name, "content-encoding") && !message.EqualFold(f.Value, "identity") {
			return true
		}
	}
	return false
}

const (
	// lastEvent is how long an event that was half sent when its stream was cut may take to be completed.
	lastEvent = 500 * time.Millisecond
	// comeBack is when the first of those that were cut are to come back. The pool that takes over would have them at
	// once, but a browser keeps the number for all its later attempts: a lower one would make it a nuisance to a server that is down.
	comeBack = time.Second
	// latest is how long nobody is kept waiting, however many were cut: browsers wait 3 to 5 s by themselves.
	latest = 30 * time.Second
)

// finishEvent passes on the rest of an event, and reports whether the stream stands behind a whole one. What came of the
// next event together with it is left out.
func (ex *Exchange) finishEvent(from *http1.Conn, events *eventEnd) bool {
	if events == nil || events.between() {
		return events != nil
	}
	from.NetConn().SetReadDeadline(time.Now().Add(lastEvent))
	for !events.between() {
		b, err := from.Next()
		if err != nil {
			return false
		}
		b = b[:events.end(b)]
		if ex.Client.WriteBody(b) != nil || ex.Client.Flush() != nil {
			return false
		}
		ex.BytesOut += int64(len(b))
	}
	return true
}

// goAway is the last word of an event stream that was cut: when its client is to connect again. A block without data is no
// event (WHATWG HTML §9.2.6), so that nobody takes it for one.
func (p *Proxy) goAway(ex *Exchange) error {
	spread := min(max(comeBack, ex.spread), latest)
	wait := comeBack + time.Duration(p.Rand()*float64(spread))
	b := strconv.AppendInt([]byte("retry: "), wait.Milliseconds(), 10)
	b = append(b, "\n\n"...)
	if ex.Client.WriteBody(b) != nil {
		return errGone
	}
	ex.BytesOut += int64(len(b))
	return nil
}

// eventEnd follows an event stream and knows whether it stands between two events. A nil one follows nothing.
type eventEnd struct {
	started bool
	tail    [4]byte // the last bytes seen
}

func (e *eventEnd) follow(p []byte) {
	if e == nil {
		return
	}
	e.started = true
	if len(p) >= len(e.tail) {
		copy(e.tail[:], p[len(p)-len(e.tail):])
		return
	}
	copy(e.tail[:], e.tail[len(p):])
	copy(e.tail[len(e.tail)-len(p):], p)
}

// end takes bytes up to the end of the event at hand, and returns how many those are: all of them if it does not end.
func (e *eventEnd) end(p []byte) (n int) {
	for n < len(p) && !e.between() {
		e.follow(p[n : n+1])
		n++
	}
	if n > 0 && n < len(p) && p[n-1] == '\r' && p[n] == '\n' { // the two are one line end
		e.follow(p[n : n+1])
		n++
	}
	return n
}

// between reports that the last event is complete: a blank line ends it, whatever its line ends are.
func (e *eventEnd) between() bool {
	if e == nil {
		return false
	}
	line := withoutLineEnd(e.tail[:])
	return !e.started || len(line) < len(e.tail) && len(withoutLineEnd(line)) < len(line)
}

// withoutLineEnd takes one line end off: CRLF, LF or CR.
func withoutLineEnd(b []byte) []byte {
	n := len(b)
	switch {
	case b[n-1] == '\n' && b[n-2] == '\r':
		return b[:n-2]
	case b[n-1] == '\n' || b[n-1] == '\r':
		return b[:n-1]
	}
	return b
}
