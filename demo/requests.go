package demo

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// errand makes one request of one class and checks the answer. It fills in r as it learns; its error says that the
// request was lost, or cut.
type errand func(w *worker, r *Result) error

var errands = map[Class]errand{
	Get:       (*worker).get,
	Post:      (*worker).post,
	Close:     (*worker).close,
	Slow:      (*worker).slow,
	Upload:    (*worker).upload,
	Stream:    (*worker).stream,
	WebSocket: (*worker).websocket,
	Tunnel:    (*worker).tunnel,
}

// exchange makes one request whose whole answer is known beforehand.
func (w *worker) exchange(q *request, r *Result, want io.Reader, asksClose bool) error {
	q.id = r.RequestID
	began, err := w.client.send(q)
	r.Began = began
	if err != nil {
		return err
	}
	return w.check(q, r, want, asksClose)
}

func (w *worker) check(q *request, r *Result, want io.Reader, asksClose bool) error {
	a, err := w.open(q, r, 200)
	if err != nil {
		return err
	}
	if q.method == "HEAD" {
		want = strings.NewReader("")
	}
	if err := w.client.expect(a, want); err != nil {
		return err
	}
	r.Bytes += a.body.read
	w.traffic.timed(r.Class, time.Since(r.Began))
	return w.client.finish(a, asksClose)
}

// open reads the answer's head and notes who answered: from here on, which release serves this request is settled.
func (w *worker) open(q *request, r *Result, want int) (*answer, error) {
	a, err := w.client.receive(q, want)
	if a != nil && a.release != "" {
		r.Release = a.release
		w.traffic.answered(r.Class, r.Began, a.release)
	}
	return a, err
}

func (w *worker) get(r *Result) error {
	q, want := fetch(w.client.rand)
	return w.exchange(q, r, want, false)
}

func (w *worker) close(r *Result) error {
	q, want := fetch(w.client.rand)
	q.fields = "Connection: close\r\n"
	w.client.drop()
	return w.exchange(q, r, want, true)
}

// fetch asks for a body of one of many sizes: mostly small, now and then larger than any buffer on the way.
func fetch(r *rand.Rand) (*request, io.Reader) {
	n := r.Int64N(4 << 10)
	switch p := r.IntN(100); {
	case p < 4:
		n = 0
	case p < 14:
		n = r.Int64N(64 << 10)
	case p < 17:
		n = r.Int64N(400 << 10)
	}
	seed := r.Int64()
	q := &request{method: "GET", path: fmt.Sprintf("/bytes/%d?seed=%d", n, seed)}
	switch r.IntN(20) {
	case 0:
		q.method = "HEAD"
	case 1, 2, 3, 4, 5:
		q.path += "&chunked=1"
	}
	return q, Pattern(uint64(seed), n)
}

// post goes back and forth between a body whose digest is checked, and a request that must be carried out once only.
func (w *worker) post(r *Result) error {
	w.turn++
	if w.turn%2 == 0 {
		return w.once(r)
	}
	body := make([]byte, w.client.rand.IntN(16<<10))
	io.ReadFull(Pattern(w.client.rand.Uint64(), int64(len(body))), body)
	sum := sha256.Sum256(body)
	r.Bytes += int64(len(body))
	q := &request{method: "POST", path: "/digest", body: body}
	return w.exchange(q, r, bytes.NewReader(digestJSON(sum[:], int64(len(body)))), false)
}

func (w *worker) once(r *Result) error {
	q := &request{method: "POST", path: "/unique?id=" + r.RequestID, body: []byte{}}
	err := w.exchange(q, r, bytes.NewReader(uniqueJSON(r.RequestID, 1)), false)
	var f *Fault
	if errors.As(err, &f) && f.Kind == Wrong {
		f.Kind, f.Detail = Twice, "the app says that this request had come before"
	}
	return err
}

func (w *worker) slow(r *Result) error {
	q := &request{method: "GET", path: "/slow?ms=150"}
	return w.exchange(q, r, strings.NewReader("waited 150 ms\n"), false)
}

// upload sends a body in chunks with pauses, so that it is often half-way when something changes, and checks the digest
// that comes back.
func (w *worker) upload(r *Result) error {
	q := &request{method: "POST", path: "/digest", id: r.RequestID, fields: "Transfer-Encoding: chunked\r\n"}
	began, err := w.client.send(q)
	r.Began = began
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := w.sendChunks(io.TeeReader(w.uploadBody(r), sum)); err != nil {
		return err
	}
	return w.check(q, r, bytes.NewReader(digestJSON(sum.Sum(nil), r.Bytes)), false)
}

func (w *worker) uploadBody(r *Result) io.Reader {
	r.Bytes = 64<<10 + w.client.rand.Int64N(448<<10)
	return Pattern(w.client.rand.Uint64(), r.Bytes)
}

func (w *worker) sendChunks(from io.Reader) error {
	buf := make([]byte, 48<<10)
	for {
		n, err := io.ReadFull(from, buf[:1+w.client.rand.IntN(len(buf))])
		if n > 0 {
			if err := w.sendChunk(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			break
		}
		wait(w.leaving, time.Duration(5+w.client.rand.IntN(25))*time.Millisecond)
	}
	if err := w.client.wire.write([]byte("0\r\n\r\n")); err != nil {
		return w.client.refusal(err)
	}
	return nil
}

func (w *worker) sendChunk(p []byte) error {
	chunk := fmt.Appendf(nil, "%x\r\n", len(p))
	chunk = append(append(chunk, p...), "\r\n"...)
	if err := w.client.wire.write(chunk); err != nil {
		return w.client.refusal(err)
	}
	return nil
}
