package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"sluice/message"
)

// requestID names one request in logs, receipts and for the backend. It is the one that came with the request, or 64
// random bits of the connection and a count.
type requestID struct {
	text [maxID]byte
	n    int
	base [8]byte
	seq  uint64
}

// maxID is the longest id taken over from a peer; longer ones are replaced.
const maxID = 64

func newRequestID() requestID {
	var id requestID
	binary.BigEndian.PutUint64(id.base[:], rand.Uint64())
	return id
}

// next makes the id of the next request.
func (id *requestID) next() {
	id.seq++
	hex.Encode(id.text[:16], id.base[:])
	b := append(id.text[:16], '-')
	b = appendHex(b, id.seq)
	id.n = len(b)
}

func appendHex(b []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	shift := 60
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&15])
	}
	return b
}

// adopt takes over an id, if it is short and a token: it will stand in logs.
func (id *requestID) adopt(value []byte) bool {
	if len(value) > maxID || !message.IsToken(value) {
		return false
	}
	id.n = copy(id.text[:], value)
	return true
}

// key tells the request from all others, whatever id it took over.
func (id *requestID) key() [2]uint64 { return [2]uint64{binary.BigEndian.Uint64(id.base[:]), id.seq} }

func (id *requestID) bytes() []byte { return id.text[:id.n] }
