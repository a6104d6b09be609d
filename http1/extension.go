package http1

import "sluice/message"

// isExtension reads `*( ";" BWS name [ BWS "=" BWS value ] BWS )` (RFC 9112 §7.1.1). White space between the size and the
// first semicolon is refused, where the grammar lets it stand: readers differ on it, and nobody sends it.
func isExtension(ext []byte) bool {
	if !message.IsValue(ext) {
		return false
	}
	for ok := true; len(ext) > 0; {
		if ext[0] != ';' {
			return false
		}
		if ext, ok = skipExtension(ext[1:]); !ok {
			return false
		}
	}
	return true
}

// skipExtension leaves the semicolon of the next one first. White space at the end of the line is left there too, where
// it belongs to nothing.
func skipExtension(b []byte) (rest []byte, ok bool) {
	rest, ok = skipToken(skipBlank(b))
	if next := skipBlank(rest); ok && len(next) > 0 && next[0] == '=' {
		rest, ok = skipExtensionValue(skipBlank(next[1:]))
	}
	if next := skipBlank(rest); len(next) > 0 {
		rest = next
	}
	return rest, ok
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

func skipToken(b []byte) (rest []byte, ok bool) {
	n := message.TokenLength(b)
	return b[n:], n > 0
}

func skipExtensionValue(b []byte) (rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '"' {
		return skipQuoted(b[1:])
	}
	return skipToken(b)
}

// skipQuoted reads on behind the quote that ends a quoted-string (RFC 9110 §5.6.4).
func skipQuoted(b []byte) (rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			return b[i+1:], true
		case '\\':
			i++
		}
	}
	return nil, false
}
