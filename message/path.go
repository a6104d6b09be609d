package message

// unreservedBytes mean the same whether they are escaped or not (RFC 3986 §2.3).
var unreservedBytes = set("-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

// Clarity says in how many ways servers read a path. It is a closed set.
type Clarity uint8

const (
	Clear     Clarity = iota // each reads the same
	Unclear                  // some decode, merge or cut off what others keep
	Malformed                // it is refused
)

// Canonical brings the path of a target into its one form: what need not be escaped is not (RFC 3986 §6.2.2.2), and the
// other escapes are in upper case (§6.2.2.1). It works in place and returns the target, which may be shorter. The query
// stays as it is. A path without anything odd costs one look.
func Canonical(target []byte) ([]byte, Clarity) {
	end, odd := pathEnd(target)
	if !odd {
		return target, Clear
	}
	n, clarity := normalise(target[:end])
	if clarity != Malformed && n < end {
		target = append(target[:n], target[end:]...)
	}
	return target, clarity
}

func pathEnd(target []byte) (end int, odd bool) {
	before := byte(0)
	for i, c := range target {
		switch c {
		case '?':
			return i, odd
		case '%', ';':
			odd = true
		case '/':
			odd = odd || before == '/'
		}
		before = c
	}
	return len(target), odd
}

// normalise rewrites a path in place and returns its new length.
func normalise(path []byte) (n int, clarity Clarity) {
	escaped := byte(0) // what was escaped just before
	for r := 0; r < len(path); {
		c := path[r]
		if c != '%' {
			if c == ';' || c == '/' && n > 0 && path[n-1] == '/' {
				clarity = Unclear
			}
			path[n] = c
			n, r, escaped = n+1, r+1, 0
			continue
		}
		v, ok := Unescape(path[r:])
		if !ok || v < 0x20 || v == 0x7f || overlong(escaped, v) {
			return 0, Malformed
		}
		if v < 0x80 && v != ' ' && !unreservedBytes[v] {
			clarity = Unclear
		}
		n = putEscape(path, n, v)
		r, escaped = r+3, v
	}
	return n, clarity
}

const upperHex = "0123456789ABCDEF"

func putEscape(path []byte, n int, v byte) int {
	if unreservedBytes[v] {
		path[n] = v
		return n + 1
	}
	path[n], path[n+1], path[n+2] = '%', upperHex[v>>4], upperHex[v&15]
	return n + 3
}

// Unescape reads the escape that b begins with: "%" and two hexadecimal digits (RFC 3986 §2.1).
func Unescape(b []byte) (v byte, ok bool) {
	if len(b) < 3 || b[0] != '%' {
		return 0, false
	}
	high, low := hexValue(b[1]), hexValue(b[2])
	return high<<4 | low, high < 16 && low < 16
}

func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// overlong reports two bytes that begin a character in more bytes than it needs: "Implementations of the decoding
// algorithm MUST protect against decoding invalid sequences" (RFC 3629 §3), but some make "%c0%af" a slash. Other bytes
// that are no UTF-8 pass: there are old links in Latin-1.
func overlong(first, second byte) bool {
	switch first {
	case 0xc0, 0xc1:
		return second < 0xc0 && second != ' '
	case 0xe0:
		return 0x80 <= second && second < 0xa0
	case 0xf0:
		return 0x80 <= second && second < 0x90
	case 0xf8:
		return 0x80 <= second && second < 0x88
	case 0xfc:
		return 0x80 <= second && second < 0x84
	}
	return false
}
