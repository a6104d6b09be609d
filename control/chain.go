package control

import (
	"encoding/json"
	"fmt"
	"time"

	"sluice/journal"
)

// HistoryHead is an entry of the history and its hash, which covers all entries before it.
type HistoryHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

func (c *Controller) head() *HistoryHead {
	seq, hash := c.opts.Journal.Head()
	if seq == 0 {
		return nil
	}
	return &HistoryHead{seq, hash}
}

// Chain is what was found when the whole history was read and each entry held to the hash of the one before it.
type Chain struct {
	Unbroken bool   `json:"unbroken"` // and the noted hash, where one was given, is in it
	Entries  uint64 `json:"entries"`  // that are kept, and can be read
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Head     string `json:"head"`              // the hash of the last
	Trimmed  uint64 `json:"trimmed,omitempty"` // entries up to this one gave way to newer ones
	// SinceSeq is where the unbroken part begins that reaches up to the last entry, and Since when that was.
	SinceSeq uint64     `json:"since_seq"`
	Since    *time.Time `json:"since,omitempty"`
	Breaks   int        `json:"breaks,omitempty"`
	Break    *Break     `json:"break,omitempty"` // the first
	Noted    *Noted     `json:"noted,omitempty"` // what became of the hash that was given
}

// Break is a place where the chain is broken.
type Break struct {
	Seq  uint64 `json:"seq"` // of the entry that does not follow, or behind which nothing can be read
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Why  string `json:"why"`
}

// Noted is a hash that was noted elsewhere.
type Noted struct {
	Hash  string     `json:"hash"`
	Found bool       `json:"found"`
	Seq   uint64     `json:"seq,omitempty"`
	Time  *time.Time `json:"time,omitempty"`
}

// Verify reads all of the history and says whether it is unbroken, and where the entry with the hash noted is, which may be
// empty.
func (c *Controller) Verify(noted string) (Chain, error) {
	found, err := c.opts.Journal.Verify(noted)
	if err != nil {
		return Chain{}, fmt.Errorf("control: the history cannot be read: %w", err)
	}
	out := Chain{
		Unbroken: found.Breaks == 0, Entries: found.Entries, First: found.First.Seq, Last: found.Last.Seq, Head: found.Last.Sum,
		Trimmed: found.Trimmed, SinceSeq: found.Since.Seq, Since: timeOfRecord(found.Since), Breaks: found.Breaks,
	}
	if b := found.Break; found.Breaks > 0 {
		out.Break = &Break{b.Seq, b.File, b.Line, b.Why}
	}
	if noted != "" {
		out.Noted = &Noted{noted, found.Noted.Seq > 0, found.Noted.Seq, timeOfRecord(found.Noted)}
		out.Unbroken = out.Unbroken && out.Noted.Found
	}
	return out, nil
}

func timeOfRecord(r journal.Record) *time.Time {
	var e Entry
	if r.Seq == 0 || json.Unmarshal(r.Data, &e) != nil {
		return nil
	}
	return timeOf(e.Time)
}
