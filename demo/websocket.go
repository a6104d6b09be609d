package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// errGoodbye says that the other side ended the session well.
var errGoodbye = errors.New("goodbye")

// websocket holds one WebSocket for a while, sends text and binary messages, and checks what is echoed. It ends when its
// time is over, or when the other side says goodbye between two messages.
func (w *worker) websocket(r *Result) error {
	if err := w.shake(r); err != nil {
		return err
	}
	defer w.client.drop()
	length, cancel := context.WithTimeout(w.leaving, w.traffic.cfg.Session(r.Class, w.client.rand))
	defer cancel()
	for length.Err() == nil {
		if err := w.echoMessage(r); err != nil {
			return w.parted(r, err)
		}
		if err := w.quiet(length); err != nil {
			return w.parted(r, err)
		}
	}
	return w.parted(r, w.leave())
}

// parted makes a goodbye of the other side into a good end.
func (w *worker) parted(r *Result, err error) error {
	if errors.Is(err, errGoodbye) {
		r.ByServer = true
		return nil
	}
	return err
}

// shake opens the WebSocket (RFC 6455, section 4.1).
func (w *worker) shake(r *Result) error {
	raw := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, w.client.rand.Uint64()), w.client.rand.Uint64())
	key := base64.StdEncoding.EncodeToString(raw)
	fields := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	a, err := w.upgrade(r, "/ws", fields)
	if err != nil {
		return err
	}
	proof, err := a.head.one("Sec-WebSocket-Accept")
	if err == nil && (proof != acceptKey(key) || !a.head.says("Upgrade", "websocket") || len(a.head.all("Sec-WebSocket-Extensions")) > 0) {
		err = faultf(Illegal, "the handshake proves nothing: %q", proof)
	}
	return err
}

// upgrade asks for another protocol, and reads the 101.
func (w *worker) upgrade(r *Result, path, fields string) (*answer, error) {
	q := &request{method: "GET", path: path, id: r.RequestID, fields: fields}
	began, err := w.client.send(q)
	r.Began = began
	if err != nil {
		return nil, err
	}
	a, err := w.open(q, r, 101)
	if err == nil && !a.head.says("Connection", "upgrade") {
		err = faultf(Illegal, "101 without Connection: Upgrade")
	}
	return a, err
}

func (w *worker) echoMessage(r *Result) error {
	op, message := w.message()
	sent := time.Now()
	if err := w.sendFrames(op, message); err != nil {
		return err
	}
	if err := w.awaitEcho(op, message); err != nil {
		return err
	}
	w.traffic.timed(r.Class, time.Since(sent))
	w.traffic.messaged(r.Class)
	r.Bytes += int64(len(message))
	return nil
}

// message makes one of many sizes, text or binary.
func (w *worker) message() (op byte, message []byte) {
	n := w.client.rand.IntN(600)
	if w.client.rand.IntN(20) == 0 {
		n = w.client.rand.IntN(80 << 10)
	}
	message = make([]byte, n)
	io.ReadFull(Pattern(w.client.rand.Uint64(), int64(n)), message)
	if w.client.rand.IntN(2) == 0 {
		return opBinary, message
	}
	for i, b := range message {
		message[i] = ' ' + b%95 // printable ASCII, which is UTF-8
	}
	return opText, message
}

// sendFrames sends a message, now and then in two fragments.
func (w *worker) sendFrames(op byte, message []byte) error {
	var out []byte
	if n := len(message); n > 1 && w.client.rand.IntN(8) == 0 {
		out = appendFrame(out, op, false, message[:n/2], w.client.rand)
		op, message = opMore, message[n/2:]
	}
	return w.push(appendFrame(out, op, true, message, w.client.rand))
}

// push writes. A session that the other side ended just before is not lost by that: what it said is still to be read, and
// decides.
func (w *worker) push(p []byte) error {
	err := w.client.wire.write(p)
	if err == nil || ended(err) {
		return nil
	}
	return netFault(err, Closed, "could not be written")
}

// awaitEcho reads until a whole message is there. Pings are answered on the way.
func (w *worker) awaitEcho(op byte, want []byte) error {
	var got []byte
	begun := false
	for {
		f, err := w.nextFrame(false, begun)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if begun != (f.op == opMore) || !begun && f.op != op {
			return faultf(Wrong, "frame of opcode %x where the echo of a message of opcode %x was due", f.op, op)
		}
		begun = true
		if got = append(got, f.payload...); len(got) > len(want) {
			return faultf(Surplus, "an echo longer than the message of %d bytes", len(want))
		}
		if f.fin {
			break
		}
	}
	if !bytes.Equal(got, want) {
		return faultf(Wrong, "the echo of a message of %d bytes has %d, or other ones", len(want), len(got))
	}
	return nil
}

// nextFrame reads a frame and deals with the control frames; for a ping or pong it returns nil. A goodbye is one only
// between two messages.
func (w *worker) nextFrame(asked, inside bool) (*frame, error) {
	f, err := w.client.wire.readFrame()
	if err != nil {
		var fault *Fault
		if inside && errors.As(err, &fault) && fault.Cut {
			fault.Cut, fault.Kind = false, Short
		}
		return nil, err
	}
	switch f.op {
	case opPing:
		return nil, w.push(appendFrame(nil, opPong, true, f.payload, w.client.rand))
	case opPong:
		return nil, nil
	case opClose:
		return nil, w.closed(f, asked, inside)
	}
	return f, nil
}

func (w *worker) closed(f *frame, asked, inside bool) error {
	if inside {
		return faultf(Short, "closed between two fragments of a message")
	}
	if err := goodbye(f, asked); err != nil {
		return err
	}
	if !asked {
		w.push(appendFrame(nil, opClose, true, f.payload[:2], w.client.rand))
	}
	// After both close frames only the end of the connection may come. Whether it comes as a FIN or a reset says nothing
	// any more: nothing was on its way.
	w.client.wire.patience()
	if _, err := w.client.wire.in.Peek(1); err == nil {
		return faultf(Surplus, "after the close frame: %.40q", w.client.peek())
	}
	return errGoodbye
}

// quiet lets some milliseconds pass, in which the other side may ping or say goodbye, and nothing else.
func (w *worker) quiet(length context.Context) error {
	err := w.client.wire.rest(length, time.Duration(5+w.client.rand.IntN(45))*time.Millisecond)
	if err == nil {
		return nil
	}
	f, err := w.nextFrame(false, false) // it also finds the words for an end
	if err == nil && f != nil {
		err = faultf(Surplus, "a message nobody asked for, of opcode %x", f.op)
	}
	return err
}

// leave closes from our side: our close frame, theirs, then the end of the connection.
func (w *worker) leave() error {
	if err := w.push(appendFrame(nil, opClose, true, []byte{0x03, 0xe8}, w.client.rand)); err != nil {
		return err
	}
	for {
		f, err := w.nextFrame(true, false)
		if errors.Is(err, errGoodbye) {
			return nil
		}
		if err != nil {
			return err
		}
		if f != nil {
			return faultf(Surplus, "a message nobody asked for, of opcode %x", f.op)
		}
	}
}
