package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

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

func ours(data []byte, step int, read func(*Conn, *message.Head) error) (outcome, *message.Head, error) {
	f := &feed{in: data, step: step}
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
	{"invalid port", "an empty or large port is a matter of routing"},
	{"invalid IP", "an address in brackets is compared, never dialled"},
	{"invalid host", "as with addresses"},
	{"invalid IPv6 host", "as with addresses"},
	{"bad trailer key", "Trailer only announces; a forbidden trailer is dropped when it comes"},
	{"invalid character", "Go checks hosts and schemes of absolute forms by its own table"},
	{"missing ']' in host", "as with addresses"},
	{"first path segment in URL cannot contain colon", "only of relative references"},
}

func knownStricter(err error) bool {
	for _, row := range stricterThanUs {
		if strings.Contains(err.Error(), row.text) {
			return true
		}
	}
	return false
}

// FuzzRequest holds what is accepted here against another reader: a front and a backend that disagree on where a request
// ends, or on what it asks for, are how requests are smuggled.
func FuzzRequest(f *testing.F) {
	for i, row := range badRequests {
		f.Add([]byte(row.wire), i)
	}
	for i, row := range goodRequests {
		f.Add([]byte(row.wire), i)
	}
	for i, row := range badChunks {
		f.Add([]byte(post(chunked, row.body)), i)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if len(data) > 32<<10 {
			return
		}
		got, h, err := ours(data, max(step, 0)%100, request)
		if err != nil {
			return
		}
		// The one empty line that is allowed before a request is not read over by net/http.
		want, err := theirRequest(bytes.TrimPrefix(data, crlf))
		if err != nil {
			if !knownStricter(err) {
				t.Errorf("accepted as %+v, but net/http says: %v\n%q", got, err, data)
			}
			return
		}
		if !bytes.HasPrefix(h.Target, slash) || !strings.HasPrefix(want.target, "/") {
			want.target = originForm(want.target, got.target)
		}
		compare(t, got, want, data)
		rewritten(t, h)
	})
}

// originForm checks an absolute target by its end: net/http keeps it as it was sent.
func originForm(absolute, target string) string {
	if strings.HasSuffix(absolute, target) || !strings.Contains(absolute[8:], "/") && (target == "/" || target == "*") {
		return target
	}
	return absolute
}

// compare lets the other reader refuse a body that was read to its end here only where it is known to be stricter.
func compare(t *testing.T, got, want outcome, data []byte) {
	t.Helper()
	if got.whole && !want.whole && strings.HasPrefix(got.framing, "chunked") {
		want.whole, want.body, want.remaining = true, got.body, got.remaining // a limit of its own on chunks of one byte
	}
	if !got.whole {
		got.body, want.body, got.remaining, want.remaining = "", "", 0, 0
		want.whole = want.whole && got.framing == "chunked" // it reads some trailers and extensions that are refused here
		got.whole = want.whole
	}
	if got != want {
		t.Errorf("read as\n%+v\nnet/http:\n%+v\n%q", got, want, data)
	}
}

