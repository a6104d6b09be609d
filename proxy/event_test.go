package proxy

import (
	"strings"
	"testing"
)

func TestEventEnds(t *testing.T) {
	tests := []struct {
		reason  string
		stream  string
		between bool
	}{
		{"nothing was sent", "", true},
		{"an event", "data: x\n\n", true},
		{"with CRLF", "data: x\r\n\r\n", true},
		{"with CR", "data: x\r\r", true},
		{"LF, then CRLF", "data: x\n\r\n", true},
		{"CRLF, then LF", "data: x\r\n\n", true},
		{"CR, then CRLF", "data: x\r\r\n", true},
		{"CRLF, then CR", "data: x\r\n\r", true},
		{"a line, but no event", "data: x\n", false},
		{"a line with CRLF", "data: x\r\n", false},
		{"half a line", "data: x", false},
		{"the beginning of the next", "data: x\n\nid: 2", false},
		{"a line of the next", "data: x\n\nid: 2\n", false},
		{"many blank lines", "data: x\n\n\n\n", true},
		{"half a CRLF pair", "data: x\r\n\r\nid: 2\r", false},
	}
	for _, test := range tests {
		for size := 1; size <= len(test.stream)+1; size++ {
			e := &eventEnd{}
			for rest := test.stream; rest != ""; {
				n := min(size, len(rest))
				e.follow([]byte(rest[:n]))
				rest = rest[n:]
			}
			if e.between() != test.between {
				t.Errorf("%s, in pieces of %d: between %v", test.reason, size, e.between())
			}
		}
	}
	var none *eventEnd
	if none.follow([]byte("x\n\n")); none.between() {
		t.Error("what is no event stream has no event ends")
	}
}

// TestEventEndIsThatOfTheText compares with the plain definition: two line ends at the end.
func TestEventEndIsThatOfTheText(t *testing.T) {
	const alphabet = "a\r\n"
	for n := range 3 * 3 * 3 * 3 * 3 * 3 {
		var b strings.Builder
		b.WriteByte('x')
		for range 6 {
			b.WriteByte(alphabet[n%3])
			n /= 3
		}
		text := b.String()
		e := &eventEnd{}
		e.follow([]byte(text))
		plain := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
		if want := strings.HasSuffix(plain, "\n\n"); e.between() != want {
			t.Errorf("%q: between %v", text, e.between())
		}
	}
}
