package front

import (
	"slices"
	"sync"
	"time"
)

// workers are the goroutines that serve connections. One whose connection is over serves the next: its stack has grown to
// what a request needs, and growing it is dear.
type workers struct {
	mu    sync.Mutex
	idle  []*worker // the last one put is the first one taken
	ended bool
}

type worker struct {
	next  chan *conn // closed when it is to end
	since time.Time  // when it became idle
}

// workerRest is how long a goroutine without a connection is kept.
const workerRest = 5 * time.Second

// serve has a connection served, by a goroutine of its own.
func (w *workers) serve(c *conn) {
	k := w.take()
	if k == nil {
		k = &worker{next: make(chan *conn, 1)}
		go k.run(w)
	}
	k.next <- c
}

func (w *workers) take() *worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.idle)
	if n == 0 {
		return nil
	}
	k := w.idle[n-1]
	w.idle[n-1] = nil
	w.idle = w.idle[:n-1]
	return k
}

// put takes an idle goroutine back, or reports that it is to end.
func (w *workers) put(k *worker) bool {
	k.since = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.idle = append(w.idle, k)
	}
	return !w.ended
}

// run is the goroutine of a worker.
func (k *worker) run(w *workers) {
	for c := range k.next {
		c.serve()
		if !w.put(k) {
			return
		}
	}
}

// sweep ends those that have been idle for long.
func (w *workers) sweep(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := 0
	for old < len(w.idle) && now.Sub(w.idle[old].since) > workerRest {
		close(w.idle[old].next)
		old++
	}
	w.idle = slices.Delete(w.idle, 0, old)
}

// end ends those that are idle now, and the others after their connection.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, k := range w.idle {
		close(k.next)
	}
	w.idle = nil
}
