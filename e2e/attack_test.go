package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"sluice/internal/strictread"
)

// TestMutatedRequests sends mutations of the table of attacks, each on a connection of its own, beside victims that send
// plain requests. No message may come to the backend that the strict reading of what was sent lacks, none may be
// malformed, and no answer may come to another client.
func TestMutatedRequests(t *testing.T) {
	seed, count := mutationSeed(t), mutations(t, 15_000)
	r := startRecorder(t)
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    backends: [%s]\n    health: off\n", r.address))
	s.start()
	victims := startVictims(s.listen, r)
	began := time.Now()
	a := attack{wires: requestWires(), seed: seed, server: s.listen, backend: r}
	each(count, a.one)
	served, wrong := victims.end()
	s.must("stop")
	s.waitExit(15 * time.Second)
	a.late(count)
	t.Logf("%d mutations in %v: %d requests arrived whole and %d in part, %d answers came by Sluice itself, %d connections were reset; %d victims served",
		count, time.Since(began).Round(time.Millisecond), a.whole.Load(), a.partial.Load(), a.own.Load(), a.resets.Load(), served)
	report(t, "mutations", a.findings)
	report(t, "victims", wrong)
	report(t, "backend", r.problems)
}

func report(t *testing.T, of string, findings []string) {
	t.Helper()
	for i, f := range findings {
		if i == 20 {
			t.Errorf("%s: %d more", of, len(findings)-i)
			return
		}
		t.Errorf("%s: %s", of, f)
	}
}

// attack is a run of mutations against one Sluice.
type attack struct {
	wires   *wires
	seed    uint64
	server  string
	backend *recorder

	whole, partial, own, resets atomic.Int64

	mu       sync.Mutex
	findings []string
}

func (a *attack) find(n uint64, m *mutant, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.findings = append(a.findings, fmt.Sprintf("seed %d number %d: %s\nsent %q in pieces %v", a.seed, n, fmt.Sprintf(format, args...), shortened(m.wire), m.cuts))
}

func (a *attack) one(n uint64) {
	mutated, client := a.wires.mutate(a.seed, n), clientAddress(n)
	m := &mutated
	raw, err := m.exchange(a.server, client)
	if err != nil && !reset(err) {
		a.find(n, m, "no end: %v behind %q", err, raw)
	}
	if reset(err) {
		a.resets.Add(1)
	}
	want := readStrictly(m.wire)
	got := a.backend.of(client)
	if reset(err) && len(want.begun) == 0 {
		a.find(n, m, "a reset, although all requests were whole")
	}
	if problem := want.holds(got); problem != "" {
		a.find(n, m, "%s", problem)
	}
	answers, err := want.answers(raw, err == nil)
	if err != nil {
		a.find(n, m, "%v in the answers %q", err, raw)
	}
	if problem := a.check(client, answers, got); problem != "" {
		a.find(n, m, "%s in the answers %q", problem, raw)
	}
}

// late looks at what was told of after its client had gone: the parts of requests that never became whole.
func (a *attack) late(count uint64) {
	for n := range count {
		got := a.backend.of(clientAddress(n))
		if len(got) == 0 {
			continue
		}
		m := a.wires.mutate(a.seed, n)
		if problem := readStrictly(m.wire).holds(got); problem != "" || len(got) > 1 || got[0].whole {
			a.find(n, &m, "arrived after its client had gone: %s %q", problem, shortened(got[0].raw))
		}
		a.partial.Add(1)
	}
	for client, got := range a.backend.arrived {
		a.findings = append(a.findings, fmt.Sprintf("%q for %q, who is no client", got[0].raw, client))
	}
}

// shortened leaves out the middle of what is long.
func shortened(b []byte) []byte {
	if len(b) < 2000 {
		return b
	}
	return slices.Concat(b[:1000], []byte("…"), b[len(b)-1000:])
}

func reset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset by peer") }

// strictReading is all that the strict reader finds in what a client sent, up to the request that it said is its last.
type strictReading struct {
	whole  []*strictread.Request
	begun  []byte // what stands behind them, and is no whole request
	closed bool   // the last was said to be the last
}

func readStrictly(wire []byte) (s strictReading) {
	for s.begun = wire; len(s.begun) > 0; {
		r, rest, err := strictread.ReadRequest(s.begun)
		if err != nil {
			return s
		}
		s.whole, s.begun, s.closed = append(s.whole, r), rest, r.Close
		if r.Close {
			return s
		}
	}
	return s
}

// holds says which message at the backend the strict reading lacks. Requests may be missing there, for Sluice answers
// some itself; none may be there twice or in another order.
func (s strictReading) holds(got []arrival) string {
	left := s.whole
	for i, m := range got {
		if !m.whole {
			if i < len(got)-1 || s.closed && len(left) == 0 || !s.began(left, m.wireMessage) {
				return fmt.Sprintf("a part of a request that was not sent: %q", shortened(m.raw))
			}
			continue
		}
		at := slices.IndexFunc(left, func(r *strictread.Request) bool { return same(r, m.wireMessage) == "" })
		if at < 0 {
			why := "there is no further one"
			if len(left) > 0 {
				why = same(left[0], m.wireMessage)
			}
			return fmt.Sprintf("the backend received a request that was not sent (%s): %q", why, shortened(m.raw))
		}
		left = left[at+1:]
	}
	return ""
}

