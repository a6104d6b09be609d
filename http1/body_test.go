package http1

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"sluice/message"
)

func start(t *testing.T, nc net.Conn, read func(*Conn, *message.Head) error) (*Conn, *message.Head) {
	t.Helper()
	c, h := NewConn(nc, &DefaultLimits), new(message.Head)
	t.Cleanup(c.Release)
	if err := read(c, h); err != nil {
		t.Fatal(err)
	}
	return c, h
}

func TestWholeBodyStaysUntilItIsSkipped(t *testing.T) {
	c, h := start(t, &feed{in: []byte(post("Content-Length: 5\r\n", "hello") + get("GET /next HTTP/1.1"))}, request)
	for range 2 {
		if body, ok := c.WholeBody(); !ok || string(body) != "hello" || c.BodyDone() {
			t.Fatalf("WholeBody = %q, %v; done %v", body, ok, c.BodyDone())
		}
	}
	c.SkipBody()
	if _, err := c.Next(); !c.BodyDone() || err != io.EOF {
		t.Errorf("after SkipBody: %v", err)
	}
	if body, ok := c.WholeBody(); !ok || body != nil {
		t.Errorf("after SkipBody there is no body left, and that is all of it: %q, %v", body, ok)
	}
	if err := request(c, h); err != nil || string(h.Target) != "/next" {
		t.Errorf("next: %v, %s", err, h.Target)
	}
}

func TestWholeBodyOfAPartOrOfUnknownLength(t *testing.T) {
	for name, nc := range map[string]*feed{
		"a part":  {in: []byte(post("Content-Length: 5\r\n", "hell")), step: 1},
		"chunked": {in: []byte(post(chunked, "0\r\n\r\n"))},
	} {
		c, _ := start(t, nc, request)
		if _, ok := c.WholeBody(); ok {
			t.Errorf("%s: whole", name)
		}
	}
	c, _ := start(t, &feed{in: []byte(ok("", "x"))}, response)
	if _, whole := c.WholeBody(); whole {
		t.Error("until close: whole")
	}
}

// The body that was left unread would be read as the next message: that is how requests are smuggled.
func TestUnreadBodyIsNeverAMessage(t *testing.T) {
	inner := get("GET /smuggled HTTP/1.1")
	for _, wire := range []string{post(fmt.Sprintf("Content-Length: %d\r\n", len(inner)), inner), post(chunked, inner)} {
		c, h := start(t, &feed{in: []byte(wire)}, request)
		if err := request(c, h); err != errUnread {
			t.Errorf("%v, with target %s", err, h.Target)
		}
	}
}

func TestGatherWaitsForAllOfASmallBody(t *testing.T) {
	for _, size := range []int{1, 5000, 8000, smallSize, 20_000, largeSize} {
		body := strings.Repeat("b", size-1) + "!"
		wire := ok(fmt.Sprintf("X-Tag: kept\r\nContent-Length: %d\r\n", size), body) + "HTTP/1.1 204 X\r\n\r\n"
		for _, step := range []int{0, 1, 4000} {
			c, h := start(t, &feed{in: []byte(wire), step: step}, response)
			if err := c.Gather(); err != nil {
				t.Fatal(err)
			}
			got, whole := c.WholeBody()
			if !whole || string(got) != body {
				t.Fatalf("size %d, step %d: whole %v, %d bytes", size, step, whole, len(got))
			}
			if string(h.Fields[0].Value) != "kept" || string(h.Reason) != "OK" {
				t.Fatalf("the head changed while its body was gathered: %s", h.Fields[0].Value)
			}
			c.SkipBody()
			if err := response(c, h); err != nil || h.Status != 204 {
				t.Fatalf("size %d, step %d: next %v", size, step, err)
			}
		}
	}
}

func TestGatherLeavesOthersAlone(t *testing.T) {
	for _, wire := range []string{ok(fmt.Sprintf("Content-Length: %d\r\n", largeSize+1), ""), ok(chunked, ""), ok("", "")} {
		c, _ := start(t, &feed{in: []byte(wire)}, response)
		if err := c.Gather(); err != nil {
			t.Errorf("%q: %v, want no wait", wire, err)
		}
	}
	c, _ := start(t, &feed{in: []byte(ok("Content-Length: 5\r\n", "hell"))}, response)
	if err := c.Gather(); err != ErrTruncated {
		t.Errorf("%v, want ErrTruncated", err)
	}
}

