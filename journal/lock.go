package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lock keeps every other process out of the folder, for as long as this one is there: until its last request is over, since
// a Sluice that is on its way out closes its journal last. The kernel gives it back when the process ends, however that ends,
// so that a lock file left behind means nothing.
//
// There are two of them. The file has the pid in it, and is what an older Sluice looks at. The folder itself is locked as
// well: someone may remove the file while its owner is still at work, and the next process would lock another one.
type lock struct {
	file, folder *os.File
	unsure       error // why the folder could not be locked; nil: it is
}

func takeLock(dir string) (*lock, error) { return takeLocks(dir, flock) }

func takeLocks(dir string, flock func(*os.File) error) (*lock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: cannot lock the state folder: %w; let this user write there, or set `state:` to another folder", err)
	}
	l := &lock{file: file}
	if err := l.take(dir, flock); err != nil {
		l.close()
		return nil, err
	}
	// The pid only helps a person to find the process; a full disk is no reason to give up.
	if file.Truncate(0) == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return l, nil
}

func (l *lock) take(dir string, flock func(*os.File) error) (err error) {
	switch err := flock(l.file); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return &LockedError{Dir: dir, PID: readPID(l.file)}
	case err != nil:
		return fmt.Errorf("journal: cannot lock %s: %w; set `state:` to a folder on a local disk", l.file.Name(), err)
	}
	if l.folder, err = os.Open(dir); err != nil {
		return fmt.Errorf("journal: cannot lock the state folder: %w; let this user read it, or set `state:` to another folder", err)
	}
	if l.unsure = flock(l.folder); errors.Is(l.unsure, syscall.EWOULDBLOCK) {
		return &LockedError{Dir: dir}
	}
	return nil
}

func (l *lock) close() {
	l.file.Close()
	if l.folder != nil {
		l.folder.Close()
	}
}

// Alone returns nil when no other process uses the folder, for sure. Some file systems, as NFS, cannot lock a folder; there
// one whose lock file was removed could still be at work.
func (j *Journal) Alone() error {
	if j.lock.unsure == nil {
		return nil
	}
	return fmt.Errorf("the file system of %s cannot lock a folder (%w)", j.dir, j.lock.unsure)
}

func flock(file *os.File) error {
	for {
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EINTR {
			return err
		}
	}
}

// readPID reads the pid in the lock file; zero when there is none.
func readPID(file *os.File) int {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
