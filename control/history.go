package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"sluice/journal"
)

// Entry is one line of the history.
type Entry struct {
	Seq        uint64    `json:"seq"`          // given by the journal
	ID         string    `json:"id,omitempty"` // of the operation, as its receipt has it, or of the rollout
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"` // "change", "rollout", "bake", "preview", "start", "stop", "file"; "outcome" where the change itself is too long ago
	Generation uint64    `json:"generation"`
	Service    string    `json:"service,omitempty"`
	Verb       string    `json:"verb"`
	Cause      Cause     `json:"cause"`
	Text       string    `json:"text"`
	// Outcome is how it ended; nil while it has not, or when the process ended before.
	Outcome *Receipt `json:"outcome,omitempty"`
	// Interrupted says that the process ended before the outcome was known. The change itself stands.
	Interrupted bool `json:"interrupted,omitempty"`
	// Hash is that of the entry, and covers Previous, the hash of the entry before it. The journal gives both.
	Hash     string `json:"hash,omitempty"`
	Previous string `json:"previous,omitempty"`
}

func (c *Controller) entry(kind string, generation uint64, service string, cause Cause, text string) Entry {
	return Entry{
		Time: c.opts.Now(), Kind: kind, Generation: generation, Service: service, Verb: cause.Verb, Cause: cause, Text: text,
	}
}

func (c *Controller) entryOf(r Receipt) Entry {
	e := c.entry("change", r.Generation, r.Service, r.Cause, r.what())
	e.ID = r.ID
	return e
}

// save keeps a State together with the record of how it came about. Its caller goes on with the State of before when it
// fails.
func (c *Controller) save(s State, e Entry) error {
	state, err := s.encode()
	if err == nil {
		var record []byte
		if record, err = json.Marshal(e); err == nil {
			err = c.opts.Journal.Save(state, record)
		}
	}
	if err == nil {
		return nil
	}
	return &Refusal{
		Kind: "storage",
		What: fmt.Sprintf("%s could not be saved, so nothing was changed: %v", e.Verb, err),
		Hint: "make room in the state directory, or mend its disk; then ask again",
	}
}

// append adds to the history what is no State. A failure is told and undoes nothing: what it would have said has happened.
func (c *Controller) append(e Entry) {
	record, err := e.short()
	if err == nil {
		err = c.opts.Journal.Append(record)
	}
	if err != nil {
		c.tell(Event{
			Time: c.opts.Now(), Kind: "storage", Service: e.Service, Generation: e.Generation,
			Text: fmt.Sprintf("the history misses %q: %v; make room in the state directory", e.Text, err),
		})
	}
}

// maxRecord keeps an entry well below what a journal takes. A drain may have cut thousands, and each names a path.
const maxRecord = 32 << 10

// short encodes the entry. Of a long list of what was cut the oldest are kept; the counts are always there.
func (e Entry) short() ([]byte, error) {
	record, err := json.Marshal(e)
	for err == nil && len(record) > maxRecord && e.Outcome != nil && e.Outcome.Drain != nil && len(e.Outcome.Drain.CutList) > 0 {
		outcome, report := *e.Outcome, *e.Outcome.Drain
		report.KeepCuts(len(report.CutList) / 2)
		outcome.Drain, e.Outcome = &report, &outcome
		record, err = json.Marshal(e)
	}
	return record, err
}

const (
	// defaultHistory is how many entries are shown when nobody says how many.
	defaultHistory = 50
	// scanned is how many records are read to find them: some megabytes, and years of deployments.
	scanned = 10_000
)

// History returns the last entries, oldest first; of one service, or of all for "". limit below one means 50. Outcomes
// are part of the entries of the changes they belong to.
func (c *Controller) History(service string, limit int) ([]Entry, error) {
	if limit < 1 {
		limit = defaultHistory
	}
	records, err := c.opts.Journal.History(scanned)
	if err != nil {
		return nil, fmt.Errorf("control: the history cannot be read: %w", err)
	}
	var all []Entry
	changes := map[uint64]int{}
	for _, r := range records {
		var e Entry
		err := json.Unmarshal(r.Data, &e)
		if err == nil && e.Kind == "start" {
			interrupt(all, changes)
		}
		if err != nil || service != "" && e.Service != service {
			continue
		}
		all = take(all, e.kept(r), changes)
	}
	return all[max(0, len(all)-limit):], nil
}

// kept is an entry with what only the journal knows of it. Entries of before they had an id have that of their generation.
func (e Entry) kept(r journal.Record) Entry {
	e.Seq, e.Hash, e.Previous = r.Seq, r.Sum, r.Prev
	if e.ID == "" && (e.Kind == "change" || e.Kind == "outcome") {
		e.ID = strconv.FormatUint(e.Generation, 10)
	}
	return e
}

// interrupt marks the changes whose outcome nobody has seen when another process began.
func interrupt(all []Entry, changes map[uint64]int) {
	for generation, i := range changes {
		all[i].Interrupted = all[i].Outcome == nil
		delete(changes, generation)
	}
}

// take adds an entry, an outcome to the change of its generation. changes says where that is.
func take(all []Entry, e Entry, changes map[uint64]int) []Entry {
	if i, ok := changes[e.Generation]; ok && e.Kind == "outcome" {
		all[i].Outcome = e.Outcome
		return all
	}
	if e.Kind == "change" {
		changes[e.Generation] = len(all)
	}
	return append(all, e)
}