// began reports whether something of what was sent begins as this request does. It may be whole as the strict reader sees
// it: Sluice refuses more.
func (s strictReading) began(left []*strictread.Request, m *wireMessage) bool {
	if slices.ContainsFunc(left, func(r *strictread.Request) bool {
		return r.Method == m.method() && canonicalTarget(r.Path) == m.target()
	}) {
		return true
	}
	line, _, _ := bytes.Cut(bytes.TrimPrefix(s.begun, []byte("\r\n")), []byte("\r\n"))
	method, rest, _ := strings.Cut(string(line), " ")
	return method == m.method() && (m.target() == "/" || strings.Contains(rest, m.target()))
}

var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// canonicalTarget is the one form of a path (RFC 3986 §6.2.2): escapes in upper case, and none where none is needed.
func canonicalTarget(target string) string {
	path, query, asked := strings.Cut(target, "?")
	path = escape.ReplaceAllStringFunc(path, func(e string) string {
		c, _ := strconv.ParseUint(e[1:], 16, 8)
		if unreserved := strings.ContainsRune("-._~", rune(c)) || c < 0x80 && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))); unreserved {
			return string(rune(c))
		}
		return strings.ToUpper(e)
	})
	if asked {
		return path + "?" + query
	}
	return path
}

// canonicalHost is in lower case, without the dot of a full domain name.
func canonicalHost(authority string) string {
	host, port := strings.ToLower(authority), ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i:]
	}
	return strings.TrimSuffix(host, ".") + port
}

// writtenAnew are fields that Sluice writes itself, whatever was sent.
var writtenAnew = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Via",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"}

// same says in what a message differs from the one that was sent.
func same(r *strictread.Request, m *wireMessage) string {
	switch {
	case r.Method != m.method():
		return "another method"
	case canonicalTarget(r.Path) != m.target():
		return "another target"
	case r.Host != "" && canonicalHost(r.Host) != m.get("Host"):
		return "another host"
	case !bytes.Equal(r.Body, m.body):
		return "another body"
	}
	for _, f := range m.fields {
		if !slices.ContainsFunc(writtenAnew, func(name string) bool { return strings.EqualFold(name, f.name) }) && !sent(r.Fields, f) {
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

// sent reports a field that was sent as it is. Several of Cookie become one, for servers read only one of them (RFC 6265
// §5.4), and of TE no more is left than that trailers are welcome (RFC 9110 §10.1.4).
func sent(fields []strictread.Field, f wireField) bool {
	m := strictread.Message{Fields: fields}
	switch strings.ToLower(f.name) {
	case "cookie":
		return strings.Join(slices.DeleteFunc(m.Values("Cookie"), func(v string) bool { return v == "" }), "; ") == f.value
	case "te":
		return f.value == "trailers" && strings.Contains(strings.ToLower(strings.Join(m.Values("TE"), ",")), "trailers")
	}
	return slices.ContainsFunc(fields, func(s strictread.Field) bool {
		return strings.EqualFold(s.Name, f.name) && s.Value == f.value
	})
}

// answers reads the final responses, each to the request in its place. One may be cut off where the connection was reset.
func (s strictReading) answers(raw []byte, ended bool) (list []*wireMessage, err error) {
	for len(raw) > 0 {
		method := "GET"
		if i := len(list); i < len(s.whole) {
			method = s.whole[i].Method
		}
		m, rest, err := readWireResponse(raw, method, ended)
		if err != nil && len(list) >= len(s.whole) && bytes.HasPrefix(bytes.TrimPrefix(s.begun, []byte("\r\n")), []byte("HEAD ")) {
			m, rest, err = readWireResponse(raw, "HEAD", ended) // malformed, but not as a HEAD
		}
		if errors.Is(err, errShort) && !ended {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if m.status() >= 200 {
			list = append(list, m)
		}
		raw = rest
	}
	return list, nil
}

// check holds the answers against what arrived at the backend: each of its answers came, in order, to the client that it
// was for; all others are refusals by Sluice.
func (a *attack) check(client string, answers []*wireMessage, got []arrival) string {
	for _, m := range answers {
		if m.get("X-Serial") == "" {
			if a.own.Add(1); m.status() < 400 {
				return fmt.Sprintf("a %d that the backend did not give", m.status())
			}
			continue
		}
		for len(got) > 0 && !got[0].whole {
			got = got[1:]
		}
		if len(got) == 0 || m.get("X-For") != client || m.get("X-Serial") != fmt.Sprint(got[0].serial) {
			return fmt.Sprintf("%s got the answer %s for %s", client, m.get("X-Serial"), m.get("X-For"))
		}
		a.whole.Add(1)
		got = got[1:]
	}
	for _, m := range got {
		if m.whole {
			return fmt.Sprintf("no answer to %q", shortened(m.raw))
		}
		a.partial.Add(1)
	}
	return ""
}
