package proxy

import (
	"bytes"

	"sluice/message"
)

// takeTarget brings the path and the authority into the one form that is routed on and forwarded.
func (ex *Exchange) takeTarget(h *message.Head) *Error {
	if len(h.Authority) == 0 {
		h.Authority = ex.keep(ex.Peer.Local())
	}
	h.Authority = message.CanonicalAuthority(h.Authority)
	target, clarity := message.Canonical(h.Target)
	if clarity == message.Malformed {
		return errEscape
	}
	h.Target, ex.unclear = target, clarity == message.Unclear
	return nil
}

// find looks the service up in a snapshot. An unclear path has to lead there in whatever way a server reads it.
func (ex *Exchange) find(s *Snapshot) *Error {
	h := &ex.Request
	path, here := h.Path(), s.behind(ex.Peer.Door)
	ex.Service = here.Route(h.Authority, path)
	switch {
	case ex.Service == nil:
		return errNoRoute
	case ex.unclear && !here.agree(h.Authority, path, ex.Service):
		ex.Service = nil
		return errUnclear
	}
	ex.Service = ex.preview(s, ex.Service)
	return nil
}

// agree reports whether a path leads to a service in each way that servers are known to read it.
//
// Only the loosest ways have to be tried: decoded twice, with "\\" for "/", without what stands behind ";" in a segment,
// without empty segments, and ended by what would end a path. A service's path has none of all this in it, so a path
// that is below it stays below it, whatever of this a server does; what is left is to find a service that the path comes
// below by it. Two things can hide a segment from the loosest reading: parameters that are cut off early take with them
// what becomes a slash later, and a path that begins with "//" names a host to those who read it as a reference (RFC 3986
// §4.2).
func (s *Snapshot) agree(authority, path []byte, svc *Service) bool {
	if !s.agreeOn(authority, path, svc) {
		return false
	}
	if bytes.HasPrefix(path, []byte("//")) {
		return s.agreeOn(authority, behindHost(path), svc)
	}
	return true
}

// behindHost is the path of a reference that begins with a host.
func behindHost(path []byte) []byte {
	path = bytes.TrimLeft(path, "/")
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		return path[i:]
	}
	return []byte("/")
}

func (s *Snapshot) agreeOn(authority, path []byte, svc *Service) bool {
	var room [512]byte
	for early := range waysToCut(path) {
		read := loosely(append(room[:0], path...), early)
		if message.HasDotSegment(read) || s.find(authority, mergeSlashes(ended(read)), true) != svc {
			return false
		}
	}
	return true
}

// waysToCut is 1 where no parameters can come out.
func waysToCut(path []byte) int {
	if bytes.IndexByte(path, ';') < 0 && !bytes.Contains(path, semicolon) && !bytes.Contains(path, percent) {
		return 1
	}
	return 8
}

var (
	semicolon = []byte("%3B")
	percent   = []byte("%25")
)

// loosely reads a path as the loosest server would, in place. Each bit of early has parameters cut off before one more
// thing becomes a slash.
func loosely(path []byte, early int) []byte {
	path = decode(cutEarly(path, early&1))
	path = decode(cutEarly(path, early&2))
	path = cutEarly(path, early&4)
	for i, c := range path {
		if c == '\\' {
			path[i] = '/'
		}
	}
	return cutParameters(path)
}

// ended ends a path where what was escaped would, had it not been.
func ended(path []byte) []byte {
	if end := bytes.IndexAny(path, "?#\x00"); end >= 0 {
		return path[:end]
	}
	return path
}

func cutEarly(path []byte, yes int) []byte {
	if yes == 0 {
		return path
	}
	return cutParameters(path)
}

// decode takes each escape for what it means, once.
func decode(path []byte) []byte {
	n := 0
	for r := 0; r < len(path); n++ {
		if v, ok := message.Unescape(path[r:]); ok {
			path[n] = v
			r += 3
			continue
		}
		path[n] = path[r]
		r++
	}
	return path[:n]
}

// cutParameters cuts each segment off at its first ";" (RFC 3986 §3.3).
func cutParameters(path []byte) []byte {
	kept, cut := path[:0], false
	for _, c := range path {
		switch c {
		case '/':
			cut = false
		case ';':
			cut = true
		}
		if !cut {
			kept = append(kept, c)
		}
	}
	return kept
}

func mergeSlashes(path []byte) []byte {
	kept := path[:0]
	for _, c := range path {
		if n := len(kept); c != '/' || n == 0 || kept[n-1] != '/' {
			kept = append(kept, c)
		}
	}
	return kept
}
