package front

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
)

const (
	rstStream = "RST_STREAM"
	goAway    = "GOAWAY"
	tooShort  = "END_STREAM before its length"
	connEnd   = "the connection ends"
)

// ofHTTP2 is what is different where the client speaks HTTP/2: a stream ends without its connection.
var ofHTTP2 = []cell{
	{phaseSending, rstStream, gone, partClose, no, "499 client", "9113 §5.4.2"},
	{phaseSending, connEnd, gone, partClose, no, "499 client", "9113 §8.1"},
	{phaseSending, tooShort, rstStream, partClose, no, "499 client", "9113 §8.1.1"},
	{phaseSending, goAway, allOfIt, kept, no, "200", "9113 §6.8"},
	{phaseWaiting, rstStream, gone, wholeClose, no, "499 client", "9113 §5.4.2"},
	{phaseWaiting, connEnd, gone, wholeClose, no, "499 client", "9113 §8.1"},
	{phaseWaiting, goAway, allOfIt, kept, no, "200", "9113 §6.8"},
	{phaseChunked, rstStream, gone, wholeClose, no, "200 client", "9113 §5.4.2"},
	{phaseChunked, connEnd, gone, wholeClose, no, "200 client", "9113 §8.1"},
	{phaseChunked, goAway, allOfIt, kept, no, "200", "9113 §6.8"},
}

// ofHTTP2Backend is what its clients see of backends that break off.
var ofHTTP2Backend = []cell{
	{phaseWaiting, fullClose, "502", gone, safe, "502 backend", "9110 §9.2.2"},
	{phaseWaiting, silence, "504", wholeClose, no, "504 backend", "9110 §15.6.5"},
	{phaseLength, fullClose, rstStream, gone, no, "200 backend lost", "9113 §8.1"},
	{phaseChunked, fullClose, rstStream, gone, no, "200 backend lost", "9113 §8.1"},
	{phaseChunked, rst, rstStream, gone, no, "200 backend lost", "9113 §8.1"},
	{phaseUntil, fullClose, allOfIt, gone, no, "200", "9112 §6.3"},
	{phaseUntil, rst, rstStream, gone, no, "200 backend lost", "9113 §8.1"},
	{phaseEarly, goesOn, allOfIt, partClose, no, "200", "9113 §8.1"},
}

// Frame types and flags (RFC 9113 §6).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway, frameWindow = 0, 1, 3, 4, 7, 8

	flagEndStream, flagAck, flagEndHeaders = 1, 1, 4
)

// frame is one HTTP/2 frame.
func frame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)<<8)|uint32(kind))
	head = append(head, flags)
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

// literal is a field as HPACK writes it without any compression (RFC 7541 §6.2.2).
func literal(name, value string) string {
	return fmt.Sprintf("\x00%c%s%c%s", len(name), name, len(value), value)
}

// told is what came for a stream.
type told struct {
	heads        int
	body         string
	ended, reset bool
}

// stream reads frames until the condition holds for the stream, or the stream or the connection is over.
func (e *end) stream(id uint32, enough func(told) bool) (st told) {
	for at := 0; ; {
		for len(e.seen)-at < 9 || len(e.seen)-at < 9+int(binary.BigEndian.Uint32(e.seen[at:])>>8) {
			if e.more() != nil {
				return st
			}
		}
		n := int(binary.BigEndian.Uint32(e.seen[at:]) >> 8)
		kind, flags, from := e.seen[at+3], e.seen[at+4], binary.BigEndian.Uint32(e.seen[at+5:])
		st.take(kind, flags, from == id, string(e.seen[at+9:at+9+n]))
		if at += 9 + n; st.ended || st.reset || enough(st) {
			return st
		}
	}
}

func (st *told) take(kind, flags byte, mine bool, payload string) {
	switch {
	case !mine:
		return
	case kind == frameHeaders:
		st.heads++
	case kind == frameData:
		st.body += payload
	case kind == frameReset:
		st.reset = true
	}
	st.ended = st.ended || (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0
}

// TestClosingHTTP2 brings the cells about that are different with HTTP/2.
func TestClosingHTTP2(t *testing.T) {
	server, roots := selfSigned(t)
	pair := &tlsPair{server, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}}
	pulse.run(t)
	var wg sync.WaitGroup
	room := make(chan struct{}, scenesAtOnce)
	for side, cells := range map[string][]cell{"client": ofHTTP2, "backend": ofHTTP2Backend} {
		for _, c := range cells {
			for _, form := range [][2]string{{"GET", ""}, {"POST", "length"}, {"PUT", "length"}} {
				for _, kept := range []bool{false, true} {
					v := variant{side: side, method: form[0], form: form[1], life: "HTTP/2", kept: kept, tls: pair}
					if bodied := c.phase == phaseSending || c.phase == phaseEarly; bodied && !v.bodied() {
						continue
					}
					room <- struct{}{}
					wg.Go(func() { defer func() { <-room }(); play(t, c, v, (*scene).playHTTP2) })
				}
			}
		}
	}
	wg.Wait()
}