// rewritten checks that a head that was accepted, written and read again is the same head.
func rewritten(t *testing.T, h *message.Head) {
	t.Helper()
	if h.Minor == 0 && (h.Get(message.Expect) != nil || h.Get(message.Upgrade) != nil) {
		return // fields that mean nothing in HTTP/1.0 begin to mean something
	}
	if len(h.Authority) == 0 {
		h.Authority = []byte("x")
	}
	out := &feed{}
	c := NewConn(out, &DefaultLimits)
	read := request
	if h.Status == 0 {
		c.WriteRequest(h)
	} else {
		c.WriteResponse(h)
		read = response
	}
	c.Flush()
	if len(out.written()) > largeSize {
		return
	}
	again := new(message.Head)
	if err := read(NewConn(&feed{in: []byte(out.written())}, &DefaultLimits), again); err != nil {
		t.Fatalf("written as\n%q\nwhich is refused: %v", out.written(), err)
	}
	before, after := headInWords(h), headInWords(again)
	if before != after {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func headInWords(h *message.Head) string {
	k := *h
	k.Minor, k.Close, k.Fields = 1, false, nil
	for _, f := range h.Fields {
		if f.ID != message.Host && f.ID != message.ContentLength && f.ID != message.TransferEncoding {
			k.Fields = append(k.Fields, f)
		}
	}
	return describe(&k) + listed(k.Fields)
}

// FuzzResponse is FuzzRequest for what backends send.
func FuzzResponse(f *testing.F) {
	for i, row := range badResponses {
		f.Add([]byte(row.wire), i, i%2 == 0)
	}
	for i, row := range goodResponses {
		if len(row.wire) < 32<<10 {
			f.Add([]byte(row.wire), i, i%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, step int, head bool) {
		if len(data) > 32<<10 {
			return
		}
		read, method := response, "GET"
		if head {
			read, method = toHEAD, "HEAD"
		}
		got, h, err := ours(data, max(step, 0)%100, read)
		if err != nil {
			return
		}
		want, err := theirResponse(data, method)
		if err != nil {
			if !knownStricter(err) {
				t.Errorf("accepted as %+v, but net/http says: %v\n%q", got, err, data)
			}
			return
		}
		if h.Framing.Kind == message.None {
			want.framing = got.framing // there it may tell of the body that is not sent
		}
		compare(t, got, want, data)
		if !head {
			rewritten(t, h)
		}
	})
}

// dumbChunks decodes a chunked body in one go, by the rules and limits of the real one and without its cleverness.
func dumbChunks(in []byte, limits *Limits) (body []byte, trailers string, rest []byte, err error) {
	for extensions := 0; ; {
		var line []byte
		if line, in, err = dumbLine(in, maxChunkLine, errChunk); err != nil {
			return body, "", nil, err
		}
		size, extension, ok := dumbSize(string(line))
		if extensions += extension; !ok || extensions > maxExtensions {
			return body, "", nil, errChunk
		}
		if size == 0 {
			trailers, rest, err = dumbTrailers(in, limits)
			return body, trailers, rest, err
		}
		n := min(size, len(in))
		body = append(body, in[:n]...)
		if in = in[n:]; n < size {
			return body, "", nil, ErrTruncated
		}
		if line, in, err = dumbLine(in, 0, errChunk); err != nil || len(line) > 0 {
			return body, "", nil, errors.Join(err, errChunk)
		}
	}
}

func dumbLine(in []byte, limit int, tooLong error) (line, rest []byte, err error) {
	i := bytes.IndexByte(in, '\n')
	switch {
	case i < 0 && len(in) > limit+1 || i > limit+1:
		return nil, nil, tooLong
	case i < 0:
		return nil, nil, ErrTruncated
	case i == 0 || in[i-1] != '\r':
		return nil, nil, errBareLF
	}
	return in[:i-1], in[i+1:], nil
}

func dumbSize(line string) (size, extension int, ok bool) {
	digits, ext, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(digits, 16, 60)
	return int(n), len(line) - len(digits), err == nil && len(digits) <= maxSizeDigits && message.IsValue([]byte(ext))
}

func dumbTrailers(in []byte, limits *Limits) (trailers string, rest []byte, err error) {
	var list []message.Field
	for used := 0; ; {
		var line []byte
		if line, in, err = dumbLine(in, max(0, limits.Trailers-used), errTrailers); err != nil {
			return "", nil, err
		}
		if len(line) == 0 {
			return listed(list), in, nil
		}
		used += len(line)
		if appendField(&list, line) != nil || len(list) > trailerFields {
			return "", nil, errFieldLine
		}
	}
}

// FuzzChunked feeds a body in steps of any size; how it was cut must not show.
func FuzzChunked(f *testing.F) {
	for i, row := range badChunks {
		f.Add([]byte(row.body), i+1, i)
	}
	for i, body := range []string{"5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\nx\r\n0\r\nX: 1\r\nY: 2\r\n\r\nGET /", "a\r\n0123456789\r\n00\r\n\r\n", "0\r\n\r\n0\r\n\r\n"} {
		f.Add([]byte(body), i+1, 7*i)
	}
	f.Fuzz(func(t *testing.T, data []byte, step, pad int) {
		if len(data) > 64<<10 {
			return
		}
		wantBody, wantTrailers, wantRest, wantErr := dumbChunks(data, &testLimits)
		head := post("X: "+strings.Repeat("p", max(pad, 0)%9000)+"\r\n"+chunked, "")
		in := &feed{in: append([]byte(head), data...), step: max(step, 0) % 5000}
		c := NewConn(in, &testLimits)
		if err := request(c, new(message.Head)); err != nil {
			t.Fatal(err)
		}
		body, err := readBody(c)
		if string(body) != string(wantBody) || errors.Is(err, ErrTruncated) != errors.Is(wantErr, ErrTruncated) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q\n%q, %v\nwant\n%q, %v", data, body, err, wantBody, wantErr)
		}
		if err != nil {
			return
		}
		rest := string(c.in.buf[c.in.r:c.in.w]) + string(in.in)
		if listed(c.Trailers()) != wantTrailers || rest != string(wantRest) {
			t.Fatalf("%q\ntrailers%s, rest %q\nwant\n%s, %q", data, listed(c.Trailers()), rest, wantTrailers, wantRest)
		}
	})
}
