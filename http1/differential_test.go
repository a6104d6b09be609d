package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/message"
)

// outcome is what one reader made of the first message of some bytes.
type outcome struct {
	start     string // method and authority, or status
	target    string
	framing   string
	body      string
	whole     bool // the body was read to its end
	remaining int  // bytes behind the message
}

func ours(data []byte, read func(*Conn, *message.Head) error) (outcome, *message.Head, error) {
	f := &feed{in: data}
	c := NewConn(f, &DefaultLimits)
	h := new(message.Head)
	if err := read(c, h); err != nil {
		return outcome{}, nil, err
	}
	o := outcome{start: fmt.Sprintf("%s %s", h.Method, h.Authority), target: string(h.Target), framing: framingOf(h.Framing)}
	if h.Status != 0 {
		o.start = fmt.Sprint(h.Status)
	}
	h = cloned(h)
	body, err := readBody(c)
	o.body, o.whole, o.remaining = string(body), err == nil, c.in.unread()+len(f.in)
	return o, h, nil
}

// cloned copies what would die with the connection's buffer.
func cloned(h *message.Head) *message.Head {
	k := *h
	k.Method, k.Target, k.Authority = bytes.Clone(h.Method), bytes.Clone(h.Target), bytes.Clone(h.Authority)
	k.Reason, k.Upgrade, k.Fields = bytes.Clone(h.Reason), bytes.Clone(h.Upgrade), nil
	for _, f := range h.Fields {
		k.Add(f.ID, bytes.Clone(f.Name), bytes.Clone(f.Value))
	}
	return &k
}

func framingOf(f message.Framing) string {
	switch f.Kind {
	case message.Chunked:
		return "chunked"
	case message.UntilClose:
		return "until close"
	}
	return fmt.Sprint(f.Length)
}

func theirFraming(length int64, codings []string) string {
	switch {
	case len(codings) > 0:
		return "chunked"
	case length < 0:
		return "until close"
	}
	return fmt.Sprint(length)
}

func theirRequest(data []byte) (o outcome, err error) {
	under := bytes.NewReader(data)
	br := bufio.NewReaderSize(under, 1<<17)
	r, err := http.ReadRequest(br)
	if err != nil {
		return o, err
	}
	o = outcome{start: r.Method + " " + r.Host, target: r.RequestURI, framing: theirFraming(r.ContentLength, r.TransferEncoding)}
	o.finish(r.Body, br, under)
	return o, nil
}

func theirResponse(data []byte, method string) (o outcome, err error) {
	under := bytes.NewReader(data)
	br := bufio.NewReaderSize(under, 1<<17)
	r, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return o, err
	}
	o = outcome{start: fmt.Sprint(r.StatusCode), framing: theirFraming(r.ContentLength, r.TransferEncoding)}
	o.finish(r.Body, br, under)
	return o, nil
}

func (o *outcome) finish(body io.Reader, br *bufio.Reader, under *bytes.Reader) {
	b, err := io.ReadAll(body)
	o.body, o.whole, o.remaining = string(b), err == nil, br.Buffered()+under.Len()
}

// stricterThanUs are things that net/http refuses and that are let through here, each for its reason. Nothing in the
// table moves the border between two messages.
var stricterThanUs = []struct{ text, reason string }{
	{"invalid URL escape", "percent signs are the application's; a path is passed on as it came"},
}

func knownStricter(err error) bool {
	for _, row := range stricterThanUs {
		if strings.Contains(err.Error(), row.text) {
			return true
		}
	}
	return false
}

// laxerThanUs are refusals of a head that net/http would read, each with what it makes of such a head.
var laxerThanUs = map[error]string{
	errBareLF:          "a line may end with a bare LF",
	errVersion:         "any HTTP/1.x is read as HTTP/1.1, and the major version is not looked at",
	errTarget:          "any scheme, userinfo, fragments, backslashes and bytes from 0x80 up are taken",
	errTargetLong:      "the limit is on the head alone",
	errDotSegment:      "paths are cleaned by the multiplexer, or not at all",
	errConnect:         "CONNECT is left to the handler",
	errFieldLine:       "folded lines are joined, and white space is trimmed off more places",
	errHeadLong:        "the limit belongs to the server, not to the reader",
	errFieldCount:      "fields are not counted",
	errHostMissing:     "the server looks for Host, not the reader",
	errHost:            "the server looks at Host, and takes any byte that might stand in one",
	errLength:          "a length may have 19 digits",
	errLengthTwice:     "equal lengths are merged",
	errLengthAndCoding: "the length is thrown away",
	errCodingIn10:      "the field is ignored in HTTP/1.0",
	errExpect:          "expectations are left to the server",
	errStatusLine:      "statuses from 000 up to 999, any HTTP/1.x and white space in more places are taken",
	errBodiless:        "the framing of a response without a body is not looked at",
	errInterim:         "HTTP/1.0 may be interim",
	errSwitch:          "a switch to nothing is left to the transport",
}

