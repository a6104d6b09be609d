package proxy

// frames follows the frames of a WebSocket in one direction (RFC 6455 §5.2) by their headers, so that a Close can be put
// between two messages. It copies nothing and keeps nothing but where it stands.
type frames struct {
	left   uint64 // payload bytes of the frame at hand that are still to come
	head   [14]byte
	have   int  // bytes of a frame header so far
	inside bool // inside of a fragmented message: its last frame has not come
	closed bool // a Close frame went by; nothing may follow it
	lost   bool // a write failed: nobody knows where the direction stands
}

const (
	opContinuation = 0x0
	opClose        = 0x8
	finBit         = 0x80
	maskBit        = 0x80
)

// Close frames with status 1001: from a server, and from a client with an all-zero mask.
var (
	closeGoingAway       = []byte{finBit | opClose, 2, 0x03, 0xe9}
	closeGoingAwayMasked = []byte{finBit | opClose, maskBit | 2, 0, 0, 0, 0, 0x03, 0xe9}
)

// follow takes the next bytes of the direction.
func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		p = p[f.step(p):]
	}
}

// end takes bytes up to where the direction stands as is wished, and returns how many those are: all of them if it does not
// come to that.
func (f *frames) end(p []byte, stands func(*frames) bool) (n int) {
	for n < len(p) {
		n += f.step(p[n:])
		if stands(f) {
			return n
		}
	}
	return n
}

// step takes one byte of a header, or as much of a payload as there is.
func (f *frames) step(p []byte) int {
	if f.left > 0 {
		n := min(f.left, uint64(len(p)))
		f.left -= n
		return int(n)
	}
	f.head[f.have] = p[0]
	f.have++
	if f.have >= 2 && f.have == f.headerSize() {
		f.begin()
	}
	return 1
}

// headerSize is the length of the header at hand, known from its second byte on.
func (f *frames) headerSize() int {
	n := 2
	switch f.head[1] &^ maskBit {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&maskBit != 0 {
		n += 4
	}
	return n
}

// begin reads the header that is complete now.
func (f *frames) begin() {
	f.left = f.payload()
	f.have = 0
	switch op := f.head[0] & 0x0f; {
	case op == opClose:
		f.closed = true
	case op < opClose:
		f.inside = f.head[0]&finBit == 0
	}
}

func (f *frames) payload() uint64 {
	switch n := f.head[1] &^ maskBit; n {
	case 126:
		return uint64(f.head[2])<<8 | uint64(f.head[3])
	case 127:
		var long uint64
		for _, b := range f.head[2:10] {
			long = long<<8 | uint64(b)
		}
		return long
	default:
		return uint64(n)
	}
}

// between reports that the direction stands on a message boundary.
func (f *frames) between() bool { return !f.lost && f.left == 0 && f.have == 0 && !f.inside }

// mayInterject reports that it stands between two frames, where a control frame may stand (RFC 6455 §5.4).
func (f *frames) mayInterject() bool { return !f.lost && f.left == 0 && f.have == 0 }

// saidGoodbye reports that all of a Close went by.
func (f *frames) saidGoodbye() bool { return f.closed && f.left == 0 && f.have == 0 }
