package proxy

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// frame writes one WebSocket frame.
func frame(fin bool, op byte, mask bool, payload []byte) []byte {
	b := []byte{op}
	if fin {
		b[0] |= finBit
	}
	m := byte(0)
	if mask {
		m = maskBit
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, m|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, m|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, m|127), uint64(n))
	}
	if mask {
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, payload...)
}

// dumb reads all frames from the beginning each time it is asked.
func dumb(all []byte) (between, closed bool) {
	inside := false
	for len(all) > 0 {
		if len(all) < 2 {
			return false, closed
		}
		head, size := 2, uint64(all[1]&0x7f)
		switch size {
		case 126:
			head = 4
		case 127:
			head = 10
		}
		if all[1]&0x80 != 0 {
			head += 4
		}
		if len(all) < head {
			return false, closed
		}
		switch all[1] & 0x7f {
		case 126:
			size = uint64(binary.BigEndian.Uint16(all[2:]))
		case 127:
			size = binary.BigEndian.Uint64(all[2:])
		}
		op, fin := all[0]&15, all[0]&0x80 != 0
		if op < 8 {
			inside = !fin
		}
		closed = closed || op == 8
		if uint64(len(all)-head) < size {
			return false, closed
		}
		all = all[uint64(head)+size:]
	}
	return !inside, closed
}

func TestFramesAtEveryByte(t *testing.T) {
	pay := func(n int) []byte { return bytes.Repeat([]byte{0x81}, n) }
	tests := []struct {
		reason string
		stream [][]byte
	}{
		{"nothing", nil},
		{"one text", [][]byte{frame(true, 1, false, pay(5))}},
		{"an empty one", [][]byte{frame(true, 1, false, nil), frame(true, 2, true, nil)}},
		{"masked", [][]byte{frame(true, 2, true, pay(7)), frame(true, 1, true, pay(1))}},
		{"the largest short length", [][]byte{frame(true, 2, true, pay(125))}},
		{"16 bits of length", [][]byte{frame(true, 2, false, pay(126)), frame(true, 2, true, pay(300))}},
		{"64 bits of length", [][]byte{frame(true, 2, true, pay(1<<16)), frame(true, 1, false, pay(3))}},
		{"a fragmented message", [][]byte{frame(false, 1, false, pay(3)), frame(false, 0, false, pay(2)), frame(true, 0, false, pay(1))}},
		{"a ping inside of it", [][]byte{frame(false, 1, true, pay(3)), frame(true, 9, true, pay(4)), frame(true, 0, true, nil)}},
		{"a close inside of it", [][]byte{frame(false, 1, false, pay(3)), frame(true, 8, false, pay(2))}},
		{"a close", [][]byte{frame(true, 1, false, pay(3)), frame(true, 8, true, pay(2))}},
	}
	for _, test := range tests {
		all := bytes.Join(test.stream, nil)
		step := 1 + len(all)/2000
		for cut := 0; cut <= len(all); cut += step {
			var f frames
			f.follow(all[:cut])
			check(t, test.reason, &f, all[:cut])
			f.follow(all[cut:])
			check(t, test.reason, &f, all)
		}
	}
}

func check(t *testing.T, reason string, f *frames, seen []byte) {
	t.Helper()
	between, closed := dumb(seen)
	if f.between() != between || f.closed != closed {
		t.Fatalf("%s: after %d bytes between %v closed %v, want %v %v", reason, len(seen), f.between(), f.closed, between, closed)
	}
}

func TestFramesLikeADumbParser(t *testing.T) {
	ops := []byte{0, 1, 2, 3, 8, 9, 10, 15}
	for range 300 {
		var all []byte
		for range rand.IntN(8) {
			payload := make([]byte, []int{0, 1, 5, 125, 126, 200}[rand.IntN(6)])
			all = append(all, frame(rand.IntN(3) > 0, ops[rand.IntN(len(ops))], rand.IntN(2) == 0, payload)...)
		}
		var f frames
		for at := 0; at < len(all); {
			n := min(1+rand.IntN(40), len(all)-at)
			f.follow(all[at : at+n])
			at += n
			check(t, "random frames", &f, all[:at])
		}
	}
}

func TestCloseFramesAreWhole(t *testing.T) {
	for name, b := range map[string][]byte{"from a server": closeGoingAway, "from a client": closeGoingAwayMasked} {
		var f frames
		f.follow(b)
		if !f.between() || !f.closed {
			t.Errorf("%s: %x is no whole Close", name, b)
		}
		if code := binary.BigEndian.Uint16(b[len(b)-2:]); code != 1001 {
			t.Errorf("%s: status %d", name, code)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint(3))
	f.Add(frame(false, 1, true, []byte("hello")), uint(6))
	f.Fuzz(func(t *testing.T, all []byte, at uint) {
		cut := 0
		if len(all) > 0 {
			cut = int(at % uint(len(all)))
		}
		var fr frames
		fr.follow(all[:cut])
		check(t, "a prefix", &fr, all[:cut])
		fr.follow(all[cut:])
		check(t, "all", &fr, all)
	})
}

// TestEndStopsBehindTheMessage: what follows a message that a drain lets finish must not go with it.
func TestEndStopsBehindTheMessage(t *testing.T) {
	first := []byte{finBit | 2, 3, 'a', 'b', 'c'}
	second := []byte{finBit | 2, 2, 'd', 'e'}
	both := append(append([]byte{}, first...), second...)
	for cut := 1; cut < len(first); cut++ {
		var f frames
		f.follow(both[:cut])
		if n := f.end(both[cut:], (*frames).between); n != len(first)-cut || !f.between() {
			t.Errorf("cut at %d: took %d, want %d", cut, n, len(first)-cut)
		}
	}
	var f frames
	f.follow(first[:1])
	if n := f.end(first[1:4], (*frames).between); n != 3 || f.between() {
		t.Errorf("a message that does not end: took %d", n)
	}
}
