package front

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// variant is one way to come to a cell. What a cell says holds for each that fits it.
type variant struct {
	side   string // whose event it is
	method string
	form   string // of the request: "", "key" have no body; "length", "chunked"; "websocket", "other" ask for a tunnel
	frame  string // of the answer, where a phase leaves it open
	life   string // of the client's connection: "keep", "close", "HTTP/1.0", "HTTP/2"
	kept   bool   // the backend's connection carried a request before
	tls    *tlsPair
}

type tlsPair struct{ server, client *tls.Config }

func (v variant) String() string {
	name := strings.Join([]string{v.method, v.form, v.frame, v.life}, " ")
	if v.kept {
		name += " reused"
	}
	if v.tls != nil {
		name += " TLS"
	}
	return name
}

func (v variant) bodied() bool { return v.form == "length" || v.chunked() }

func (v variant) chunked() bool { return v.form == "chunked" || v.form == "trailers" }

func (v variant) idempotent() bool { return v.method != "POST" }

// repeatable requests are idempotent (RFC 9110 §9.2.2) or have a key, and all of their body is still here. Trailers
// are not kept, so a body with some is passed on as it comes.
func (v variant) repeatable() bool { return v.idempotent() && v.form != "trailers" || v.form == "key" }

// variants are all there are, whatever the cell.
func variants(side string, pair *tlsPair) (list []variant) {
	forms := [][2]string{
		{"GET", ""}, {"HEAD", ""}, {"POST", ""}, {"POST", "key"}, {"PUT", "length"}, {"POST", "length"}, {"PUT", "chunked"}, {"POST", "chunked"}, {"PUT", "trailers"},
		{"GET", "websocket"}, {"GET", "other"},
	}
	for _, form := range forms {
		for _, life := range []string{"keep", "close", "HTTP/1.0"} {
			for _, kept := range []bool{false, true} {
				for _, frame := range []string{"", phaseLength, phaseChunked, phaseUntil} {
					list = append(list, variant{side, form[0], form[1], frame, life, kept, nil})
				}
			}
			if form == forms[0] {
				list = append(list, variant{side, "GET", "", "", life, false, pair})
			}
		}
	}
	return list
}

// fits reports whether the variant can come to the cell.
func (v variant) fits(c cell) bool {
	tunnel := v.form == "websocket" || v.form == "other"
	switch {
	case tunnel != (c.phase == phaseTunnel), tunnel && v.life != "keep":
		return false
	case (v.frame != "") != (c.phase == phaseAny):
		return false
	case v.life == "HTTP/1.0" && v.chunked():
		return false
	case v.tls != nil && v.side == "client" && c.event != rst && c.event != fullClose:
		return false // a half-close is no end of the connection there
	case v.method == "HEAD" && !headless(c.phase):
		return false
	}
	return v.fitsPhase(c) && v.fitsEvent(c)
}

// headless phases are those that an answer without a body comes to.
func headless(phase string) bool {
	return phase == phaseWaiting || phase == phaseInterim || phase == phaseAnswering || phase == phaseDone
}

func (v variant) fitsPhase(c cell) bool {
	plain := v.method == "GET" && v.life == "keep"
	switch c.phase {
	case phaseFresh, phaseHead:
		return plain && !v.kept
	case phaseIdle:
		return plain || v.side == "backend" && v.kept
	case phaseBody, phaseSending, phaseEarly, phaseEarlyPart:
		return v.bodied()
	case phaseHeld:
		return v.idempotent()
	case phaseDialling:
		return !v.kept
	}
	return true
}

func (v variant) fitsEvent(c cell) bool {
	waiting := c.phase == phaseWaiting && v.side == "client"
	switch {
	case v.side == "backend" && c.phase == phaseIdle:
		return v.kept
	case waiting && (c.event == moreBytes || c.event == malformed):
		return v.life == "keep"
	case c.event == malformed && (c.phase == phaseBody || c.phase == phaseSending && v.side == "client"):
		return v.chunked()
	case c.event == stalled:
		return v.form == "length"
	case c.event == quick || c.event == flowing:
		return v.frame != phaseUntil // which ends with the backend's connection
	}
	return true
}

// scenesAtOnce is more than processors have use for: most of the time a scene waits for a deadline.
const scenesAtOnce = 120

