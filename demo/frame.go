package demo

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/rand/v2"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opMore   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// acceptKey proves that the other side read our key (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// appendFrame appends one frame, masked as a client must (RFC 6455, section 5.3).
func appendFrame(dst []byte, op byte, fin bool, payload []byte, r *rand.Rand) []byte {
	first := op
	if fin {
		first |= 0x80
	}
	dst = append(dst, first)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	mask := binary.BigEndian.AppendUint32(nil, r.Uint32())
	dst = append(dst, mask...)
	for i, b := range payload {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}

type frame struct {
	op      byte
	fin     bool
	payload []byte
}

// readFrame reads one frame as a server sends it: unmasked, without extensions, its length in the shortest form.
func (w *wire) readFrame() (*frame, error) {
	w.patience()
	if _, err := w.in.Peek(1); err != nil {
		f := netFault(err, Closed, "ended without a close frame")
		f.Cut = ended(err)
		return nil, f
	}
	var two [2]byte
	if _, err := io.ReadFull(w.in, two[:]); err != nil {
		return nil, netFault(err, Short, "ended inside a frame")
	}
	f := &frame{op: two[0] & 0x0f, fin: two[0]&0x80 != 0}
	control := f.op >= opClose
	if two[0]&0x70 != 0 || two[1]&0x80 != 0 || f.op > opPong || f.op > opBinary && !control {
		return nil, faultf(Illegal, "frame begins with %x", two)
	}
	n, err := w.frameLength(two[1])
	if err != nil {
		return nil, err
	}
	if control && (n > 125 || !f.fin) || n > maxMessage {
		return nil, faultf(Illegal, "frame of opcode %x with %d bytes, final %t", f.op, n, f.fin)
	}
	f.payload = make([]byte, n)
	if _, err := io.ReadFull(w.in, f.payload); err != nil {
		return nil, netFault(err, Short, "ended inside a frame of %d bytes", n)
	}
	return f, nil
}

func (w *wire) frameLength(short byte) (uint64, error) {
	size, least := 0, uint64(0)
	switch short {
	default:
		return uint64(short), nil
	case 126:
		size, least = 2, 126
	case 127:
		size, least = 8, 1<<16
	}
	var long [8]byte
	if _, err := io.ReadFull(w.in, long[8-size:]); err != nil {
		return 0, netFault(err, Short, "ended inside a frame")
	}
	n := binary.BigEndian.Uint64(long[:])
	if n < least {
		return 0, faultf(Illegal, "frame length %d in the long form", n)
	}
	return n, nil
}

// goodbye reads the payload of a close frame: 1001 (going away) and 1012 (restarting) are how a server ends a session
// well; 1000 only confirms our own.
func goodbye(f *frame, asked bool) error {
	if len(f.payload) == 0 && asked {
		return nil
	}
	if len(f.payload) < 2 {
		return faultf(Illegal, "close frame with %d bytes", len(f.payload))
	}
	code := binary.BigEndian.Uint16(f.payload)
	if code == 1001 || code == 1012 || code == 1000 && asked {
		return nil
	}
	return faultf(Status, "closed with code %d %.60q", code, bytes.TrimSpace(f.payload[2:]))
}
