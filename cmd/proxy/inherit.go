package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"sluice/front"
)

const (
	firstPassed = 3  // the descriptors behind standard input, output and error (sd_listen_fds(3))
	mostPassed  = 64 // a mistake is more likely than so many addresses
)

// passedVariables say which sockets were passed to this process.
var passedVariables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}

// inherit takes over the sockets that systemd, or who speaks as it does, has passed to this process. open is given each
// descriptor and its name; the warning is empty when there is nothing to say.
func inherit(getenv func(string) string, pid int, open func(fd int, name string) *os.File) (in *front.Inherited, warning string, err error) {
	count, owner := getenv("LISTEN_FDS"), getenv("LISTEN_PID")
	if count == "" {
		return nil, "", nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostPassed {
		return nil, "", fmt.Errorf("LISTEN_FDS is %q, not a number up to %d; systemd sets it, nobody else should", count, mostPassed)
	}
	if owner != strconv.Itoa(pid) {
		return nil, fmt.Sprintf("LISTEN_FDS is for process %q, and this is %d: sockets that were passed are not used; start sluice itself, or with exec from a script", owner, pid), nil
	}
	in = &front.Inherited{}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		name := strconv.Itoa(firstPassed + i)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if err := in.Add(open(firstPassed+i, name), name); err != nil {
			in.Close()
			return nil, "", err
		}
	}
	return in, "", nil
}

// openPassed makes a file of a descriptor. What this process starts does not inherit it.
func openPassed(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}
