package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/strictread"
)

var errTimeout = os.ErrDeadlineExceeded

// TestMutatedResponses has a backend answer with mutations of the table of responses. Whatever it sends, its client gets
// the strict reading of it, or a refusal by Sluice, or an answer that is visibly cut off. The next request on the same
// connection, and the victims beside, get their own answers; no connection is used again behind anything unclean.
func TestMutatedResponses(t *testing.T) {
	seed, count := mutationSeed(t), mutations(t, 5_000)
	c := startCrook(t, seed)
	s := newSluice(t, fmt.Sprintf("timeouts: {response: 1s, body: 1s}\nservices:\n  web:\n    backends: [%s]\n    health: off\n", c.address)).start()
	victims := startVictims(s.listen, nil)
	began := time.Now()
	a := responseAttack{server: s.listen, crook: c}
	each(count, a.one)
	served, wrong := victims.end()
	s.must("stop")
	s.waitExit(15 * time.Second)
	t.Logf("%d mutations in %v: %d answers passed on whole, %d cut off (%d of them read to their end by the strict reader), %d refused, %d of them read by the strict reader; %d second requests and %d victims served",
		count, time.Since(began).Round(time.Millisecond), a.whole.Load(), a.cut.Load(), a.patient.Load(), a.refused.Load(), a.stricter.Load(), a.second.Load(), served)
	if n := a.patient.Load(); n > 10+a.whole.Load()/100 {
		t.Errorf("%d answers were cut off although the strict reader reads them to their end", n)
	}
	report(t, "mutations", a.findings)
	report(t, "victims", wrong)
	report(t, "backend", c.problems)
}

type responseAttack struct {
	server string
	crook  *crook

	whole, cut, refused, stricter, patient, second atomic.Int64

	mu       sync.Mutex
	findings []string
}

// one sends a request whose answer is crooked, and one behind it whose answer is not.
func (a *responseAttack) one(n uint64) {
	method := []string{"GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "PUT"}[n%8]
	client := clientAddress(n)
	m := mutant{wire: fmt.Appendf(nil, "%s /crooked/%d HTTP/1.1\r\nHost: a\r\n\r\nGET /second/%d HTTP/1.1\r\nHost: a\r\n\r\n", method, n, n)}
	raw, err := m.exchange(a.server, client)
	sent := a.crook.answer(n)
	problem := ""
	if err != nil && !reset(err) {
		problem = err.Error()
	} else {
		problem = a.check(readAnswer(sent.wire, method), &sent, raw, method, n, err == nil)
	}
	if problem != "" {
		a.mu.Lock()
		a.findings = append(a.findings, fmt.Sprintf("seed %d number %d, %s: %s\nsent     %q in pieces %v\nreceived %q, %v",
			a.crook.seed, n, method, problem, shortened(sent.wire), sent.cuts, shortened(raw), err))
		a.mu.Unlock()
	}
}

// check holds what the client received against what the backend sent.
func (a *responseAttack) check(want strictAnswer, sent *mutant, raw []byte, method string, n uint64, ended bool) string {
	for {
		m, rest, err := readWireResponse(raw, method, ended)
		switch {
		case errors.Is(err, errShort):
			return a.wasCut(want, sent, m, n)
		case err != nil:
			return "malformed: " + err.Error()
		case m.status() < 200:
			// One that is sent again brings its interim responses again.
			if !slices.ContainsFunc(want.interim, func(r *strictread.Response) bool { return sameResponse(r, m) == "" }) {
				return "an interim response that was not sent"
			}
			raw = rest
			continue
		case !m.whole:
			return a.wasCut(want, sent, m, n)
		}
		if problem := a.final(want, m); problem != "" {
			return problem
		}
		return a.next(rest, n, ended)
	}
}

// wasCut allows an answer to end early where the strict reader found no end either. In chunks it may be more patient than
// Sluice: it has no limits on trailers and extensions, and knows white space before these.
func (a *responseAttack) wasCut(want strictAnswer, sent *mutant, m *wireMessage, n uint64) string {
	a.cut.Add(1)
	switch {
	case want.final != nil && m.first != "" && !want.final.Chunked:
		return "an answer that was sent whole is cut off"
	case want.final != nil && m.first != "":
		a.patient.Add(1)
	}
	if m.first != "" && !bytes.Contains(sent.wire, fmt.Appendf(nil, "X-Tag: %s", m.get("X-Tag"))) {
		return "the beginning of another answer"
	}
	return ""
}

// ownAnswer reports an answer that Sluice made itself.
func ownAnswer(m *wireMessage) bool {
	return (m.status() == 502 || m.status() == 504) && m.get("X-Tag") == "" && m.get("Cache-Control") == "no-store" && m.get("X-Request-Id") != ""
}

func (a *responseAttack) final(want strictAnswer, m *wireMessage) string {
	if ownAnswer(m) {
		if a.refused.Add(1); want.final != nil && want.final.Status != 101 {
			a.stricter.Add(1)
		}
		return ""
	}
	if want.final == nil {
		return "an answer where the strict reader finds none"
	}
	a.whole.Add(1)
	return sameResponse(want.final, m)
}

// aboutTheConnection are fields of a response that Sluice writes itself, or not at all.
var aboutTheConnection = []string{"Connection", "Content-Length", "Transfer-Encoding", "Date", "Via", "X-Request-Id"}

func sameResponse(r *strictread.Response, m *wireMessage) string {
	if r.Status != m.status() {
		return fmt.Sprintf("status %d for %d", m.status(), r.Status)
	}
	if !bytes.Equal(r.Body, m.body) && len(m.body)+len(r.Body) > 0 {
		return fmt.Sprintf("the body %q for %q", m.body, r.Body)
	}
	for _, f := range m.fields {
		if !slices.ContainsFunc(aboutTheConnection, func(name string) bool { return strings.EqualFold(name, f.name) }) && !sent(r.Fields, f) {
			return fmt.Sprintf("a field %q that was not sent", f)
		}
	}
	for _, f := range m.trailers {
		if !sent(r.Trailers, f) {
			return fmt.Sprintf("a trailer field %q that was not sent", f)
		}
	}
	return ""
}

// next is the answer to the second request: its own, or none where the connection had to be closed.
func (a *responseAttack) next(raw []byte, n uint64, ended bool) string {
	if len(raw) == 0 {
		return ""
	}
	m, rest, err := readWireResponse(raw, "GET", ended)
	if err != nil || len(rest) > 0 {
		return fmt.Sprintf("the answer to the second request: %v, %q behind it", err, rest)
	}
	if !ownAnswer(m) && (m.get("X-For") != clientAddress(n) || !strings.Contains(string(m.body), fmt.Sprintf("GET /second/%d ", n))) {
		return fmt.Sprintf("the second request got %q", m.body)
	}
	a.second.Add(1)
	return ""
}