// divergence tells of a message on which the two readers differ in a way that no table explains.
func divergence(got outcome, err error, want outcome, theirs error) string {
	switch {
	case err == errRequestLine && want.target == "" && strings.HasPrefix(want.start, "CONNECT "):
		return "" // found by fuzzing: there a CONNECT may do without a target, and means Host's
	case err != nil && theirs == nil && laxerThanUs[err] == "":
		return fmt.Sprintf("refused: %v, but net/http reads %+v", err, want)
	case err == nil && theirs != nil && !knownStricter(theirs):
		return fmt.Sprintf("accepted as %+v, but net/http says: %v", got, theirs)
	case err == nil && theirs == nil && alike(got, want) != "":
		return alike(got, want)
	}
	return ""
}

// alike lets the other reader refuse a body that was read to its end here only where it is known to be stricter.
func alike(got, want outcome) string {
	if got.whole && !want.whole && strings.HasPrefix(got.framing, "chunked") {
		want.whole, want.body, want.remaining = true, got.body, got.remaining // a limit of its own on chunks of one byte
	}
	if !got.whole {
		got.body, want.body, got.remaining, want.remaining = "", "", 0, 0
		want.whole = want.whole && got.framing == "chunked" // it reads some trailers and extensions that are refused here
		got.whole = want.whole
	}
	if got == want {
		return ""
	}
	return fmt.Sprintf("read as\n%+v\nnet/http:\n%+v", got, want)
}

// differRequest compares the first request of some bytes. The one empty line that is allowed before it is not read over
// by net/http.
func differRequest(data []byte) (diff string, err, theirs error) {
	got, h, err := ours(data, request)
	want, theirs := theirRequest(bytes.TrimPrefix(data, crlf))
	if h != nil && theirs == nil && !(bytes.HasPrefix(h.Target, slash) && strings.HasPrefix(want.target, "/")) {
		want.target = originForm(want.target, got.target)
	}
	return divergence(got, err, want, theirs), err, theirs
}

func differResponse(data []byte, head bool) (diff string, err, theirs error) {
	read, method := response, "GET"
	if head {
		read, method = toHEAD, "HEAD"
	}
	got, h, err := ours(data, read)
	want, theirs := theirResponse(data, method)
	if h != nil && h.Framing.Kind == message.None {
		want.framing = got.framing // there it may tell of the body that is not sent
	}
	return divergence(got, err, want, theirs), err, theirs
}

// originForm checks an absolute target by its end: net/http keeps it as it was sent.
func originForm(absolute, target string) string {
	if strings.HasSuffix(absolute, target) || !strings.Contains(absolute[8:], "/") && (target == "/" || target == "*") {
		return target
	}
	return absolute
}

// Each divergence on the table of attacks has its reason, and each reason has its attack.
func TestDivergencesAreExplained(t *testing.T) {
	used := map[string]bool{}
	note := func(name, diff string, err, theirs error) {
		if diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err != nil && theirs == nil {
			used[err.Error()] = true
		}
		for _, row := range stricterThanUs {
			if err == nil && theirs != nil && strings.Contains(theirs.Error(), row.text) {
				used[row.text] = true
			}
		}
	}
	for _, row := range attacks.Requests {
		diff, err, theirs := differRequest([]byte(row.Wire))
		note(row.Name, diff, err, theirs)
	}
	for _, row := range attacks.Responses {
		diff, err, theirs := differResponse([]byte(row.Wire), row.HEAD)
		note(row.Name, diff, err, theirs)
	}
	for err := range laxerThanUs {
		if !used[err.Error()] {
			t.Errorf("no attack meets %v", err)
		}
	}
	for _, row := range stricterThanUs {
		if !used[row.text] {
			t.Errorf("nothing in the table is refused by net/http for %q", row.text)
		}
	}
}

// FuzzDifferentialRequest holds what is accepted here against another reader, and what is refused too: a front and a
// backend that disagree on where a request ends, or on what it asks for, are how requests are smuggled.
func FuzzDifferentialRequest(f *testing.F) {
	for _, row := range attacks.Requests {
		if len(row.Wire) <= largestSeed {
			f.Add([]byte(row.Wire))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 32<<10 {
			return
		}
		if diff, _, _ := differRequest(data); diff != "" {
			t.Errorf("%s\n%q", diff, data)
		}
	})
}

// FuzzDifferentialResponse is FuzzDifferentialRequest for what backends send.
func FuzzDifferentialResponse(f *testing.F) {
	for _, row := range attacks.Responses {
		if len(row.Wire) <= largestSeed {
			f.Add([]byte(row.Wire), row.HEAD)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		if len(data) > 32<<10 {
			return
		}
		if diff, _, _ := differResponse(data, head); diff != "" {
			t.Errorf("%s\n%q", diff, data)
		}
	})
}
