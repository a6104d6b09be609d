package journal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// takeLock locks the folder for as long as the returned file is open. The kernel gives the lock back when the process
// ends, however it ends, so a lock file left behind means nothing.
func takeLock(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: cannot lock the state folder: %w; let this user write there, or set `state:` to another folder", err)
	}
	if err := flock(file); err != nil {
		defer file.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, &LockedError{Dir: dir, PID: readPID(file)}
		}
		return nil, fmt.Errorf("journal: cannot lock %s: %w; set `state:` to a folder on a local disk", file.Name(), err)
	}
	// The pid only helps a person to find the process; a full disk is no reason to give up.
	if file.Truncate(0) == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return file, nil
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