func (s *scene) playHTTP2() {
	if s.kept {
		s.warmHTTP2()
	}
	s.c = s.dialHTTP2()
	s.come(1)
	s.ready.Do(started)
	s.happenHTTP2()
	s.repeat()
	s.checkLog()
	s.checkBackend()
	s.checkStream()
	s.finish()
}

// dialHTTP2 connects, and waits until a body may be sent.
func (s *scene) dialHTTP2() *end {
	c := s.dial()
	c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(frameSettings, 0, 0, ""))
	window := frame(frameWindow, 0, 0, "")[3:]
	c.until(window)
	c.send(frame(frameSettings, flagAck, 0, ""))
	return c
}

// warmHTTP2 is warm with streams of one connection.
func (s *scene) warmHTTP2() {
	c := s.dialHTTP2()
	defer c.reset()
	for i := range s.origins {
		id := uint32(2*i + 1)
		c.send(frame(frameHeaders, flagEndStream|flagEndHeaders, id, fieldsOf("GET", "/warm")))
		b := s.arrival()
		b.request()
		b.send(whole("warm"))
		c.stream(id, func(told) bool { return false })
		s.result()
		s.old = append(s.old, b)
		s.dialled++
		go s.await(b)
	}
}

func fieldsOf(method, path string) string {
	return literal(":method", method) + literal(":scheme", "https") + literal(":authority", "x") + literal(":path", path)
}

// askHTTP2 sends the head and some of the body of a stream.
func (s *scene) askHTTP2(id uint32, part, all int) {
	if !s.bodied() {
		s.c.send(frame(frameHeaders, flagEndStream|flagEndHeaders, id, fieldsOf(s.method, "/scene")))
		return
	}
	s.sent = strings.Repeat("b", all)
	s.c.send(frame(frameHeaders, flagEndHeaders, id, fieldsOf(s.method, "/scene")+literal("content-length", fmt.Sprint(all))))
	first, second := frames(id, s.sent[:part]), frames(id, s.sent[part:])
	if end := frame(frameData, flagEndStream, id, ""); part == all {
		first += end
	} else {
		second += end
	}
	s.c.send(first)
	s.unsent = second
}

// frames are the DATA frames of a body.
func frames(id uint32, body string) (all string) {
	const most = 16 << 10
	for len(body) > 0 {
		n := min(most, len(body))
		all += frame(frameData, 0, id, body[:n])
		body = body[n:]
	}
	return all
}

// come brings the stream to the phase.
func (s *scene) come(id uint32) {
	part, all := short, short
	if s.phase == phaseSending || s.phase == phaseEarly {
		part, all = long/2, long
	}
	s.askHTTP2(id, part, all)
	if s.b = s.arrival(); part < all {
		s.b.fill(part)
	} else if m := s.b.request(); !m.whole || m.body != s.sent {
		fail("the backend got %+v", m)
	}
	s.body = "the answer"
	s.rest = whole(s.body)
	switch s.phase {
	case phaseLength:
		s.begunHTTP2(whole(s.long()))
	case phaseChunked:
		s.body = "hello, world"
		s.begunHTTP2(inChunks)
	case phaseUntil:
		s.body = "hello"
		s.begunHTTP2("HTTP/1.1 200 OK\r\n\r\nhello")
	}
}

func (s *scene) begunHTTP2(all string) {
	s.part(all, strings.Index(all, "hello")+len("hello"))
	s.c.stream(1, func(st told) bool { return st.body == "hello" })
}

func (s *scene) happenHTTP2() {
	switch s.event {
	case rstStream:
		s.c.send(frame(frameReset, 0, 1, "\x00\x00\x00\x08"))
	case tooShort:
		s.c.send(frame(frameData, flagEndStream, 1, ""))
	case goAway:
		s.c.send(frame(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"))
		s.c.send(s.unsent)
		if s.unsent != "" {
			s.b.from = s.b.began
			s.b.request()
		}
		s.b.send(s.rest)
	case connEnd:
		s.c.close()
	default:
		events[s.event](s, s.b)
	}
}

// checkStream looks at what the client got, and then opens another stream where the connection lives.
func (s *scene) checkStream() {
	if s.c.left {
		return
	}
	want := s.client
	if s.repeats() {
		want = allOfIt
	}
	if want != gone {
		st := s.c.stream(1, func(told) bool { return false })
		switch {
		case want == rstStream && (!st.reset || st.ended):
			fail("want a reset stream, got %+v, %v", st, s.c.over)
		case want == allOfIt && (!st.ended || st.body != s.body):
			fail("want the answer, got %+v, %v", st, s.c.over)
		case len(want) == 3 && (!st.ended || !strings.HasPrefix(st.body, want+" ")):
			fail("want %s, got %+v, %v", want, st, s.c.over)
		}
	}
	if s.event == goAway {
		return
	}
	s.c.send(frame(frameHeaders, flagEndStream|flagEndHeaders, 3, fieldsOf("GET", "/next")))
	b := s.arrival()
	if m := b.request(); m.line != "GET /next" || s.spent(b) {
		fail("then a backend got %+v", m)
	}
	b.send(whole("next answer"))
	if st := s.c.stream(3, func(told) bool { return false }); st.body != "next answer" || !st.ended {
		fail("then the client got %+v", st)
	}
	s.result()
}
