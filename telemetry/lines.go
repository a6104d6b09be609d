package telemetry

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// flushEvery is how old a line gets at most before it is written.
	flushEvery = 100 * time.Millisecond
	// flushAt is how much is gathered before it is written without waiting for the tick: one large write costs hardly
	// more than a small one.
	flushAt = 64 << 10
	// mostPending bounds the memory held while the disk does not keep up. The number is arbitrary: some seconds of lines.
	mostPending = 4 << 20
)

// lines gathers whole lines and writes them in large pieces from a goroutine of its own. Write never waits for w.
type lines struct {
	w       io.Writer
	failed  func(error) // nil: nobody asks
	dropped atomic.Int64
	full    chan struct{} // says that flushAt was reached
	quit    chan struct{}
	ended   sync.WaitGroup

	mu      sync.Mutex // guards pending, count and closed; never held while writing to w
	pending []byte
	count   int64
	closed  bool

	spare   []byte // owned by the writing goroutine
	failing bool   // likewise: the last write failed
}

func newLines(w io.Writer, failed func(error)) *lines {
	l := &lines{w: w, failed: failed, full: make(chan struct{}, 1), quit: make(chan struct{})}
	l.ended.Add(1)
	go l.writeOut()
	return l
}

// Write takes one whole line.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	if l.closed || len(l.pending)+len(line) > mostPending {
		l.mu.Unlock()
		l.dropped.Add(1)
		return len(line), nil
	}
	l.pending = append(l.pending, line...)
	l.count++
	wake := len(l.pending) >= flushAt
	l.mu.Unlock()
	if wake {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// writeOut is the goroutine that writes; it ends with close.
func (l *lines) writeOut() {
	defer l.ended.Done()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-l.full:
		case <-l.quit:
			l.flush()
			return
		}
		l.flush()
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	batch, count := l.pending, l.count
	l.pending, l.count = l.spare[:0], 0
	l.mu.Unlock()
	l.spare = batch
	if len(batch) == 0 {
		return
	}
	_, err := l.w.Write(batch)
	if err != nil {
		l.dropped.Add(count)
		if !l.failing && l.failed != nil {
			l.failed(err)
		}
	}
	l.failing = err != nil
}

func (l *lines) close() {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if !was {
		close(l.quit)
	}
	l.ended.Wait()
}
