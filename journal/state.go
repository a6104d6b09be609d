package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	currentName  = "state.json"
	previousName = "state.prev.json"
	newName      = "state.new"  // a state being written; worthless after a crash
	keepName     = "state.keep" // state.json on its way to become state.prev.json
)

func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }

// replace puts file in place of state.json and keeps what was there as the previous generation.
//
//  1. the new state is written beside the old one, durably;
//  2. the old one gets the second name state.keep;
//  3. the rename onto state.json: before it the old state counts, after it the new one;
//  4. state.keep becomes state.prev.json, which a later load can do as well.
//
// An error up to the third step leaves both generations as they were.
func (j *Journal) replace(file []byte) error {
	fail := func(err error) error { return &SaveError{Dir: j.dir, Err: err} }
	if err := j.disk.create(j.path(newName), file); err != nil {
		return fail(err)
	}
	if j.hasCurrent {
		if err := j.disk.duplicate(j.path(currentName), j.path(keepName)); err != nil {
			j.disk.remove(j.path(newName))
			return fail(err)
		}
	}
	if err := j.disk.rename(j.path(newName), j.path(currentName)); err != nil {
		j.disk.remove(j.path(newName))
		j.disk.remove(j.path(keepName))
		return fail(err)
	}
	kept := j.settleKept()
	if err := j.disk.syncDir(j.dir); err != nil {
		return j.takeBack(err, kept)
	}
	j.hasCurrent, j.hasState = true, true
	return nil
}

// takeBack undoes a rename whose durability the disk refused to promise, so that what this process reads agrees with
// the error it returns.
func (j *Journal) takeBack(cause, kept error) error {
	err := kept
	switch {
	case err != nil: // the old state is not where it can be taken from
	case !j.hasCurrent:
		err = j.disk.remove(j.path(currentName))
	default:
		if err = j.disk.duplicate(j.path(previousName), j.path(newName)); err == nil {
			err = j.disk.rename(j.path(newName), j.path(currentName))
		}
	}
	if err != nil {
		j.loaded = false
	}
	return &SaveError{Dir: j.dir, Unsure: err != nil, Err: cause}
}

// settleKept finishes what became of state.keep: a second name of state.json that was not replaced is dropped, and
// else it is the previous generation.
func (j *Journal) settleKept() error {
	kept, err := os.Lstat(j.path(keepName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if current, err := os.Lstat(j.path(currentName)); err == nil && os.SameFile(kept, current) {
		return j.disk.remove(j.path(keepName))
	}
	return j.disk.rename(j.path(keepName), j.path(previousName))
}

// load reads the folder into j.
func (j *Journal) load() (state []byte, found Found, err error) {
	j.loaded, j.hasCurrent, j.hasState = false, false, false
	if err := j.settleKept(); err != nil {
		return nil, Found{}, fmt.Errorf("journal: cannot finish an interrupted save: %w; make %s writable for sluice", err, j.dir)
	}
	notes, err := j.history.open()
	if err != nil {
		return nil, Found{}, err
	}
	e, found, err := j.choose()
	if err != nil {
		return nil, Found{}, err
	}
	if err := j.history.mend(j.disk); err != nil {
		return nil, Found{}, err
	}
	j.loaded, j.hasState = true, !found.Fresh
	notes = append(notes, j.adopt(e)...)
	if found.Damage != "" {
		notes = append([]string{found.Damage}, notes...)
	}
	found.Damage = strings.Join(notes, "; ")
	return e.State, found, nil
}

// adopt takes over the numbers of a loaded envelope, and gives the history what it missed.
func (j *Journal) adopt(e envelope) (notes []string) {
	j.seq = max(e.Seq, j.history.seq)
	j.pending, j.behind = nil, nil
	first := e.Seq + 1
	for _, r := range e.Pending {
		first = min(first, r.Seq)
		if r.Seq > j.history.seq {
			j.pending = append(j.pending, r)
		}
	}
	if lost := j.history.seq + 1; lost < first {
		notes = append(notes, fmt.Sprintf("history entries %d to %d are missing", lost, first-1))
	}
	j.flush()
	j.tellHead()
	return notes
}

// choose returns the newest sound generation.
func (j *Journal) choose() (envelope, Found, error) {
	current, err := j.read(currentName)
	if err == nil {
		j.hasCurrent = true
		return current, Found{From: "state"}, nil
	}
	if !unusable(err) {
		return envelope{}, Found{}, err
	}
	previous, prevErr := j.read(previousName)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case errors.Is(err, errNewer):
		return envelope{}, Found{}, &DamagedError{Dir: j.dir, Problem: describe(currentName, err), Newer: true}
	case prevErr == nil:
		return previous, Found{From: "previous", Damage: j.fallBack(err)}, nil
	case !unusable(prevErr):
		return envelope{}, Found{}, prevErr
	case missing && errors.Is(prevErr, fs.ErrNotExist) && !j.history.seen:
		return envelope{}, Found{Fresh: true}, nil
	}
	return envelope{}, Found{}, &DamagedError{Dir: j.dir, Problem: describe(currentName, err) + ", " + describe(previousName, prevErr)}
}

// read reads one generation. Errors of permission and the like are told apart from damage by unusable.
func (j *Journal) read(name string) (envelope, error) {
	file, err := readLimited(j.path(name), maxState)
	if err == nil {
		var e envelope
		if e, err = decode(file); err == nil {
			return e, nil
		}
	} else if errors.Is(err, fs.ErrPermission) {
		return envelope{}, fmt.Errorf("journal: %w; let this user read the state folder", err)
	}
	return envelope{}, &unusableError{err}
}

// unusableError is what is wrong with one generation.
type unusableError struct{ err error }

func (e *unusableError) Error() string { return e.err.Error() }
func (e *unusableError) Unwrap() error { return e.err }

func unusable(err error) bool {
	var u *unusableError
	return errors.As(err, &u)
}

func describe(name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return name + " is missing"
	}
	return fmt.Sprintf("%s is damaged (%v)", name, rootCause(err))
}

// maxAside is how many damaged files are kept; a disk that damages more has told its story.
const maxAside = 9

// fallBack puts a damaged state.json aside and says what happened.
func (j *Journal) fallBack(damage error) string {
	note := describe(currentName, damage)
	if !errors.Is(damage, fs.ErrNotExist) {
		note += " and " + j.setAside()
	}
	return note + "; the generation before it is used, and the last change is lost"
}

func (j *Journal) setAside() string {
	name := ""
	for n := 1; n <= maxAside; n++ {
		name = fmt.Sprintf("state.damaged-%d", n)
		if _, err := os.Lstat(j.path(name)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err := j.disk.rename(j.path(currentName), j.path(name)); err != nil {
		return fmt.Sprintf("could not be put aside (%v)", rootCause(err))
	}
	return "was put aside as " + name
}
