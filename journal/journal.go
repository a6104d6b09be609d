// Package journal keeps the State and the history of changes on disk, crash-only.
//
// There is no clean shutdown to rely on: whatever instant the process or the machine dies at, the next Load gives
// exactly one state that was saved, the newest or the one whose saving was under way, and the history has an entry
// for each state that was saved, once. The package refuses to know what a state or a record says; both are JSON
// values of the caller. It decides nothing about damage except to be loud: it falls back by one generation and says
// so, or it fails. It never starts from nothing where something was.
//
// The folder holds:
//
//	state.json                 the state, under a header with its length and checksum
//	state.prev.json            the generation before it
//	state.damaged-N            a state.json that could not be read, kept for a person to look at
//	history.jsonl              one record a line, chained by hashes
//	history.1.jsonl … .4.jsonl older records, .4 the oldest
//	history.trimmed            the last record that gave way to newer ones: what is kept carries on from it
//	secret                     signs cookies; made when it is first asked for
//	lock                       locked, as the folder itself, by the one process that uses it; holds its pid
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	// maxState bounds a state file: ten thousand backends take about two MiB.
	maxState = 16 << 20
	// maxRecord bounds one record, so that a history file overshoots its size by little. A receipt with the names of
	// a thousand cut requests fits.
	maxRecord = 64 << 10
	// maxPending bounds the records that wait inside the state file for the history file to take them. It is far
	// more than a person would let a full disk go on for; the number is arbitrary.
	maxPending = 64
)

// Journal is the state folder of one process. Its methods may be called concurrently; they run one after the other,
// and each waits for the disk.
type Journal struct {
	dir  string
	lock *lock

	mu         sync.Mutex
	disk       disk
	closed     bool
	loaded     bool     // what follows agrees with the folder
	hasState   bool     // there is a state, in either generation
	hasCurrent bool     // state.json is sound, so that it may become the previous generation
	seq        uint64   // number of the last record
	pending    []Record // saved inside state.json, not yet in the history file
	behind     error    // why they are not
	history    history

	head atomic.Pointer[Record] // the last record; nil: none, or not read yet
}

// Record is one entry of the history. Seq rises by one from record to record and is never used twice.
type Record struct {
	Seq  uint64          `json:"seq"`
	Data json.RawMessage `json:"data"`
	Sum  string          `json:"-"` // its hash, which covers Prev
	Prev string          `json:"-"` // the hash of the record before it
}

// Found says what Load came upon.
type Found struct {
	Fresh  bool   // there was nothing: the first start with this folder
	From   string // the generation that was loaded: "state" or "previous"; empty when Fresh
	Damage string // what was damaged or missing and what was done about it, for the operator; empty when all was well
}

// Open takes the folder for this process and makes it, with mode 0700, where there is none. It reads nothing yet.
// The error is a *LockedError when another process has the folder.
func Open(dir string) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: cannot make the state folder: %w; let this user write there, or set `state:` to another folder", err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	return &Journal{dir: dir, lock: lock, history: history{dir: dir, full: maxHistory}}, nil
}

// Load reads the newest sound state and puts right what a crash left undone. state is nil when Found.Fresh. The error
// is a *DamagedError when there is, or was, a state that cannot be read; the folder is then left as it is.
func (j *Journal) Load() (state []byte, found Found, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, Found{}, ErrClosed
	}
	return j.load()
}

// ready makes sure that the folder was read, because writing blindly would bury what is in it.
func (j *Journal) ready() error {
	if j.closed {
		return ErrClosed
	}
	if j.loaded && !j.history.unsure {
		return nil
	}
	_, _, err := j.load()
	return err
}

