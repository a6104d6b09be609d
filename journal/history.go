package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// maxHistory is the size at which the history file gives way to a new one: some thirty thousand changes.
	maxHistory = 8 << 20
	// keptHistories is how many older files are kept beside it.
	keptHistories = 4
	// maxHistoryFile is more than a file can grow to: it is looked at before records are added, not after.
	maxHistoryFile = maxHistory + (maxPending+1)*(maxRecord+lineOverhead)
)

// history is the file of records and where it ends. It belongs to the Journal and is guarded by its mutex.
type history struct {
	dir  string
	full int64  // size at which the newest file gives way to a new one
	size int64  // length of the sound part of the newest file
	seq  uint64 // number of the last sound record, in whichever file
	sum  string // its hash, which the next record carries on

	seen     bool // there is something to read, sound or not
	cut      bool // the newest file ends in a line cut short
	oversize bool // the newest file is not one that this package wrote
	unsure   bool // the newest file may end in lines of an append that failed
}

// file returns the path of the newest file for age zero, of older ones for one to keptHistories.
func (h *history) file(age int) string {
	if age == 0 {
		return filepath.Join(h.dir, "history.jsonl")
	}
	return filepath.Join(h.dir, fmt.Sprintf("history.%d.jsonl", age))
}

// open finds the end of the history. It changes nothing; mend does.
func (h *history) open() (notes []string, err error) {
	*h = history{dir: h.dir, full: h.full, sum: noSum}
	data, err := readLimited(h.file(0), maxHistoryFile)
	switch {
	case errors.Is(err, errTooLarge):
		h.oversize, h.seen = true, true
		notes = append(notes, fmt.Sprintf("history.jsonl is %v and was put aside as history.1.jsonl", err))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("journal: cannot read the history: %w; let this user read and write %s", err, h.dir)
	}
	found := scan(data)
	h.size, h.seq, h.sum = int64(found.sound), found.seq, found.sum
	h.cut = found.sound < len(data)
	h.seen = h.seen || len(data) > 0
	for age := 1; age <= keptHistories && h.seq == 0; age++ {
		h.continueFrom(age)
	}
	return append(notes, found.notes...), nil
}

// continueFrom takes the end of an older file as the end of the history, while the newer ones hold no record.
func (h *history) continueFrom(age int) {
	if data, err := readLimited(h.file(age), maxHistoryFile); err == nil {
		found := scan(data)
		h.seq, h.sum = found.seq, found.sum
		h.seen = h.seen || len(data) > 0
	}
}

// mend drops a line that a crash cut short, and puts aside a file that cannot be added to.
func (h *history) mend(d disk) error {
	var err error
	switch {
	case h.oversize:
		err = h.rotate(d)
	case h.cut:
		err = d.truncate(h.file(0), h.size)
	}
	if err != nil {
		return fmt.Errorf("journal: cannot repair the history: %w; let this user write %s", err, h.file(0))
	}
	return nil
}

// append adds records durably, all or none.
func (h *history) append(d disk, records []Record) error {
	var lines []byte
	sum := h.sum
	for _, r := range records {
		lines, sum = appendLine(lines, r, sum)
	}
	if err := h.makeRoom(d, len(lines)); err != nil {
		return err
	}
	if err := d.extend(h.file(0), lines); err != nil {
		h.takeBack(d)
		return err
	}
	if h.size == 0 { // the file may be new, and its name not yet durable
		if err := d.syncDir(h.dir); err != nil {
			h.takeBack(d)
			return err
		}
	}
	h.size += int64(len(lines))
	h.seq, h.sum = records[len(records)-1].Seq, sum
	return nil
}

// takeBack cuts off what an append that failed has left. Where that fails too, the file must be read anew before
// anything else is written, for its last lines have taken numbers that would be given again.
func (h *history) takeBack(d disk) {
	info, err := os.Stat(h.file(0))
	if err == nil && info.Size() > h.size {
		err = d.truncate(h.file(0), h.size)
	}
	h.unsure = err != nil && !errors.Is(err, fs.ErrNotExist)
}

// makeRoom rotates a full file, and makes sure that the file ends where this process left it.
func (h *history) makeRoom(d disk, more int) error {
	info, err := os.Stat(h.file(0))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.size = 0
		return nil
	case err != nil:
		return err
	case info.Size() != h.size:
		h.unsure = true
		return fmt.Errorf("%s was changed by another program; it is read anew with the next change", h.file(0))
	case h.size == 0 || h.size+int64(more) <= h.full:
		return nil
	}
	return h.rotate(d)
}

// rotate moves every file on by one age. It goes from the oldest, so that a crash in between leaves a gap in the
// ages and loses no file but the one that was to go.
func (h *history) rotate(d disk) error {
	if err := h.keepTrimmed(d); err != nil {
		return err
	}
	for age := keptHistories - 1; age >= 0; age-- {
		if err := d.rename(h.file(age), h.file(age+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	h.size = 0
	return d.syncDir(h.dir)
}

const (
	trimmedName = "history.trimmed"
	trimmedNew  = "history.trimmed.new"
)

// keepTrimmed keeps the last record of the file that is about to go, so that what is left can be seen to begin where the rest
// was let go, and not where somebody cut it off. It is there before the file goes: a crash in between leaves more than it says.
func (h *history) keepTrimmed(d disk) error {
	data, err := readLimited(h.file(keptHistories), maxHistoryFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	records := scan(data).records
	if len(records) == 0 {
		return nil
	}
	last := records[len(records)-1]
	line, _ := appendLine(nil, last, last.Prev)
	if err := d.create(filepath.Join(h.dir, trimmedNew), line); err != nil {
		return err
	}
	return d.rename(filepath.Join(h.dir, trimmedNew), filepath.Join(h.dir, trimmedName))
}

// trimmed is the last record that was let go. Its Seq is zero when none was; an error says that the note of it is damaged.
func (h *history) trimmed() (Record, error) {
	data, err := readLimited(filepath.Join(h.dir, trimmedName), maxRecord+lineOverhead)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	r, sound := parseLine(bytes.TrimSuffix(data, []byte("\n")))
	if !sound {
		return Record{}, errors.New("it is damaged")
	}
	return r, nil
}
