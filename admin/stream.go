package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"sluice/control"
	"sluice/drain"
)

// Line is one line of a streamed answer. Each but the last has Progress; the last has Receipt.
type Line struct {
	Progress *Progress        `json:"progress,omitempty"`
	Receipt  *control.Receipt `json:"receipt,omitempty"`
	// Over says, beside Receipt, that the operation has ended; without it the limit of the wait was reached.
	Over bool `json:"over,omitempty"`
}

// Progress is how far an operation is.
type Progress struct {
	Elapsed  float64             `json:"elapsed_ms"` // since the call
	Inside   int                 `json:"inside"`
	InsideBy map[drain.Class]int `json:"inside_by,omitempty"`
	Items    []drain.Item        `json:"items,omitempty"` // oldest first, at most 20
}

const (
	// progressEvery is often enough for a person to see it move.
	progressEvery = 250 * time.Millisecond
	// mostItems bounds a line; the oldest are what a drain waits for.
	mostItems = 20
)

// stream writes a line at once and then each progressEvery, until the operation or the wait is over.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, op Operation, wait waiting) {
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("X-Accel-Buffering", "no")
	s.stampHeader(w.Header())
	out := lineWriter{http.NewResponseController(w), json.NewEncoder(w)}
	ctx, cancel := context.WithTimeout(r.Context(), wait.limit)
	defer cancel()
	began := s.opts.Now()
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for !isOver(op) && ctx.Err() == nil {
		if out.write(Line{Progress: progress(op.Receipt(), s.opts.Now().Sub(began))}) != nil {
			return
		}
		select {
		case <-op.Done():
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	over := isOver(op)
	receipt := op.Receipt()
	out.write(Line{Receipt: &receipt, Over: over})
}

func progress(r control.Receipt, elapsed time.Duration) *Progress {
	p := &Progress{Elapsed: float64(elapsed.Microseconds()) / 1000, Inside: len(r.Inside), InsideBy: map[drain.Class]int{}}
	for _, it := range r.Inside {
		p.InsideBy[it.Class]++
	}
	p.Items = r.Inside[:min(len(r.Inside), mostItems)]
	return p
}

// lineWriter sends each line as soon as it is written.
type lineWriter struct {
	control *http.ResponseController
	*json.Encoder
}

func (l lineWriter) write(line Line) error {
	l.control.SetWriteDeadline(time.Now().Add(writeWait))
	if err := l.Encode(line); err != nil {
		return err
	}
	return l.control.Flush()
}
