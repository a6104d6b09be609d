package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ReleaseFile is the file in the folder of a static release whose first word names it. Without one the folder's own name
// does: that of the folder itself, where the path to it is a link.
const ReleaseFile = ".release"

// maxReleaseFile is far above any name; more of the file is not read.
const maxReleaseFile = 4 << 10

// folderProber looks whether the folder of a static release is there and can be read.
type folderProber struct {
	path string
	now  func() time.Time
}

// Probe looks once. It asks the file system alone, whose answers are not waited for in any other way either.
func (p *folderProber) Probe(ctx context.Context) Result {
	begun := p.now()
	release, err := releaseIn(p.path)
	at := p.now()
	if ctx.Err() != nil {
		return Result{At: at, Took: at.Sub(begun), Cancelled: true, Reason: "check called off"}
	}
	r := Result{At: at, Took: at.Sub(begun), OK: err == nil, Release: release}
	if err != nil {
		r.Reason = folderReason(err)
	}
	return r
}

// releaseIn goes by one folder, even when a link to it is moved meanwhile.
func releaseIn(path string) (release string, err error) {
	whole, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(whole); err == nil && !info.IsDir() {
		return "", syscall.ENOTDIR
	}
	root, err := os.OpenRoot(whole)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if release = releaseNoted(root); release == "" {
		release = printable(filepath.Base(whole), maxRelease)
	}
	return release, nil
}

func releaseNoted(root *os.Root) string {
	f, err := root.OpenFile(ReleaseFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, maxReleaseFile))
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line)
	if err != nil || len(words) == 0 {
		return ""
	}
	return printable(words[0], maxRelease)
}

func folderReason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such folder: create it, or correct `root`"
	case errors.Is(err, syscall.ENOTDIR):
		return "it is no folder: put the files of the release into one, and name that as `root`"
	case errors.Is(err, fs.ErrPermission):
		return "the folder cannot be read: let the user that Sluice runs as read it"
	case errors.As(err, &errno):
		return fmt.Sprintf("the folder cannot be read: %s", errno.Error())
	}
	return "the folder cannot be read: look at its links"
}
