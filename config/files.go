package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

var (
	errFolder  = errors.New("it is a folder")
	errTooLong = errors.New("it is longer than the limit")
	errEmpty   = errors.New("it holds no token")
)

// openNow opens for reading and does not wait for the other end of a named pipe.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// unreadable says why a file cannot be read, without repeating its path.
func unreadable(path string, err error) *Error {
	e := &Error{File: path, Problem: "cannot read the file: " + reason(err), cause: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Fix = "write one with at least:\n" + example
	case errors.Is(err, fs.ErrPermission):
		e.Fix = "let the user that Sluice runs as read it"
	case errors.Is(err, errTooLong):
		e.Fix = "name the right file; a configuration has at most " + showSize(maxFile)
	default:
		e.Fix = "name a plain file that Sluice can read"
	}
	return e
}

func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// beside makes a path absolute or relative to the working folder, where it was relative to the configuration's folder.
func (in *input) beside(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(in.file), path)
}

// neededFile is a file that must be there before the configuration can be used.
type neededFile struct {
	line, column int
	what, path   string
}

// CheckFiles returns a problem for each certificate and key that cannot be read now, in the order of the file. It opens
// them and reads nothing.
func (c *Config) CheckFiles() []*Error {
	var problems Errors
	for _, need := range c.files {
		if err := canRead(need.path); err != nil {
			problems.add(&Error{
				File: c.File, Line: need.line, Column: need.column, cause: err,
				Problem: "cannot read the " + need.what + " " + show(need.path) + ": " + reason(err),
				Fix:     "put the PEM file there, or name the right one; a relative path starts at the folder of this file",
			})
		}
	}
	return problems
}

func canRead(path string) error {
	f, err := openNow(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return errFolder
	}
	return err
}

// maxToken is far above what any tool makes; it keeps a wrong path from being read to its end.
const maxToken = 4 << 10

// readToken fills in the token that stands in a file of its own.
func (in *input) readToken(c *Config) {
	if in.tokenFile == nil {
		return
	}
	path := in.beside(in.tokenFile.node.Value)
	data, err := readAtMost(path, maxToken)
	token := strings.TrimSpace(string(data))
	if err == nil && token == "" {
		err = errEmpty
	}
	if err != nil {
		in.tokenFile.refuse("make one: openssl rand -hex 16 > "+path, "cannot read the token from %s: %s", show(path), reason(err)).cause = err
		return
	}
	in.tokenFile.token(token, &c.Admin.Token)
}
