package message

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// tokenBytes are the bytes of a token (RFC 9110 §5.6.2), the grammar of methods and field names.
var tokenBytes = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

// hostBytes are the bytes of a registered name that Sluice takes in an authority. Narrower than RFC 3986 §3.2.2 on
// purpose: sub-delims and percent-encoding have no place in a host that is routed on.
var hostBytes = set("-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

var addressBytes = set("0123456789abcdefABCDEF:.")

func set(members string) (t [256]bool) {
	for _, c := range []byte(members) {
		t[c] = true
	}
	return t
}

func all(b []byte, t *[256]bool) bool {
	for _, c := range b {
		if !t[c] {
			return false
		}
	}
	return true
}

// TokenLength is how many bytes at the beginning of b are a token.
func TokenLength(b []byte) int {
	for i, c := range b {
		if !tokenBytes[c] {
			return i
		}
	}
	return len(b)
}

// IsToken reports whether b is a token: not empty, and of token bytes only.
func IsToken(b []byte) bool { return len(b) > 0 && all(b, &tokenBytes) }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// IsValue reports whether b may be a field value: no control byte but the horizontal tab (RFC 9110 §5.5). Bytes from
// 0x80 up are taken as they are. Eight bytes are looked at in one step; a hit is then looked at byte by byte.
func IsValue(b []byte) bool {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7f*ones
		below := (x - 0x20*ones) & ^x & highs
		if below|((del-ones)&^del&highs) != 0 && !plain(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return plain(b)
}

func plain(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsTarget reports whether b may stand as a request target on the wire: visible ASCII, and no fragment. A backslash
// before the query is refused too: some servers read it as a slash, and then the path routed on is not the path served.
// In a query browsers send it as it is.
func IsTarget(b []byte) bool {
	for i, c := range b {
		if c <= 0x20 || c >= 0x7f || c == '#' || c == '\\' && bytes.IndexByte(b[:i], '?') < 0 {
			return false
		}
	}
	return len(b) > 0
}

// IsAuthority reports whether b is a host with an optional port, without userinfo (RFC 9110 §7.2, RFC 3986 §3.2). An
// empty port is refused, which the grammar lets stand: no client sends it, and readers may differ on what it means.
func IsAuthority(b []byte) bool {
	host, port := SplitPort(b)
	switch {
	case len(host) == 0, port != nil && !isPort(port):
		return false
	case host[0] == '[':
		return isIPv6(host)
	}
	return all(host, &hostBytes) && host[0] != '.' && !bytes.Contains(host, emptyLabel)
}

// emptyLabel is in no name (RFC 1035 §2.3.1); the dot that ends a full one is not followed by another.
var emptyLabel = []byte("..")

func isPort(b []byte) bool {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return len(b) > 0 && len(b) <= len("65535") && n <= 65535
}

// isIPv6 reads an IP-literal (RFC 3986 §3.2.2). A zone means nothing to a peer, and of the versions to come there is none.
func isIPv6(literal []byte) bool {
	n := len(literal)
	if n < 4 || literal[n-1] != ']' || !all(literal[1:n-1], &addressBytes) {
		return false
	}
	a, err := netip.ParseAddr(string(literal[1 : n-1]))
	return err == nil && a.Is6()
}

// CanonicalAuthority brings an authority into the one form that is routed on and forwarded: in lower case (RFC 3986
// §6.2.2.1), and without the dot that ends a full domain name. It works in place.
func CanonicalAuthority(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	host, _ := SplitPort(b)
	if n := len(host); n > 1 && host[n-1] == '.' {
		return append(b[:n-1], b[n:]...)
	}
	return b
}

// SplitPort cuts "host:port" into its parts; the port is nil when there is none.
func SplitPort(authority []byte) (host, port []byte) {
	for i := len(authority) - 1; i >= 0; i-- {
		switch authority[i] {
		case ':':
			return authority[:i], authority[i+1:]
		case ']':
			return authority, nil
		}
	}
	return authority, nil
}

// HasDotSegment reports a "." or ".." segment, its dots encoded or not. It is refused, not resolved: what is routed on and
// what is forwarded must be one path, and no honest client sends such a segment (they resolve it, RFC 3986 §5.2.4).
// An encoded slash or backslash ends a segment too, and so do path parameters ("..;a=b"): there are servers that decode
// the one and cut the other off before they resolve the dots.
func HasDotSegment(path []byte) bool {
	if bytes.IndexByte(path, '.') < 0 && bytes.IndexByte(path, '%') < 0 {
		return false
	}
	for len(path) > 0 {
		var segment []byte
		segment, path = nextSegment(path)
		if onlyDots(segment) {
			return true
		}
	}
	return false
}

func nextSegment(path []byte) (segment, rest []byte) {
	for i, c := range path {
		switch {
		case c == '/':
			return path[:i], path[i+1:]
		case c == '%' && len(path) >= i+3 && (EqualFold(path[i:i+3], "%2f") || EqualFold(path[i:i+3], "%5c")):
			return path[:i], path[i+3:]
		}
	}
	return path, nil
}

func onlyDots(segment []byte) bool {
	if i := bytes.IndexByte(segment, ';'); i >= 0 {
		segment = segment[:i]
	}
	dots := 0
	for len(segment) > 0 {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && EqualFold(segment[:3], "%2e"):
			segment = segment[3:]
		default:
			return false
		}
		dots++
	}
	return dots == 1 || dots == 2
}
