package demo

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
)

// Pattern returns the first n bytes of the pseudo-random sequence that follows from seed. Both ends make it themselves,
// so that a body can be checked byte for byte without anyone keeping it.
func Pattern(seed uint64, n int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}