// Save makes state the newest and adds record to the history; an empty record adds nothing. Both must be JSON, the
// record in at most 64 KiB. When it returns nil, both survive any crash. The error is a *SaveError when the disk
// did not take it; unless its Unsure says otherwise, the state is then what it was before.
func (j *Journal) Save(state, record []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return err
	}
	j.flush()
	pending, seq := j.pending, j.seq
	if len(record) > 0 {
		data, err := compact(record)
		if err != nil {
			return err
		}
		seq++
		pending = append(pending[:len(pending):len(pending)], Record{Seq: seq, Data: data})
	}
	file, err := encode(envelope{Seq: seq, Pending: pending, State: state})
	if err != nil {
		return err
	}
	if len(pending) > maxPending {
		return &SaveError{Dir: j.dir, Err: j.behind}
	}
	if err := j.replace(file); err != nil {
		return err
	}
	j.seq, j.pending = seq, pending
	j.flush()
	j.tellHead()
	return nil
}

// Append adds a record to the history alone: the outcome of something whose beginning was saved. There must be a
// saved state, or the error is ErrNoState. A *SaveError means that nothing was added.
func (j *Journal) Append(record []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return err
	}
	if !j.hasState {
		return ErrNoState
	}
	data, err := compact(record)
	if err != nil {
		return err
	}
	if j.flush(); j.behind != nil {
		return &SaveError{Dir: j.dir, Err: j.behind}
	}
	if err := j.history.append(j.disk, []Record{{Seq: j.seq + 1, Data: data}}); err != nil {
		return &SaveError{Dir: j.dir, Err: err}
	}
	j.seq++
	j.tellHead()
	return nil
}

// flush moves the pending records into the history file. What it cannot move stays pending, safe in the state file.
func (j *Journal) flush() {
	if len(j.pending) == 0 {
		return
	}
	if j.behind = j.history.append(j.disk, j.pending); j.behind == nil {
		j.pending = nil
	}
}

// Behind says how many records are safe in the state file but not yet in the history file, and why. They are tried
// again with every Save and Append.
func (j *Journal) Behind() (records int, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending), j.behind
}

// History returns the last max records, oldest first; zero or less: all that are kept. Damaged ones are left out.
func (j *Journal) History(max int) ([]Record, error) {
	view, err := j.view()
	if err != nil {
		return nil, err
	}
	defer view.close()
	return view.last(max)
}

// Head returns the number and the hash of the last record, and does not wait for the disk: whoever notes it elsewhere can later
// have it looked for, with all that was before it. It is zero while there is no record.
func (j *Journal) Head() (seq uint64, sum string) {
	if r := j.head.Load(); r != nil {
		return r.Seq, r.Sum
	}
	return 0, ""
}

// tellHead is called whenever there is another last record.
func (j *Journal) tellHead() {
	last := Record{Seq: j.history.seq, Sum: j.history.sum}
	for _, r := range chained(j.pending, last.Sum) {
		last = r
	}
	if last.Seq > 0 {
		j.head.Store(&last)
	}
}

// view is the history as it is now.
func (j *Journal) view() (*view, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return nil, err
	}
	return j.history.view(j.pending)
}

// Fault has before asked ahead of each step that changes the folder, as "rename" of "state.new"; when it returns an error the step
// is not done. Tests stop at every step in turn by it.
func (j *Journal) Fault(before func(step, file string) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.disk.fault = before
}

// Close lets the folder go. It may be called twice; every other method fails from then on.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		j.lock.close()
	}
}

// compact checks a record and brings it onto one line.
func compact(record []byte) (json.RawMessage, error) {
	if len(record) > maxRecord {
		return nil, fmt.Errorf("%w: a record of %d bytes is over the limit of %d", ErrInvalid, len(record), maxRecord)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, record); err != nil {
		return nil, fmt.Errorf("%w: the record is not JSON: %w", ErrInvalid, err)
	}
	return line.Bytes(), nil
}

var (
	// ErrClosed is the error of every call after Close.
	ErrClosed = errors.New("journal: closed")
	// ErrNoState is the error of Append before the first Save.
	ErrNoState = errors.New("journal: no state was saved yet; save one before adding outcomes")
	// ErrInvalid is the error for a state or a record that is too long or not JSON. Nothing was changed.
	ErrInvalid = errors.New("journal: invalid input")
)
