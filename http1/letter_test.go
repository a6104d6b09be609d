package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/internal/strictread"
	"sluice/message"
)

// What is accepted here must be accepted by the letter of the RFC, and read the same: another reader may be as strict.
func TestAcceptedIsAcceptedByTheLetter(t *testing.T) {
	for _, row := range attacks.Requests {
		t.Run("request "+row.Name, func(t *testing.T) {
			if n := requestsByTheLetter(t, []byte(row.Wire)); n != row.Count() {
				t.Errorf("%d requests, want %d", n, row.Count())
			}
		})
	}
	for _, row := range attacks.Responses {
		t.Run("response "+row.Name, func(t *testing.T) {
			if n := responsesByTheLetter(t, []byte(row.Wire), row.HEAD); n < row.Count() {
				t.Errorf("%d responses, want %d", n, row.Count())
			}
		})
	}
}

// What goes out is the same, however it came in.
func TestPiecesAreForwardedAlike(t *testing.T) {
	for _, row := range attacks.Requests {
		want := forwarded([]byte(row.Wire), 0)
		for _, step := range []int{1, 2, 3, 7} {
			if got := forwarded([]byte(row.Wire), step); got != want {
				t.Errorf("%s, in steps of %d:\n%q\nat once:\n%q", row.Name, step, got, want)
			}
		}
	}
}

func forwarded(data []byte, step int) string {
	out := &feed{}
	c := NewConn(out, &DefaultLimits)
	for _, p := range readWhole(data, step, request) {
		writeWhole(c, p)
	}
	return out.written()
}

// parsed is one whole message, with all that dies with the connection's buffer copied.
type parsed struct {
	head     message.Head
	body     []byte
	trailers []message.Field
}

// readWhole reads the whole messages that data begins with.
func readWhole(data []byte, step int, read func(*Conn, *message.Head) error) (list []parsed) {
	c := NewConn(&feed{in: data, step: step}, &DefaultLimits)
	defer c.Release()
	for {
		var h message.Head
		if read(c, &h) != nil {
			return list
		}
		p := parsed{head: *cloned(&h)}
		var err error
		if p.body, err = readBody(c); err != nil {
			return list
		}
		p.trailers = cloned(&message.Head{Fields: c.Trailers()}).Fields
		if list = append(list, p); h.Framing.Kind == message.UntilClose || h.Status == 101 {
			return list
		}
	}
}

// requestsByTheLetter returns how many requests were accepted.
func requestsByTheLetter(t *testing.T, data []byte) int {
	t.Helper()
	list := readWhole(data, 100, request)
	rest := data
	for i, p := range list {
		want, after, err := strictread.ReadRequest(rest)
		if err != nil {
			t.Fatalf("request %d is accepted, but by the letter: %v\n%q", i, err, data)
		}
		rest = after
		start := fmt.Sprintf("%s %s %s %d", want.Method, want.Path, want.Host, want.Minor)
		if got := fmt.Sprintf("%s %s %s %d", p.head.Method, p.head.Target, p.head.Authority, p.head.Minor); got != start {
			t.Errorf("read as %q, by the letter %q\n%q", got, start, data)
		}
		sameMessage(t, p, &want.Message)
		rewritten(t, p)
	}
	return len(list)
}

func responsesByTheLetter(t *testing.T, data []byte, head bool) int {
	t.Helper()
	read, method := response, "GET"
	if head {
		read, method = toHEAD, "HEAD"
	}
	list := readWhole(data, 100, read)
	rest := data
	for i, p := range list {
		want, after, err := strictread.ReadResponse(rest, method)
		if err != nil {
			t.Fatalf("response %d is accepted, but by the letter: %v\n%q", i, err, data)
		}
		rest = after
		start := fmt.Sprintf("%d %q %d %v", want.Status, strings.Trim(want.Reason, " \t"), want.Minor, want.UntilClose)
		if got := fmt.Sprintf("%d %q %d %v", p.head.Status, p.head.Reason, p.head.Minor, p.head.Framing.Kind == message.UntilClose); got != start {
			t.Errorf("read as %q, by the letter %q\n%q", got, start, data)
		}
		sameMessage(t, p, &want.Message)
	}
	return len(list)
}

func sameMessage(t *testing.T, p parsed, want *strictread.Message) {
	t.Helper()
	if got := listed(p.head.Fields); got != listedStrictly(want.Fields) {
		t.Errorf("fields%s, by the letter%s", got, listedStrictly(want.Fields))
	}
	if got := listed(p.trailers); got != listedStrictly(passable(want.Trailers)) {
		t.Errorf("trailers%s, by the letter%s", got, listedStrictly(want.Trailers))
	}
	if !bytes.Equal(p.body, want.Body) || p.head.Close != want.Close {
		t.Errorf("body %q, close %v, by the letter %q, %v", p.body, p.head.Close, want.Body, want.Close)
	}
}

// passable are trailers but those that frame a message or speak of its connection (RFC 9110 §6.5.1).
func passable(trailers []strictread.Field) (list []strictread.Field) {
	const barred = ",connection,content-length,expect,host,keep-alive,proxy-connection,te,trailer,transfer-encoding,upgrade,"
	for _, f := range trailers {
		if !strings.Contains(barred, ","+strings.ToLower(f.Name)+",") {
			list = append(list, f)
		}
	}
	return list
}

func listedStrictly(fields []strictread.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, " [%s: %s]", f.Name, f.Value)
	}
	return b.String()
}

// rewritten checks that a request that was accepted goes out as exactly one, in the one form that there is for it, and is
// read again as it was read first.
func rewritten(t *testing.T, p parsed) {
	t.Helper()
	if len(p.head.Authority) == 0 {
		p.head.Authority = []byte("x") // an HTTP/1.0 client may name none, and its proxy must
	}
	out := &feed{}
	c := NewConn(out, &DefaultLimits)
	writeWhole(c, p)
	again, rest, err := strictread.ReadRequest([]byte(out.written()))
	if err != nil || len(rest) > 0 {
		t.Fatalf("written as\n%q\nof which %q is left: %v", out.written(), rest, err)
	}
	if got := canonical(again); got != out.written() {
		t.Errorf("written as\n%q\nwant\n%q", out.written(), got)
	}
	if !bytes.Equal(again.Body, p.body) || listedStrictly(again.Trailers) != listed(p.trailers) ||
		again.Method != string(p.head.Method) || again.Path != string(p.head.Target) || again.Host != string(p.head.Authority) {
		t.Errorf("%s with body %q and trailers%s was written as\n%q", describe(&p.head), p.body, listed(p.trailers), out.written())
	}
}

func writeWhole(c *Conn, p parsed) {
	c.BeginMessage()
	c.WriteRequest(&p.head)
	c.WriteBody(p.body)
	c.EndBody(p.trailers)
	c.Flush()
}

// canonical writes a request as it should stand on the wire: Host first, framing last, single spaces, one chunk.
func canonical(r *strictread.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Path, r.Host)
	for _, f := range r.Fields {
		if !strings.EqualFold(f.Name, "Host") && !strings.EqualFold(f.Name, "Content-Length") && !strings.EqualFold(f.Name, "Transfer-Encoding") {
			fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	switch {
	case r.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if len(r.Body) > 0 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(r.Body), r.Body)
		}
		b.WriteString("0\r\n")
		for _, f := range r.Trailers {
			fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
		}
	case r.Length >= 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", r.Length)
	}
	fmt.Fprintf(&b, "\r\n")
	if !r.Chunked {
		b.Write(r.Body)
	}
	return b.String()
}