// A second move of the body once gave the buffer back in which the head still lived, and another connection wrote over
// it.
func TestHeadOutlivesTwoMovesOfItsBody(t *testing.T) {
	wire := ok("X-Tag: kept\r\nContent-Length: 100000\r\n", strings.Repeat("b", 100_000))
	c, h := start(t, &feed{in: []byte(wire), step: 45000}, response)
	for c.in.r < 40_000 {
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Gather(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		start(t, &feed{in: []byte(strings.Repeat(get("GET /other HTTP/1.1"), 100))}, request)
	}
	if listed(h.Fields) != " [X-Tag: kept] [Content-Length: 100000]" {
		t.Errorf("the head is now %s", listed(h.Fields))
	}
}

func TestHeadStaysWhileTheBodyFlows(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20_000)
	chunks := fmt.Sprintf("%x\r\n%s\r\n7\r\n!!!!!!!\r\n0\r\n\r\n", len(body), body)
	for name, wire := range map[string]string{
		"length":  post(fmt.Sprintf("X-Tag: kept\r\nContent-Length: %d\r\n", len(body)), body),
		"chunked": post("X-Tag: kept\r\n"+chunked, chunks),
	} {
		for _, pad := range []int{1, 7000, 9000, 60_000, 65_000} {
			padded := strings.Replace(wire, "X-Tag", "X-Pad: "+strings.Repeat("p", pad)+"\r\nX-Tag", 1)
			c, h := start(t, &feed{in: []byte(padded), step: 3001}, request)
			n := 0
			for !c.BodyDone() {
				p, err := c.Next()
				if err != nil {
					t.Fatalf("%s, pad %d: %v after %d bytes", name, pad, err, n)
				}
				n += len(p)
				if string(h.Fields[2].Value) != "kept" || string(h.Method) != "POST" {
					t.Fatalf("%s, pad %d: the head changed after %d bytes", name, pad, n)
				}
			}
			if n < len(body) {
				t.Errorf("%s, pad %d: %d bytes", name, pad, n)
			}
		}
	}
}

// A head may fill the largest buffer to its last byte. Its body then had no room there, and reading it never ended.
func TestBodyBehindAHeadThatFillsTheBuffer(t *testing.T) {
	for n := largeSize - 5; n <= largeSize; n++ {
		for name, row := range map[string]struct{ framing, body string }{
			"length":   {"Content-Length: 5\r\n", "hello"},
			"chunked":  {chunked, "5\r\nhello\r\n0\r\nX: " + strings.Repeat("t", 3000) + "\r\n\r\n"},
			"trailers": {chunked, "0\r\nX: " + strings.Repeat("t", 12_000) + "\r\n\r\n"},
		} {
			head := post("X: \r\n"+row.framing, "")
			wire := post("X: "+strings.Repeat("x", n-len(head))+"\r\n"+row.framing, row.body)
			for _, step := range []int{0, 1000} {
				c, _ := start(t, &feed{in: []byte(wire), step: step}, request)
				if _, err := readBody(c); err != nil {
					t.Fatalf("%s behind %d bytes: %v", name, n, err)
				}
			}
		}
	}
}

// A trailer line may be as long as the limit says, but never longer than what a buffer can hold: else the wait for its
// end would be without end.
func TestTrailerLimitBeyondTheBuffer(t *testing.T) {
	limits := DefaultLimits
	limits.Trailers = 1 << 20
	for _, size := range []int{30_000, largeSize/2 + 1, 100_000} {
		v := inPieces(t, post(chunked, "0\r\nX: "+strings.Repeat("t", size)+"\r\n\r\n"), &limits, request)
		if size < largeSize/2 && v.err != io.EOF || size > largeSize/2 && v.status() != 431 {
			t.Errorf("a line of %d: %v", size, v.err)
		}
	}
}

// The head leaves room for half of the line only, and what is there of it begins where the body begins.
func TestTrailerLineThatOutgrowsItsPlace(t *testing.T) {
	limits := DefaultLimits
	limits.Trailers = 1 << 20
	wire := post("X: "+strings.Repeat("x", 45_000)+"\r\n"+chunked, "0\r\nY: "+strings.Repeat("t", 30_000)+"\r\n\r\n")
	if v := inPieces(t, wire, &limits, request); v.err != io.EOF {
		t.Error(v.err)
	}
}

func TestTrailersReuseTheirMemory(t *testing.T) {
	c, h := start(t, &feed{in: []byte(post(chunked, "0\r\nX: 1\r\n\r\n") + post(chunked, "0\r\n\r\n"))}, request)
	if _, err := readBody(c); err != nil || len(c.Trailers()) != 1 {
		t.Fatal(err, c.Trailers())
	}
	if err := request(c, h); err != nil || len(c.Trailers()) != 0 || cap(c.Trailers()) == 0 {
		t.Errorf("%v; %d trailers, room for %d", err, len(c.Trailers()), cap(c.Trailers()))
	}
}

