package static

import (
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// File is an open file and what is said of it.
type File struct {
	*os.File
	Size     int64
	Modified time.Time // zero: not known
	Type     string    // Content-Type
	Encoding string    // Content-Encoding; empty: none
	Varies   bool      // another Accept-Encoding may get another one
	Tag      string    // ETag, a strong one, with its quotes
	Cache    string    // Cache-Control
}

// open opens a regular file, or the best of its compressed siblings. A pipe or a device is no file of a release, and is not
// waited for.
func open(root *os.Root, name, accepts string) (*File, error) {
	file, info, err := openPlain(root, name)
	if err != nil {
		return nil, err
	}
	found := &File{File: file, Type: typeOf(name)}
	found.describe(info)
	if found.Varies = compressible(found.Type); found.Varies {
		found.compress(root, name, accepts, info.ModTime())
	}
	return found, nil
}

func openPlain(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, translate(err)
	}
	info, err := file.Stat()
	switch {
	case err == nil && info.IsDir():
		err = ErrFolder
	case err == nil && !info.Mode().IsRegular():
		err = ErrNotFound
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// translate makes one error of all that mean that the folder has no such file: a link that leads out of it does too.
func translate(err error) error {
	var lower *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrInvalid), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return ErrNotFound
	case errors.As(err, &lower) && lower.Err.Error() == "path escapes from parent": // os exports no value for it
		return ErrNotFound
	}
	return err
}

// describe says of a file what follows from its inode. Its number is part of the tag: builds that are made to be
// repeatable give each file one date, and two releases of a file may well have one length.
func (f *File) describe(info fs.FileInfo) {
	f.Size = info.Size()
	f.Modified = time.Time{}
	if info.ModTime().Unix() > 1 {
		f.Modified = info.ModTime()
	}
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	f.Tag = fmt.Sprintf("\"%x-%x-%x\"", info.ModTime().UnixNano(), f.Size, inode)
}

// encodings are the compressed forms that a file may lie beside itself in, the best first.
var encodings = [...]struct{ name, ending string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// copied is how much older than its file a sibling may be: who copies a folder gives each file the date of the moment, in
// any order.
const copied = time.Minute

// compress takes a compressed sibling in the file's place, if the client takes one. A sibling that is older than the file
// was forgotten when the file was changed.
func (f *File) compress(root *os.Root, name, accepts string, since time.Time) {
	for _, e := range encodings {
		if !takes(accepts, e.name) {
			continue
		}
		file, info, err := openPlain(root, name+e.ending)
		if err != nil {
			continue
		}
		if info.ModTime().Add(copied).Before(since) {
			file.Close()
			continue
		}
		f.Close()
		f.File, f.Encoding = file, e.name
		f.describe(info)
		return
	}
}

// takes reads Accept-Encoding (RFC 9110 §12.5.3): a coding is taken that is named and not with weight zero. "*" is not
// enough: who writes it may not know the newer ones.
func takes(accepts, coding string) bool {
	for part := range strings.SplitSeq(accepts, ",") {
		name, weight, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q, found := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(weight, " ", "")), "q=")
		return !found || strings.Trim(q, "0.") != ""
	}
	return false
}

// types are those of the web, alike on each machine whatever its own tables say.
var types = map[string]string{
	".avif": "image/avif", ".css": "text/css; charset=utf-8", ".gif": "image/gif", ".htm": "text/html; charset=utf-8",
	".html": "text/html; charset=utf-8", ".ico": "image/x-icon", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
	".js": "text/javascript; charset=utf-8", ".json": "application/json", ".map": "application/json",
	".md": "text/markdown; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".mp4": "video/mp4", ".otf": "font/otf",
	".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8",
	".wasm": "application/wasm", ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".webp": "image/webp",
	".woff": "font/woff", ".woff2": "font/woff2", ".xml": "text/xml; charset=utf-8",
}

func typeOf(name string) string {
	ending := strings.ToLower(path.Ext(name))
	if t := types[ending]; t != "" {
		return t
	}
	if t := mime.TypeByExtension(ending); t != "" {
		return t
	}
	return "application/octet-stream"
}

// compressible types are looked for in compressed form. Images, films and fonts are compressed in themselves.
func compressible(t string) bool {
	if strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "+json") || strings.HasSuffix(t, "+xml") {
		return true
	}
	return t == "application/json" || t == "application/wasm"
}
