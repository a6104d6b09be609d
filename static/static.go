// Package static finds, in the folder of a release, the file that a path means, and what is said of it: type, tag, caching,
// a sibling that is compressed already. It refuses to know requests, connections and pools, and opens nothing outside of
// its folder, whatever a path or a link in the folder says.
package static

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"time"
)

// Rules say how a folder is read. They never change.
type Rules struct {
	Prefix   string   // of the paths that come here; what is not found by the whole path is looked for by what follows it
	Index    []string // what stands for a folder, the first that is there; none: index.html
	Fallback string   // the file for paths that are not there and name no file, as "/index.html"; empty: none
	Assets   []string // patterns of paths whose content never changes under one name
	Cache    []Cache  // the first whose pattern matches says Cache-Control
}

// Cache is Cache-Control for some paths.
type Cache struct {
	Pattern string // "/assets/*" is all below /assets/, "*.css" is all that end so, else one path
	Control string
}

// Words of Cache-Control where no rule says another. What may change under its name is asked for again each time, and
// answered with 304 when it has not: after a flip no browser goes on with the page of before.
const (
	forever   = "public, max-age=31536000, immutable"
	askAgain  = "no-cache"
	indexFile = "index.html"
)

// Folder is a folder of files. Its methods may be called concurrently.
type Folder struct {
	path  string
	rules Rules
}

// New returns the folder at a path, which is looked at anew for each file: it may be a link that is moved from one release
// to the next.
func New(path string, rules Rules) *Folder {
	if len(rules.Index) == 0 {
		rules.Index = []string{indexFile}
	}
	return &Folder{path, rules}
}

// Path is where the folder is.
func (f *Folder) Path() string { return f.path }

// Is reports whether the folder is what New would return.
func (f *Folder) Is(path string, rules Rules) bool { return reflect.DeepEqual(f, New(path, rules)) }

// Errors of Open.
var (
	ErrNotFound = errors.New("static: there is no such file")
	// ErrFolder is a folder asked for without the slash at its end, with which links in its index would lead elsewhere.
	ErrFolder = errors.New("static: a folder's path ends in a slash")
)

// Open opens the file that a path means. path is decoded, begins with a slash, and has no dot segments; accepts is the
// Accept-Encoding of the request. The caller closes the file. Other errors than those above are the system's.
//
// All that is looked for is looked for in one folder, even when a link to it is moved meanwhile.
func (f *Folder) Open(path, accepts string) (*File, error) {
	if !decent(path) {
		return nil, ErrNotFound
	}
	for range mostMoves {
		found, moved, err := f.lookup(path, accepts)
		if err == nil {
			found.Cache = f.control(path)
		}
		if !moved {
			return found, err
		}
	}
	return nil, ErrNotFound
}

// mostMoves is how often a lookup begins anew because the link to the folder was moved and the old one perhaps deleted.
const mostMoves = 4

// lookup looks in the folder of the moment. moved says that there is another one by now, and that it may have the file.
func (f *Folder) lookup(path, accepts string) (found *File, moved bool, err error) {
	root, err := openRoot(f.path)
	if err != nil {
		return nil, false, err
	}
	defer root.Close()
	if found, err = f.findAny(root, path, accepts); err == ErrNotFound {
		moved = isElsewhere(root, f.path)
	}
	return found, moved, err
}

// Some tools replace a link by removing it first. It is then away for far less than this.
const (
	looks   = 10
	lookGap = time.Millisecond
)

func openRoot(path string) (*os.Root, error) {
	for n := 1; ; n++ {
		root, err := os.OpenRoot(path)
		if err == nil || n == looks || !errors.Is(err, fs.ErrNotExist) {
			return root, err
		}
		time.Sleep(lookGap)
	}
}

func isElsewhere(root *os.Root, path string) bool {
	was, err := root.Stat(".")
	if err != nil {
		return false
	}
	is, err := os.Stat(path)
	return err != nil && errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(was, is)
}

func (f *Folder) findAny(root *os.Root, path, accepts string) (*File, error) {
	found, err := f.find(root, path, accepts)
	below, ok := f.rules.below(path)
	switch {
	case err != ErrNotFound:
		return found, err
	case ok && below == "":
		return nil, ErrFolder
	case ok:
		found, err = f.find(root, below, accepts)
	}
	if err == ErrNotFound && f.fallsBack(path) {
		return f.find(root, f.rules.Fallback, accepts)
	}
	return found, err
}

// below is what follows the prefix: /app/main.js is main.js in the folder of a service at /app, unless the folder has an
// app/main.js.
func (r *Rules) below(path string) (string, bool) {
	prefix := strings.TrimSuffix(r.Prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return rest, ok && prefix != "" && (rest == "" || rest[0] == '/')
}

// find opens what is at a path, or the index of what is.
func (f *Folder) find(root *os.Root, path, accepts string) (*File, error) {
	if !strings.HasSuffix(path, "/") {
		return open(root, path[1:], accepts)
	}
	for _, name := range f.rules.Index {
		found, err := open(root, path[1:]+name, accepts)
		if err == nil || err != ErrNotFound && err != ErrFolder {
			return found, err
		}
	}
	return nil, ErrNotFound
}

// decent refuses what no link in a page leads to: hidden files, which are rather a slip of who copied the folder, and bytes
// that no name of a file has. Only /.well-known/ is for others to see (RFC 8615 §3).
func decent(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\x00\\") {
		return false
	}
	rest := strings.TrimPrefix(path, "/.well-known")
	return !strings.Contains(rest, "/.")
}

// fallsBack: the path of a page names no file. A file that is missing is missing: a page in its place would be run as a
// script, and kept for long.
func (f *Folder) fallsBack(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return f.rules.Fallback != "" && !strings.Contains(name, ".") && !f.Asset(path)
}

// Asset reports whether a path is one of those whose content never changes.
func (f *Folder) Asset(path string) bool { return f.rules.Asset(path) }

// Asset reports whether a path is one of those whose content never changes.
func (r *Rules) Asset(path string) bool {
	for _, pattern := range r.Assets {
		if r.matches(pattern, path) {
			return true
		}
	}
	return false
}

func (f *Folder) control(path string) string {
	for _, c := range f.rules.Cache {
		if f.rules.matches(c.Pattern, path) {
			return c.Control
		}
	}
	if f.Asset(path) {
		return forever
	}
	return askAgain
}

// matches compares with the whole path, and with what follows the prefix.
func (r *Rules) matches(pattern, path string) bool {
	below, ok := r.below(path)
	return Match(pattern, path) || ok && Match(pattern, below)
}

// Match compares a path with a pattern that has a star at its end, at its beginning, or none.
func Match(pattern, path string) bool {
	if end, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(path, end)
	}
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, start)
	}
	return path == pattern
}
