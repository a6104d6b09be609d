package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"sluice/control"
)

// waiting is how long a caller wants to stay.
type waiting struct {
	wait   bool          // until it is done
	limit  time.Duration // but no longer than this
	named  time.Duration // as the caller named it; zero: not
	stream bool          // and be told of the progress
	items  int           // with so much of what is inside
	maxCut int           // more than this that was cut fails the call; negative: any number is fine
}

const (
	// longestWait bounds a wait for which nobody named a limit. A drain ends by itself long before, at its deadlines; a
	// backend that was asked to be ready may never be.
	longestWait = 10 * time.Minute
	ndjson      = "application/x-ndjson"
)

func readWaiting(r *http.Request, a arguments) (waiting, error) {
	wait, err := a.flag("wait")
	if err != nil {
		return waiting{}, err
	}
	stream, err := a.flag("stream")
	if err != nil {
		return waiting{}, err
	}
	limit, err := a.duration("timeout")
	if err != nil {
		return waiting{}, err
	}
	named := limit
	if limit == 0 || limit > longestWait {
		limit = longestWait
	}
	items, err := a.count("limit", itemsByDefault, mostItems)
	if err != nil {
		return waiting{}, err
	}
	maxCut, err := readMaxCut(a)
	if err != nil {
		return waiting{}, err
	}
	wait = wait || stream || maxCut >= 0
	stream = stream || wait && strings.Contains(r.Header.Get("Accept"), ndjson)
	return waiting{wait: wait, limit: limit, named: named, stream: stream, items: items, maxCut: maxCut}, nil
}

// cause says who asks. On a unix socket the kernel knows, whatever the caller says, and that is recorded beside it; `by` adds
// the name of a person or of a pipeline to that.
func cause(r *http.Request, a arguments, verb string) (control.Cause, error) {
	c := control.Cause{Via: "api", Verb: verb, Peer: peerOf(r.Context()).user}
	for _, one := range []struct {
		name    string
		longest int
		to      *string
	}{{"by", longestName, &c.By}, {"note", longestNote, &c.Note}, {"commit", longestName, &c.Commit}, {"rollout", longestName, &c.Rollout}} {
		var err error
		if *one.to, err = a.text(one.name, one.longest); err != nil {
			return control.Cause{}, err
		}
	}
	c.By = cmp.Or(c.By, c.Peer, "operator")
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(key + "\n" + fingerprint(r, a)))
		c.Key = hex.EncodeToString(sum[:8])
	}
	return c, nil
}

// change carries out a call that changes something, once for each Idempotency-Key, and follows it as far as asked.
func (s *Server) change(w http.ResponseWriter, r *http.Request, a arguments, verb string, do func(context.Context, control.Cause) (Operation, error)) error {
	wait, err := readWaiting(r, a)
	if err != nil {
		return err
	}
	why, err := cause(r, a, verb)
	if err != nil {
		return err
	}
	if s.stopping.Load() && verb != "stop" {
		return problem(http.StatusServiceUnavailable, "stopping", "Sluice is on its way out and takes no more changes; nothing was changed", "wait for its end, start it again, and ask again")
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait.limit)
	defer cancel()
	op, err := s.repeats.once(ctx, r.Header.Get("Idempotency-Key"), fingerprint(r, a), func() (Operation, error) {
		return do(ctx, why)
	})
	if err != nil {
		return err
	}
	if bakeOf(op) != nil {
		return s.follow(w, r, op, s.forVerdict(wait, op))
	}
	return s.follow(w, r.WithContext(ctx), op, wait)
}

// follow answers with the receipt: at once, when the operation is over, or line by line until then.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, op Operation, wait waiting) error {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // the request has been read; what follows may take longer than reading may
	if wait.stream {
		s.stream(w, r, op, wait)
		return nil
	}
	over := isOver(op)
	if wait.wait && !over {
		over = await(r.Context(), op, wait.limit)
	}
	control.SetWriteDeadline(s.opts.Now().Add(writeWait))
	code, receipt := http.StatusOK, op.Receipt()
	if p := wait.judge(receipt, over); p != nil {
		p.Receipt = &receipt
		return p
	}
	if !over {
		code = http.StatusAccepted
		w.Header().Set("Location", "/v1/operations/"+receipt.ID)
	}
	s.answer(w, code, receipt)
	return nil
}

func isOver(op Operation) bool {
	select {
	case <-op.Done():
		return true
	default:
		return false
	}
}

// await reports whether the operation was over in time.
func await(ctx context.Context, op Operation, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-op.Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return isOver(op)
}
