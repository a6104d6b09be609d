package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// tunnel upgrades to the protocol "echo" and sends raw bytes, each of which has to come back. It ends by closing its own
// direction behind a last burst, and waits for the rest and the end.
//
// A raw tunnel has no goodbye. So every end that is not ours counts as a cut, also one that comes while the last burst is
// on its way: from outside, it looks the same as a proxy that does not pass on a half-close.
func (w *worker) tunnel(r *Result) error {
	a, err := w.upgrade(r, "/echo", "Connection: Upgrade\r\nUpgrade: echo\r\n")
	if err != nil {
		return err
	}
	defer w.client.drop()
	if !a.head.says("Upgrade", "echo") {
		return faultf(Illegal, "101 to another protocol: %q", a.head.all("Upgrade"))
	}
	length, cancel := context.WithTimeout(w.leaving, w.traffic.cfg.Session(r.Class, w.client.rand))
	defer cancel()
	for length.Err() == nil {
		if err := w.echoBurst(r, false); err != nil {
			return err
		}
		if err := w.silence(length); err != nil {
			return err
		}
	}
	return w.echoBurst(r, true)
}

// echoBurst sends some bytes and reads them back.
func (w *worker) echoBurst(r *Result, last bool) error {
	burst := make([]byte, 1+w.client.rand.IntN(2<<10))
	io.ReadFull(Pattern(w.client.rand.Uint64(), int64(len(burst))), burst)
	sent := time.Now()
	if err := w.push(burst); err != nil {
		return err
	}
	if half, ok := w.client.wire.conn.(interface{ CloseWrite() error }); last && ok {
		half.CloseWrite()
	}
	got := make([]byte, len(burst))
	n, err := w.readFull(got)
	if !bytes.Equal(got[:n], burst[:n]) {
		return faultf(Wrong, "in an echo of %d bytes", len(burst))
	}
	if err != nil {
		f := netFault(err, Closed, "cut with %d of %d bytes echoed", n, len(burst))
		f.Cut = ended(err)
		return f
	}
	r.Bytes += int64(n)
	w.traffic.timed(r.Class, time.Since(sent))
	w.traffic.messaged(r.Class)
	if last {
		return w.lastEnd()
	}
	return nil
}

// lastEnd waits for the end behind the last echo. No byte can be lost any more, so that a reset is a cut at worst.
func (w *worker) lastEnd() error {
	err := w.client.awaitEnd()
	var f *Fault
	if errors.As(err, &f) {
		f.Cut = ended(f.Err)
	}
	return err
}

func (w *worker) readFull(p []byte) (int, error) {
	w.client.wire.patience()
	return io.ReadFull(w.client.wire.in, p)
}

// silence lets some milliseconds pass, in which nothing may come.
func (w *worker) silence(length context.Context) error {
	err := w.client.wire.rest(length, time.Duration(5+w.client.rand.IntN(45))*time.Millisecond)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errData):
		return faultf(Surplus, "bytes nobody sent: %.40q", w.client.peek())
	}
	f := netFault(err, Closed, "cut while nothing was under way")
	f.Cut = ended(err)
	return f
}
