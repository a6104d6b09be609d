package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/message"
)

// Wherever a good request is cut off, it is neither passed on as whole nor taken for an idle end.
func TestEachPrefixOfARequestIsTruncated(t *testing.T) {
	for _, row := range attacks.Requests {
		if row.Status != 0 || row.Cut || len(row.Wire) > 2000 {
			continue
		}
		whole := seen(row.Reads, "")
		for n := range len(row.Wire) {
			v := judge(NewConn(&feed{in: []byte(row.Wire[:n]), step: 5}, &DefaultLimits), request)
			switch {
			case v.err == ErrTruncated && !strings.HasSuffix(v.seen, "\n"):
			case v.err == ErrTruncated && strings.HasPrefix(whole, v.seen) && v.seen != whole:
			case v.err == io.EOF && strings.HasPrefix(whole, v.seen) && v.seen != whole: // between two requests
			default:
				t.Fatalf("%s, cut at %d of %d: %v\n%s", row.Name, n, len(row.Wire), v.err, v.seen)
			}
		}
	}
}

func TestFieldsAreKeptAsTheyCame(t *testing.T) {
	wire := post("X-First:  1 \r\nvia: a, b\r\nX-First: 2\r\nCookie: x=\"y\"; z=caf\xe9\r\nEmpty:\r\n", "")
	c := onSocket(t, wire, &testLimits)
	defer c.Release()
	var h message.Head
	if err := request(c, &h); err != nil {
		t.Fatal(err)
	}
	want := " [Host: a] [X-First: 1] [via: a, b] [X-First: 2] [Cookie: x=\"y\"; z=caf\xe9] [Empty: ]"
	if got := listed(h.Fields); got != want {
		t.Errorf("fields\n%s\nwant\n%s", got, want)
	}
	if h.Fields[2].ID != message.Via || h.Fields[1].ID != message.Other {
		t.Error("IDs do not fit the names")
	}
}

// A pipeline is read no further ahead than one buffer, and holds no memory beside it: that is the limit on its depth.
func TestPipelineIsHeldInOneBuffer(t *testing.T) {
	const depth = 10_000
	one := get("GET /x HTTP/1.1")
	f := &feed{in: []byte(strings.Repeat(one, depth))}
	c, h := NewConn(f, &DefaultLimits), new(message.Head)
	defer c.Release()
	for i := range depth {
		if err := request(c, h); err != nil {
			t.Fatal(err)
		}
		ahead := len(one)*(depth-i-1) - len(f.in)
		if ahead > smallSize || len(c.in.buf) > smallSize || c.in.kept != nil {
			t.Fatalf("request %d: %d bytes ahead, in a buffer of %d", i, ahead, len(c.in.buf))
		}
	}
}

// A second request, and a body, may begin at any place of the buffer: the sweep moves both over its end.
func TestPipelinesOverTheBuffersEnd(t *testing.T) {
	for n := smallSize - 220; n < smallSize+10; n++ {
		pipelineAfter(t, n, []int{0, smallSize - 50})
	}
	for n := smallSize - 220; n < smallSize+10; n += 10 {
		pipelineAfter(t, n, []int{1, 1001})
	}
	for n := largeSize - 220; n <= largeSize; n += 10 {
		pipelineAfter(t, n, []int{0, smallSize - 50})
	}
}

// pipelineAfter reads requests behind one whose head, and one whose head and body, take n bytes.
func pipelineAfter(t *testing.T, n int, steps []int) {
	t.Helper()
	const rest = "PUT /second HTTP/1.1\r\nHost: b\r\nContent-Length: 20\r\n\r\n01234567890123456789" +
		"POST /third HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"
	const restSeen = "PUT /second @b length=20 \"01234567890123456789\"\nPOST /third @c chunked \"hello\" [X: 1]\n"
	head := post("X-Pad: "+strings.Repeat("p", n-len(post("X-Pad: \r\n", "")))+"\r\n", "")
	body := strings.Repeat("b", n-len(post("Content-Length: 00000\r\n", "")))
	for _, row := range []struct{ name, wire, seen string }{
		{"head", head, "POST / @a \"\"\n"},
		{"body", post(fmt.Sprintf("Content-Length: %05d\r\n", len(body)), body), fmt.Sprintf("POST / @a length=%d %q\n", len(body), body)},
		{"head with body", strings.Replace(head, "X-Pad: pppppppppppppppp", "Content-Length: 30\r\nX:", 1) + strings.Repeat("c", 30),
			fmt.Sprintf("POST / @a length=30 %q\n", strings.Repeat("c", 30))},
		{"head with chunks", strings.Replace(head, "X-Pad: pppppppppppppppppppppppp", "Transfer-Encoding: chunked\r\nX:", 1) + "3\r\nabc\r\n0\r\nY: 1\r\n\r\n",
			"POST / @a chunked \"abc\" [Y: 1]\n"},
	} {
		for _, step := range steps {
			v := judge(NewConn(&feed{in: []byte(row.wire + rest), step: step}, &DefaultLimits), request)
			if v.seen != row.seen+restSeen || v.err != io.EOF {
				t.Fatalf("%s of %d, step %d: %v\n%.300s", row.name, n, step, v.err, v.seen)
			}
		}
	}
}

// Limits other than the default ones are held too.
func TestLimitsOfARequest(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		wire   string
	}{
		{"target", 414, get("GET /" + strings.Repeat("a", 1000) + " HTTP/1.1")},
		{"target longer than a head", 414, get("GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1")},
		{"target without end", 414, "GET /" + strings.Repeat("a", 20<<10)},
		{"fields", 431, post(strings.Repeat("X: 1\r\n", 20), "")},
		{"field", 431, post("X: "+strings.Repeat("a", 17<<10)+"\r\n", "")},
		{"field without end", 431, "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 17<<10)},
		{"head", 431, post(strings.Repeat("X: "+strings.Repeat("a", 2000)+"\r\n", 10), "")},
		{"target just fits", 0, get("GET /" + strings.Repeat("a", 999) + " HTTP/1.1")},
		{"fields just fit", 0, post(strings.Repeat("X: 1\r\n", 19), "")},
		{"trailer", 431, post(chunked, "0\r\nX: "+strings.Repeat("a", 300)+"\r\n\r\n")},
		{"trailer without end", 431, post(chunked, "0\r\nX: "+strings.Repeat("a", 400))},
		{"trailers together", 431, post(chunked, "0\r\n"+strings.Repeat("X: "+strings.Repeat("a", 90)+"\r\n", 4)+"\r\n")},
	} {
		if v := inEveryWay(t, row.wire, &testLimits, request); v.status() != row.status {
			t.Errorf("%s: %v, want status %d", row.name, v.err, row.status)
		}
	}
}

func TestTrailerCount(t *testing.T) {
	limits := testLimits
	limits.Trailers = 16 << 10
	wire := post(chunked, "0\r\n"+strings.Repeat("X: 1\r\n", trailerFields)+"\r\n")
	if v := inEveryWay(t, wire, &limits, request); v.err.Error() != "EOF" {
		t.Errorf("%d trailers: %v", trailerFields, v.err)
	}
	wire = post(chunked, "0\r\n"+strings.Repeat("X: 1\r\n", trailerFields+1)+"\r\n")
	if v := inEveryWay(t, wire, &limits, request); v.status() != 431 {
		t.Errorf("%d trailers: %v", trailerFields+1, v.err)
	}
}