func TestHeadsUpToTheLargestBuffer(t *testing.T) {
	for n := largeSize - 3; n <= largeSize+3; n++ {
		wire := post("X: "+strings.Repeat("x", n-len(post("X: \r\n", "")))+"\r\n", "")
		for _, step := range []int{0, 1000} {
			v := judge(NewConn(&feed{in: []byte(wire), step: step}, &DefaultLimits), request)
			if n <= largeSize && v.err != io.EOF || n > largeSize && v.status() != 431 {
				t.Errorf("a head of %d in steps of %d: %v", n, step, v.err)
			}
		}
	}
}

func TestHeadLimitIsExact(t *testing.T) {
	head := get("GET / HTTP/1.1")
	for d := -3; d <= 3; d++ {
		limits := Limits{Head: len(head) + d, Fields: 5, Target: 100, Trailers: 10}
		v := inEveryWay(t, strings.Repeat(head, 3), &limits, request)
		if d >= 0 && (v.err != io.EOF || strings.Count(v.seen, "\n") != 3) || d < 0 && v.status() != 431 {
			t.Errorf("limit %+d: %v\n%s", d, v.err, v.seen)
		}
	}
	limits := Limits{Head: 10, Fields: 5, Target: 100, Trailers: 10}
	if v := inEveryWay(t, head, &limits, request); v.status() != 414 {
		t.Errorf("a first line beyond the limit: %v, want 414", v.err)
	}
	if v := inEveryWay(t, ok("", ""), &limits, response); v.status() != 431 {
		t.Errorf("a status line beyond the limit: %v", v.err)
	}
}

// endless makes a body without holding it.
type endless struct {
	feed
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.in) > 0 || e.left == 0 {
		return e.feed.Read(p)
	}
	n := min(len(p), e.left)
	e.left -= n
	return n, nil
}

func TestLargeBodiesTakeConstantMemory(t *testing.T) {
	const size = 64 << 20
	for name, head := range map[string]string{
		"length":      ok(fmt.Sprintf("Content-Length: %d\r\n", size), ""),
		"until close": ok("", ""),
		"one chunk":   ok(chunked, fmt.Sprintf("%x\r\n", size)),
	} {
		c, _ := start(t, &endless{feed: feed{in: []byte(head)}, left: size}, response)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := 0
		for {
			p, err := c.Next()
			n += len(p)
			if err != nil || n == size {
				break
			}
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; n != size || grown > 1<<20 {
			t.Errorf("%s: %d bytes read, %d allocated", name, n, grown)
		}
	}
}

// What BodyBuffered promises is at hand: who keeps output back because of it must not find itself waiting for the peer.
func TestBodyBufferedNeverPromisesAWait(t *testing.T) {
	wires := map[string]string{
		"length":      post("Content-Length: 11\r\n", "hello world"),
		"chunked":     post(chunked, "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: 1\r\n\r\n"),
		"bad chunk":   post(chunked, "5\r\nhello\r\nzz\r\n"),
		"bad data":    post(chunked, "5\r\nhelloXX"),
		"chunk empty": post(chunked, "0\r\n\r\n"),
	}
	for name, wire := range wires {
		for step := 1; step < len(wire); step++ {
			nc := &feed{in: []byte(wire), step: step}
			c, _ := start(t, nc, request)
			for !c.BodyDone() {
				promised, left := c.BodyBuffered(), len(nc.in)
				p, err := c.Next()
				if promised && (len(nc.in) != left || len(p) == 0 && err == nil) {
					t.Fatalf("%s, step %d: promised, but %d bytes had to be read; got %q, %v", name, step, left-len(nc.in), p, err)
				}
				if err != nil {
					break
				}
			}
		}
	}
}

// The end of a chunked body is known with its last bytes where all of it is here, so that both go out in one write.
func TestEndIsKnownWithTheLastBytes(t *testing.T) {
	c, _ := start(t, &feed{in: []byte(post(chunked, "5\r\nhello\r\n0\r\nX: 1\r\n\r\n"))}, request)
	p, err := c.Next()
	for err == nil && len(p) == 0 {
		p, err = c.Next()
	}
	if err != nil || string(p) != "hello" || !c.BodyDone() || listed(c.Trailers()) != " [X: 1]" {
		t.Errorf("%q, %v, done %v, trailers%s", p, err, c.BodyDone(), listed(c.Trailers()))
	}
}

func TestTunnelBeginsWithWhatIsHereAlready(t *testing.T) {
	c, _ := start(t, &feed{in: []byte("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n0\r\n\r\nraw bytes")}, response)
	c.ReleaseHead()
	c.BecomeTunnel()
	body, err := readBody(c)
	if string(body) != "0\r\n\r\nraw bytes" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	c.WriteBody([]byte("x"))
	c.Flush()
	if got := c.nc.(*feed).written(); got != "x" {
		t.Errorf("written %q: a tunnel has no framing", got)
	}
}
