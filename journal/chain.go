package journal

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// Chain is what a look at the whole history has found. It is unbroken while each record names the hash of the one before it,
// from the first that is kept to the last that was written.
//
// It shows damage, and a change by whoever did not take the trouble to write all that follows anew. Who can write the files can
// do that too: it is a hash noted elsewhere that tells.
type Chain struct {
	Entries uint64 // the sound ones
	First   Record // that is kept
	Since   Record // the first after the last break; First, where there is none
	Last    Record
	Trimmed uint64 // the number of the last record that gave way to newer ones; zero: none has
	Breaks  int
	Break   Break  // the first one
	Noted   Record // the one with the hash that was asked for; its Seq is zero when there is none
}

// Break is a place where the chain is broken.
type Break struct {
	Seq  uint64 // of the record that does not follow, or of the last before it where that cannot be read
	File string
	Line int
	Why  string
}

// Verify reads the whole history and looks for the record with the hash noted, unless that is empty.
func (j *Journal) Verify(noted string) (Chain, error) {
	v, err := j.view()
	if err != nil {
		return Chain{}, err
	}
	defer v.close()
	w := walk{noted: noted}
	w.begin(v)
	for _, p := range v.files {
		data, err := p.read()
		if err != nil {
			w.broken(Break{Seq: w.before.Seq, File: filepath.Base(p.name), Why: fmt.Sprintf("%s cannot be read: %v", filepath.Base(p.name), err)})
			w.gap = true
			continue
		}
		w.file(filepath.Base(p.name), data)
	}
	w.end(v)
	for _, r := range v.pending {
		w.record(currentName, 0, r)
	}
	return w.chain, nil
}

// walk goes along the chain.
type walk struct {
	chain   Chain
	noted   string
	trimmed Record // the last that gave way
	before  Record // the one that the next has to follow
	gap     bool   // what came last could not be read, and that has been said
}

// begin starts behind what gave way.
func (w *walk) begin(v *view) {
	w.before = Record{Sum: noSum}
	if v.fault != nil {
		w.broken(Break{File: trimmedName, Why: fmt.Sprintf("%s, which says where the history begins, cannot be read: %v", trimmedName, v.fault)})
	}
	if v.trimmed.Seq > 0 {
		w.before, w.trimmed = v.trimmed, v.trimmed
		w.chain.Trimmed = v.trimmed.Seq
		w.look(v.trimmed)
	}
}

func (w *walk) file(name string, data []byte) {
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		r, sound := parseLine(line)
		if !sound || !whole {
			w.unsound(name, n)
			continue
		}
		w.record(name, n, r)
	}
}

// unsound counts damaged lines that stand together as one break.
func (w *walk) unsound(file string, line int) {
	if !w.gap {
		w.broken(Break{Seq: w.before.Seq, File: file, Line: line, Why: fmt.Sprintf("what follows entry %d was changed: its hash does not fit", w.before.Seq)})
	}
	w.gap = true
}

func (w *walk) record(file string, line int, r Record) {
	if why := w.objection(r); why != "" && !w.gap {
		w.broken(Break{Seq: r.Seq, File: file, Line: line, Why: why})
	}
	w.gap = false
	if w.chain.Since.Seq == 0 {
		w.chain.Since = r
	}
	if w.chain.First.Seq == 0 {
		w.chain.First, w.chain.Trimmed = r, min(w.chain.Trimmed, r.Seq-1)
	}
	w.chain.Entries++
	w.chain.Last, w.before = r, r
	w.look(r)
}

// objection says why a record does not follow the one before it.
func (w *walk) objection(r Record) string {
	switch {
	case w.chain.Entries == 0 && r.Seq < w.trimmed.Seq:
		return "" // a crash came between the note of what goes and its going
	case r.Seq == w.trimmed.Seq && r.Sum != w.trimmed.Sum:
		return fmt.Sprintf("entry %d is not the one that %s names", r.Seq, trimmedName)
	case w.chain.Entries == 0 && r.Seq == w.trimmed.Seq:
		return ""
	case r.Seq > w.before.Seq+1:
		return missing(w.before.Seq+1, r.Seq-1)
	case r.Seq <= w.before.Seq:
		return fmt.Sprintf("entry %d comes after entry %d", r.Seq, w.before.Seq)
	case r.Prev != w.before.Sum:
		return fmt.Sprintf("entry %d does not carry on from what stands before it: one of the two was changed", r.Seq)
	}
	return ""
}

func missing(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d is missing", first)
	}
	return fmt.Sprintf("entries %d to %d are missing", first, last)
}

// broken notes a break. What is unbroken begins anew behind it.
func (w *walk) broken(b Break) {
	if w.chain.Breaks == 0 {
		w.chain.Break = b
	}
	w.chain.Breaks++
	w.chain.Since = Record{}
}

func (w *walk) look(r Record) {
	if w.noted != "" && r.Sum == w.noted {
		w.chain.Noted = r
	}
}

// end holds the files to what this process has written last.
func (w *walk) end(v *view) {
	name := "history.jsonl"
	switch {
	case w.gap && w.before.Seq < v.seq: // it has been said
	case w.before.Seq < v.seq:
		w.broken(Break{Seq: w.before.Seq, File: name, Why: missing(w.before.Seq+1, v.seq) + " at the end"})
	case w.before.Seq == v.seq && v.seq > 0 && w.before.Sum != v.sum:
		w.broken(Break{Seq: v.seq, File: name, Why: fmt.Sprintf("entry %d is not the one that was written", v.seq)})
	}
	w.before = Record{Seq: max(v.seq, w.before.Seq), Sum: v.sum}
}
