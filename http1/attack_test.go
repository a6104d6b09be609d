package http1

import (
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/message"
)

// The whole table, read in every way in which bytes may arrive.
func TestAttackingRequests(t *testing.T) {
	for _, row := range attacks.Requests {
		t.Run(row.Name, func(t *testing.T) {
			v := inEveryWay(t, row.Wire, &DefaultLimits, request)
			if v.status() != row.Status || (v.err == ErrTruncated) != row.Cut {
				t.Errorf("%s: %v, want status %d", row.Rule, v.err, row.Status)
			}
			if want := seen(row.Reads, row.Begun); v.seen != want {
				t.Errorf("%s: read as\n%s\nwant\n%s", row.Rule, v.seen, want)
			}
		})
	}
}

// seen is what judge says of whole messages and one that was begun.
func seen(reads, begun string) string {
	if reads == "" {
		return begun
	}
	return reads + "\n" + begun
}

func TestAttackingResponses(t *testing.T) {
	for _, row := range attacks.Responses {
		t.Run(row.Name, func(t *testing.T) {
			v := oneAnswer(onSocket(t, row.Wire, &DefaultLimits), row.HEAD)
			for _, step := range []int{0, 1, 2, 3, 7, 1000} {
				if again := oneAnswer(NewConn(&feed{in: []byte(row.Wire), step: step}, &DefaultLimits), row.HEAD); again != v {
					t.Errorf("in steps of %d:\n%+v\nat once:\n%+v", step, again, v)
				}
			}
			if want := (answer{seen(row.Reads, row.Begun), row.Refused, row.Reuse}); v != want {
				t.Errorf("%s: read as\n%+v\nwant\n%+v", row.Rule, v, want)
			}
		})
	}
}

// answer is what became of one request.
type answer struct {
	seen    string
	refused bool
	reuse   bool
}

// oneAnswer reads up to the final response, as a client with one request does, and looks whether anything is left.
func oneAnswer(c *Conn, head bool) answer {
	defer c.Release()
	var seen string
	var h message.Head
	for {
		if err := c.ReadResponse(&h, head, Waits{}); err != nil {
			return answer{seen, true, false}
		}
		words, err := inWords(c, &h)
		if seen += words; err != nil {
			return answer{seen, true, false}
		}
		if seen += "\n"; !h.Interim() {
			return answer{seen, false, !h.Close && h.Upgrade == nil && nothingLeft(c)}
		}
	}
}

func nothingLeft(c *Conn) bool {
	n, _ := c.NetConn().Read(make([]byte, 1))
	return n == 0 && c.Park()
}

// A line that is too long and ends badly is too long, in one piece as in many: its end might not have come.
func TestTooLongIsToldBeforeABadEnd(t *testing.T) {
	for _, row := range []struct {
		name, wire string
		status     int
	}{
		{"target", "GET /" + strings.Repeat("a", 16<<10) + "\n", 414},
		{"head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 16<<10) + "\n", 431},
		{"trailer", post(chunked, "0\r\nX: "+strings.Repeat("a", 300)+"\n"), 431},
		{"chunk line", post(chunked, "1;"+strings.Repeat("a", 300)+"\n"), 400},
		{"chunk end", post(chunked, "1\r\nabcdef\n"), 400},
	} {
		if v := inEveryWay(t, row.wire, &testLimits, request); v.status() != row.status {
			t.Errorf("%s: %v, want status %d", row.name, v.err, row.status)
		}
	}
}