// TestClosing brings each cell of docs/closing.md about in each way there is, over real sockets.
func TestClosing(t *testing.T) {
	server, roots := selfSigned(t)
	server.NextProtos = []string{"http/1.1"}
	pair := &tlsPair{server, &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	pulse.run(t)
	var wg sync.WaitGroup
	room := make(chan struct{}, scenesAtOnce)
	for side, cells := range map[string][]cell{"client": ofTheClient, "backend": ofTheBackend} {
		for _, c := range cells {
			n := 0
			for _, v := range variants(side, pair) {
				if !v.fits(c) {
					continue
				}
				n++
				room <- struct{}{}
				wg.Go(func() { defer func() { <-room }(); play(t, c, v, (*scene).playHTTP1) })
			}
			if n == 0 {
				t.Errorf("%s, %s, %s: nothing comes to this cell", side, c.phase, c.event)
			}
		}
	}
	wg.Wait()
}

// playHTTP1 is a scene of a client that speaks HTTP/1.
func (s *scene) playHTTP1() {
	s.begin()
	if s.phase == phaseTunnel {
		s.checkTunnel()
		s.finish()
		return
	}
	s.repeat()
	s.checkLog()
	s.checkBackend()
	s.checkClient()
	s.finish()
}

// begin comes to the event.
func (s *scene) begin() {
	if s.kept {
		s.warm()
	}
	s.c = s.dial()
	if s.phase == phaseAny {
		phases[s.frame](s)
	} else {
		phases[s.phase](s)
	}
	s.ready.Do(started)
	switch {
	case s.side == "client":
		events[s.event](s, s.c)
	case s.phase == phaseIdle:
		s.disturbIdle()
		s.arrive()
		s.b.send(s.rest)
	case s.phase == phaseDialling:
		if s.backend != nothing {
			s.arrived()
			s.b.send(s.rest)
		}
	default:
		events[s.event](s, s.b)
	}
}

// disturbIdle does the event to the idle connections of both backends.
func (s *scene) disturbIdle() {
	for i, e := range s.old {
		if !known(e.RemoteAddr(), e.LocalAddr()) {
			fail("there is no idle connection")
		}
		if s.event == silence {
			s.origins[i].Endpoint.Sweep(time.Now().Add(time.Hour))
			<-e.closed
			continue
		}
		events[s.event](s, e)
		noticed(e)
	}
}

func (s *scene) repeats() bool { return s.again == safe && s.repeatable() }

// repeat answers the next attempt, where there has to be one.
func (s *scene) repeat() {
	if !s.repeats() {
		return
	}
	second := s.arrival()
	if m := second.request(); !m.whole || m.body != s.sent {
		fail("the second attempt is %+v", m)
	}
	s.body = "second"
	answer := whole(s.body)
	if s.method == "HEAD" {
		answer, s.body = strings.TrimSuffix(answer, s.body), ""
	}
	second.send(answer)
	go s.await(second)
}

func (s *scene) checkLog() {
	if s.log == gone {
		return
	}
	want, retries := s.log, 0
	if s.repeats() {
		want, retries = "200", 1
	}
	if s.again == yes {
		want, retries = s.log, 1
	}
	if got := s.result(); got.text != want || got.retries < retries || s.again != yes && got.retries > retries {
		fail("logged %q after %d retries, want %q after %d", got.text, got.retries, want, retries)
	}
}

func (s *scene) checkBackend() {
	switch s.backend {
	case nothing:
		s.sawNothing()
	case kept:
		s.sawWhole()
		s.isIdle(1)
		go s.await(s.b)
	case wholeClose:
		s.b.toEnd()
		s.sawWhole()
		s.isIdle(0)
	case partClose:
		s.sawPart()
	case gone:
		s.isIdle(0)
	case fresh:
		s.sawWhole()
		if s.phase == phaseDone {
			noticed(s.b)
		}
		go s.await(s.b)
	}
}

func (s *scene) sawNothing() {
	select {
	case e := <-s.arrivals:
		fail("a backend got %q", e.seen)
	default:
	}
}

// sawWhole: one request, whole and with nothing behind it.
func (s *scene) sawWhole() {
	s.b.from = s.b.began
	if m := s.b.request(); !m.whole || m.body != s.sent || m.line != s.method+" /scene" || s.b.from != len(s.b.seen) {
		fail("the backend got %+v, and %q behind it", m, s.b.tail())
	}
}

// sawPart: a request that nobody can take for whole, and then the end.
func (s *scene) sawPart() {
	if !s.b.left {
		s.b.toEnd()
	}
	s.b.from = s.b.began
	if m := s.b.request(); m.whole {
		fail("the backend got a whole request: %d bytes of %d", len(m.body), len(s.sent))
	}
	s.isIdle(0)
}

func (s *scene) isIdle(want int) {
	if n := s.backendOf(s.b).Endpoint.Idle(); n != want {
		fail("%d idle connections to the backend, want %d", n, want)
	}
}

func (s *scene) checkClient() {
	want := s.client
	if s.repeats() {
		want = allOfIt
	}
	switch want {
	case gone:
	case allOfIt:
		s.isAnswered()
		s.goesOn()
	case answerClose:
		s.isAnswered()
		s.isClosed()
	case answer400:
		s.isAnswered()
		s.method = "GET" // nobody knows what the next would have been
		s.isRefused("400, close")
		if r := s.result(); r.text != "400 client" {
			fail("then logged %q", r.text)
		}
	case cutOff:
		s.isCut()
	case reset:
		if s.c.toEnd() || s.c.response(s.method).begun {
			fail("want a reset, got %q, %v", s.c.tail(), s.c.over)
		}
	case closed:
		s.isClosed()
	default:
		s.isRefused(want)
	}
}

func (s *scene) isAnswered() {
	if m := s.c.response(s.method); !m.whole || m.status != 200 || m.body != s.body {
		fail("want the answer, got %+v, %q, %v", m, s.c.tail(), s.c.over)
	}
}

// isClosed: the connection ends cleanly, with nothing more on it.
func (s *scene) isClosed() {
	if !s.c.toEnd() || s.c.from != len(s.c.seen) {
		fail("want a clean end, got %q, %v", s.c.tail(), s.c.over)
	}
}

func (s *scene) isRefused(want string) {
	status, closes := strings.CutSuffix(want, ", close")
	m := s.c.response(s.method)
	if !m.whole || fmt.Sprint(m.status) != status || s.method != "HEAD" && !strings.Contains(m.body, "\nrequest ") {
		fail("want %s, got %+v, %q, %v", want, m, s.c.tail(), s.c.over)
	}
	if !closes {
		s.goesOn()
		return
	}
	if s.isClosed(); !m.close {
		fail("%s without Connection: close", status)
	}
}

// isCut: part of the answer, which nobody can take for all of it.
func (s *scene) isCut() {
	clean := s.c.toEnd()
	if m := s.c.response(s.method); clean || !m.begun || m.whole || m.status != 200 {
		fail("want part of an answer and a reset, got %+v, %v", m, s.c.over)
	}
}

// goesOn: the client's connection carries further requests, unless it was to be the last or the client has ended its
// side. Each backend gets one of them; none comes on a connection that was not to be used again.
func (s *scene) goesOn() {
	if s.life != "keep" || s.c.half {
		s.isClosed()
		return
	}
	if s.backend == nothing || s.event == silence {
		return // there is nobody to answer, or no time
	}
	for i := range s.origins {
		if s.event != moreBytes || s.side != "client" || i > 0 {
			s.c.send(next)
		}
		b := s.arrival()
		if s.spent(b) {
			fail("the connection was used again")
		}
		if m := b.request(); m.line != "GET /next" || !m.whole {
			fail("then a backend got %+v", m)
		}
		b.send(whole("next answer"))
		if m := s.c.response("GET"); m.status != 200 || m.body != "next answer" {
			fail("then the client got %+v", m)
		}
		s.result()
		go s.await(b)
	}
}

// spent reports that a connection must carry no further request.
func (s *scene) spent(b *end) bool {
	if s.side == "backend" && s.phase == phaseIdle {
		return slices.Contains(s.old, b)
	}
	return b == s.b && s.backend != kept
}

// checkTunnel looks at both ends of a tunnel. A direction that goes on after the other has ended must still carry bytes.
func (s *scene) checkTunnel() {
	for _, e := range []struct {
		*end
		other *end
		want  string
	}{{s.c, s.b, s.client}, {s.b, s.c, s.backend}} {
		switch e.want {
		case reset:
			if e.toEnd() {
				fail("a torn tunnel ended like a whole one")
			}
		case ended:
			if e.other.half && !e.toEnd() {
				fail("want a clean end, got %v", e.over)
			}
			if e.other.half && !e.other.left {
				e.send("still here")
				e.other.until("still here")
			}
		}
	}
	s.endTunnel()
	s.checkLog()
}

// endTunnel ends what is still open, cleanly.
func (s *scene) endTunnel() {
	for _, e := range []*end{s.c, s.b} {
		if !e.half && s.client != reset && s.backend != reset {
			e.halfClose()
		}
	}
}
