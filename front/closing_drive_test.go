package front

import (
	"fmt"
	"net"
	"strings"
	"time"

	"sluice/proxy"
)

const (
	short = 1000   // bytes of a body that fits with its head
	long  = 200000 // of one that has to be sent on in parts
)

// whole is an answer with a length.
func whole(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// soon is a deadline that is to pass, and long enough not to pass before its time.
const soon = 400 * time.Millisecond

// deadlines are long ones, but for the wait that the cell is about.
func deadlines(c cell, v variant) (proxy.Timeouts, Timeouts) {
	pt := proxy.Timeouts{Response: patience, Body: patience, Write: patience, Tunnel: patience}
	ft := Timeouts{Idle: patience, Head: patience, TLSHandshake: patience}
	if c.event == stalled {
		pt.Write = soon
	}
	if c.event != silence {
		return pt, ft
	}
	switch c.phase {
	case phaseFresh:
		ft.First = soon
	case phaseIdle:
		if v.side == "client" {
			ft.Idle = soon
		}
	case phaseHead:
		ft.Head = soon
	case phaseWaiting, phaseInterim, phaseAnswering:
		pt.Response = soon
	case phaseTunnel:
		pt.Tunnel = soon
	default:
		pt.Body = soon
	}
	return pt, ft
}

// connectWithin is how long a backend may take to accept.
func (s *scene) connectWithin(i int) time.Duration {
	switch {
	case s.phase == phaseDialling && s.side == "client":
		return 2 * goneLooks * watchEvery
	case s.event == noneReply, s.event == noReply && i == 0:
		return soon
	}
	return patience
}

// endless is a length that no socket buffers hold.
const endless = 1 << 30

// head is the request head of the scene, with a body of n bytes.
func (s *scene) head(n int) string {
	minor, fields := 1, ""
	switch {
	case s.life == "HTTP/1.0":
		minor = 0
	case s.life == "close":
		fields = "Connection: close\r\n"
	}
	if s.event == stalled {
		n = endless
	}
	switch s.form {
	case "length":
		fields += fmt.Sprintf("Content-Length: %d\r\n", n)
	case "chunked", "trailers":
		fields += "Transfer-Encoding: chunked\r\n"
	case "key":
		fields += "Idempotency-Key: 1\r\n"
	case "websocket", "other":
		fields += "Connection: upgrade\r\nUpgrade: " + s.form + "\r\n"
	}
	return fmt.Sprintf("%s /scene HTTP/1.%d\r\nHost: x\r\n%s\r\n", s.method, minor, fields)
}

// ask sends the head and some of the body; the rest is kept in more.
func (s *scene) ask(part, all int) {
	if !s.bodied() {
		s.c.send(s.head(0))
		return
	}
	s.sent = strings.Repeat("b", all)
	first, second := s.sent[:part], s.sent[part:]
	switch s.form {
	case "chunked":
		first, second = chunk(first), chunk(second)+"0\r\n\r\n"
	case "trailers":
		first, second = chunk(first), chunk(second)+"0\r\nX-Sum: 1\r\n\r\n"
	}
	if part == all {
		first, second = first+second, ""
	}
	s.unsent = second
	s.c.send(s.head(all) + first)
}

func chunk(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
}

// phases bring the exchange to where the event is to happen.
var phases = map[string]func(*scene){
	phaseFresh: func(s *scene) {},
	phaseIdle: func(s *scene) {
		if s.side == "backend" {
			return
		}
		s.arrive()
		s.b.send(s.rest)
		s.c.response(s.method)
		s.result()
	},
	phaseHead:    func(s *scene) { s.c.send("GET /scene HTTP/1.1\r\nHost: x\r\nX-Half: ") },
	phaseBody:    func(s *scene) { s.ask(short/2, short) },
	phaseSending: (*scene).sendOn,
	phaseWaiting: func(s *scene) { s.arrive() },
	phaseInterim: func(s *scene) {
		s.arrive()
		s.b.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		if s.life != "HTTP/1.0" {
			s.c.until("103 Early Hints\r\nLink: </x>\r\n")
		}
	},
	phaseAnswering: func(s *scene) {
		s.arrive()
		s.part(s.rest, strings.Index(s.rest, "ngth"))
	},
	phaseHeld:   func(s *scene) { s.arrive(); s.part(s.rest, len(s.rest)-5) },
	phaseLength: func(s *scene) { s.arrive(); s.answerPart(whole(s.long())) },
	phaseChunked: func(s *scene) {
		s.arrive()
		s.body = "hello, world"
		s.answerPart(inChunks)
	},
	phaseUntil: func(s *scene) {
		s.arrive()
		s.body = "hello"
		s.answerPart("HTTP/1.1 200 OK\r\n\r\nhello")
	},
	phaseDone: func(s *scene) { s.arrive() },
	phaseEarly: func(s *scene) {
		s.sendOn()
		s.body = "enough"
		s.b.send(whole(s.body))
		s.c.until(s.body)
		if s.side == "client" { // or what it sends could still make the request whole
			r := s.result()
			s.early = &r
		}
	},
	phaseEarlyPart: func(s *scene) {
		s.sendOn()
		s.answerPart(whole(s.long()))
	},
	phaseTunnel: func(s *scene) {
		s.c.send(s.head(0))
		s.b = s.arrival()
		s.b.request()
		s.b.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + s.form + "\r\n\r\nhello")
		s.c.until("\r\n\r\nhello")
		s.c.send("\x81\x00")
		s.b.until("\x81\x00")
	},
	phaseDialling: func(s *scene) {
		if s.ask(short, short); s.side == "client" {
			until("it is at a backend", func() bool { return s.requests() > 0 })
		}
	},
}

