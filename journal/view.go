package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// view is the history of one moment: its files, open, and the records that wait for them. It is read without the lock, for
// whoever saves must not wait for a reader: what was written never changes, and a file that is moved on meanwhile stays open.
type view struct {
	files   []part   // oldest first
	pending []Record // with their hashes
	trimmed Record   // the last that was let go; zero: none
	fault   error    // why that is not known
	seq     uint64   // of the last record in the files, as this process wrote it
	sum     string   // its hash
}

// part is one file of the history.
type part struct {
	name string
	file *os.File
	size int64 // what counts of it; behind that is what was never added
}

// view opens the history. Its caller holds the lock of the Journal.
func (h *history) view(pending []Record) (*view, error) {
	v := &view{pending: chained(pending, h.sum), seq: h.seq, sum: h.sum}
	v.trimmed, v.fault = h.trimmed()
	for age := keptHistories; age >= 0; age-- {
		file, err := os.Open(h.file(age))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			v.close()
			return nil, fmt.Errorf("journal: cannot read the history: %w; let this user read %s", err, h.dir)
		}
		size := int64(maxHistoryFile)
		if age == 0 {
			size = h.size
		}
		v.files = append(v.files, part{h.file(age), file, size})
	}
	return v, nil
}

func (v *view) close() {
	for _, p := range v.files {
		p.file.Close()
	}
}

// read returns what counts of a file. The error is errTooLarge for one that this package has not written.
func (p part) read() ([]byte, error) {
	info, err := p.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxHistoryFile {
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(p.file, p.size))
}

// last returns the last max records, those that wait for the file included; zero or less: all.
func (v *view) last(max int) ([]Record, error) {
	records := v.pending
	for i := len(v.files) - 1; i >= 0 && (max <= 0 || len(records) < max); i-- {
		data, err := v.files[i].read()
		if errors.Is(err, errTooLarge) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("journal: cannot read the history: %w", err)
		}
		records = append(scan(data).records, records...)
	}
	if max > 0 && len(records) > max {
		records = records[len(records)-max:]
	}
	return records, nil
}
