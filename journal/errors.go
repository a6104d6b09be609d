package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// LockedError says that another process uses the folder.
type LockedError struct {
	Dir string
	PID int // zero when it could not be read
}

func (e *LockedError) Error() string {
	who := "another sluice"
	if e.PID > 0 {
		who = fmt.Sprintf("another sluice (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s uses the state in %s; stop it first and wait for its last request, or give this one a folder of its own with `state:`", who, e.Dir)
}

// DamagedError says that a state was saved here but no generation of it can be used. Nothing in the folder was changed.
type DamagedError struct {
	Dir     string
	Problem string // which files, and what is wrong with each
	Newer   bool   // nothing is broken: a newer sluice wrote it
}

func (e *DamagedError) Error() string {
	if e.Newer {
		return fmt.Sprintf("the state in %s cannot be used: %s; run that version again, or move the folder away to start from the configuration file", e.Dir, e.Problem)
	}
	return fmt.Sprintf("the state in %s cannot be used: %s; restore the folder from a backup, or move it away to start from the configuration file", e.Dir, e.Problem)
}

// SaveError says that the disk did not take a change.
type SaveError struct {
	Dir    string
	Unsure bool // the new state may be on disk all the same: after a restart it can be the old or the new one
	Err    error
}

func (e *SaveError) Unwrap() error { return e.Err }

func (e *SaveError) Error() string {
	outcome := "nothing was changed"
	if e.Unsure {
		outcome = "it may or may not be there after a restart"
	}
	return fmt.Sprintf("the change was not saved: %v; %s; %s", rootCause(e.Err), outcome, e.hint())
}

func (e *SaveError) hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return fmt.Sprintf("free space in %s and try again", e.Dir)
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS):
		return fmt.Sprintf("make %s writable for sluice and try again", e.Dir)
	default:
		return fmt.Sprintf("look at the disk that holds %s and try again", e.Dir)
	}
}

// rootCause strips the operation and path from an error, since the sentence around it names the folder.
func rootCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