// sendOn brings half of the request to a backend.
func (s *scene) sendOn() {
	s.ask(long/2, long)
	s.b = s.arrival()
	s.b.fill(long / 2)
}

// arrive brings the whole request to a backend.
func (s *scene) arrive() {
	s.ask(short, short)
	s.arrived()
}

// arrived takes the whole request that a backend gets.
func (s *scene) arrived() {
	s.b = s.arrival()
	if m := s.b.request(); !m.whole || m.body != s.sent {
		fail("the backend got %+v", m)
	}
	s.body = "the answer"
	s.rest = whole(s.body)
	if s.method == "HEAD" {
		s.rest, s.body = strings.TrimSuffix(s.rest, s.body), ""
	}
}

// long is a body that is too long to be held back.
func (s *scene) long() string {
	s.body = "hello" + strings.Repeat("a", long)
	return s.body
}

// part sends the first bytes of an answer.
func (s *scene) part(all string, n int) {
	s.b.send(all[:n])
	s.rest = all[n:]
}

// answerPart sends an answer up to its first "hello", which the client is awaited to have.
func (s *scene) answerPart(all string) {
	s.part(all, strings.Index(all, "hello")+len("hello"))
	s.c.until("hello")
}

// events happen to one side.
var events = map[string]func(*scene, *end){
	halfClose: func(s *scene, e *end) {
		if s.phase == phaseDone {
			s.b.send(s.rest)
		}
		e.halfClose()
	},
	fullClose: func(s *scene, e *end) { e.close() },
	rst: func(s *scene, e *end) {
		if s.phase == phaseDone {
			s.b.send(s.rest)
			s.c.response(s.method)
			s.c.from = 0
		}
		e.reset()
	},
	silence: func(*scene, *end) {},
	malformed: func(s *scene, e *end) {
		e.send("\x00\x01 :\r\n\r\n")
		if e == s.c && s.phase == phaseWaiting {
			s.b.send(s.rest)
		}
	},
	quick:   func(s *scene, e *end) { e.halfClose(); s.b.send(s.rest) },
	flowing: func(s *scene, e *end) { e.halfClose(); s.drip() },
	goesOn: func(s *scene, e *end) {
		if e == s.c {
			s.c.send(s.unsent)
			return
		}
		s.b.send(s.rest)
	},
	moreBytes: func(s *scene, e *end) {
		switch {
		case e == s.c:
			s.c.send(next)
			s.b.send(s.rest)
			return
		case s.phase == phaseIdle:
			e.send(whole("poison"))
			return
		}
		s.b.send(s.rest + whole("poison"))
	},
	overlong: func(s *scene, e *end) { e.send(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 11)) },
	switching: func(s *scene, e *end) {
		e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	},
	saysClose: func(s *scene, e *end) {
		e.send(strings.Replace(s.rest, "\r\n", "\r\nConnection: close\r\n", 1))
	},
	stalled: func(s *scene, e *end) { go flood(s.c.Conn) },
}

// inChunks is an answer of two chunks.
const inChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"

const next = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"

// drip sends the rest of the answer in pieces, for longer than a client that ended its side is looked at. A client that
// takes nothing more would be given up.
func (s *scene) drip() {
	const pieces = 20
	pace := time.NewTicker((goneLooks + 4) * watchEvery / pieces)
	defer pace.Stop()
	for _, piece := range s.inPieces(pieces) {
		<-pace.C
		s.b.send(piece)
		s.c.more()
	}
	if s.frame == phaseChunked {
		s.b.send("0\r\n\r\n")
	}
}

// inPieces is the rest of the answer, in pieces with some of its body each.
func (s *scene) inPieces(n int) (list []string) {
	if s.frame == phaseChunked {
		s.body = "hello" + strings.Repeat("a", n)
		for range n {
			list = append(list, "\r\n1\r\na")
		}
		list[n-1] += "\r\n"
		return list
	}
	size := len(s.rest) / n
	for ; len(s.rest) > size; s.rest = s.rest[size:] {
		list = append(list, s.rest[:size])
	}
	return append(list, s.rest)
}

// flood sends the rest of a body that nobody takes.
func flood(nc net.Conn) {
	piece := make([]byte, 64<<10)
	for {
		if _, err := nc.Write(piece); err != nil {
			return
		}
	}
}
