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
	// Problem is there beside Receipt when more was cut than max_cut allows, or the release did not pass its bake.
	Problem *Problem `json:"problem,omitempty"`
	// Over says, beside Receipt, that the operation has ended; without it the limit of the wait was reached.
	Over bool `json:"over,omitempty"`
}

// Progress is how far an operation is.
type Progress struct {
	Made     string                    `json:"made,omitempty"` // what has been done, with the first line: the wait is for what that leaves behind
	Elapsed  float64                   `json:"elapsed_ms"`     // since the call
	Inside   int                       `json:"inside"`
	InsideBy map[drain.Class]int       `json:"inside_by,omitempty"`
	EndsBy   map[drain.Class]time.Time `json:"ends_by,omitempty"` // when each class is over at the latest
	Items    []drain.Item              `json:"items,omitempty"`   // oldest first; 20 unless the caller wants another number
	More     int                       `json:"more,omitempty"`    // how many are not among them
	Bake     *control.BakeStatus       `json:"bake,omitempty"`    // whose verdict is waited for
}

const (
	// progressEvery is often enough for a person to see it move.
	progressEvery = 250 * time.Millisecond
	// itemsByDefault is what a person can look through; the oldest are what a drain waits for.
	itemsByDefault = 20
	// mostItems bounds a line to about half a megabyte.
	mostItems = 1000
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
	for made := op.Receipt().String(); !isOver(op) && ctx.Err() == nil; made = "" {
		far := progress(op.Inside(wait.items), s.opts.Now().Sub(began))
		far.Bake, far.Made = bakeOf(op), made
		if out.write(Line{Progress: far}) != nil {
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
	out.write(Line{Receipt: &receipt, Problem: wait.judge(receipt, over), Over: over})
}

func progress(l drain.Listing, elapsed time.Duration) *Progress {
	return &Progress{Elapsed: float64(elapsed.Microseconds()) / 1000, Inside: l.Total, InsideBy: l.By, EndsBy: l.EndsBy, Items: l.Items, More: l.More}
}

// lineWriter sends each line as soon as it is written.
type lineWriter struct {
	control *http.ResponseController
	*json.Encoder
}

func (l lineWriter) write(line any) error {
	l.control.SetWriteDeadline(time.Now().Add(writeWait))
	if err := l.Encode(line); err != nil {
		return err
	}
	return l.control.Flush()
}
