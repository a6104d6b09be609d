package strictread

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	// token is of RFC 9110 §5.6.2.
	token = regexp.MustCompile("^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$")

	// text is what may stand in a field value and in a reason (RFC 9110 §5.5, RFC 9112 §4): HTAB, SP, VCHAR and obs-text.
	text = regexp.MustCompile(`^(?:[\t\x20-\x7e]|[^\x00-\x7f])*$`)

	// pathAndQuery is wider than RFC 3986 §3.3 and §3.4 by what browsers leave as it is in paths and queries
	// (https://url.spec.whatwg.org/#percent-encoded-bytes): quotes, angles, brackets, braces, ^, `, |, a lone percent, and
	// in queries a backslash.
	pathAndQuery = regexp.MustCompile("^/[A-Za-z0-9\\-._~%!$&'()*+,;=:@/\"<>\\[\\]^`{|}]*(?:\\?[A-Za-z0-9\\-._~%!$&'()*+,;=:@/?\"<>\\[\\]^`{|}\\\\]*)?$")

	// registeredName is of RFC 3986 §3.2.2, but not empty.
	registeredName = regexp.MustCompile(`^(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$`)

	// chunkExtension is of RFC 9112 §7.1.1, with its bad white space, and quoted-string of RFC 9110 §5.6.4.
	chunkExtension = regexp.MustCompile("^(?:[ \t]*;[ \t]*" + tokenBytes + "(?:[ \t]*=[ \t]*(?:" + tokenBytes + "|" + quotedString + "))?)*$")
)

const (
	tokenBytes   = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	quotedString = `"(?:[\t !\x23-\x5b\x5d-\x7e]|[^\x00-\x7f]|\\(?:[\t\x20-\x7e]|[^\x00-\x7f]))*"`
)

func isToken(s string) bool { return token.MatchString(s) }

// latin writes each byte as a character of its own, so that an expression sees bytes and not what they may mean as UTF-8.
func latin(s string) string {
	b := make([]rune, len(s))
	for i := range len(s) {
		b[i] = rune(s[i])
	}
	return string(b)
}

func isText(s string) bool           { return text.MatchString(latin(s)) }
func isPathAndQuery(s string) bool   { return pathAndQuery.MatchString(s) }
func isChunkExtension(s string) bool { return chunkExtension.MatchString(latin(s)) }
func isDigits(s string) bool         { return s != "" && strings.Trim(s, "0123456789") == "" }

// foldedASCII compares whatever the case of ASCII letters, and of those only.
func foldedASCII(s, lower string) bool { return len(s) == len(lower) && strings.EqualFold(s, lower) }

// isAuthority is `uri-host [ ":" port ]` (RFC 9110 §7.2), without userinfo (§4.2.4).
func isAuthority(s string) bool {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	if n, err := strconv.ParseUint("0"+port, 10, 64); err != nil || n > 65535 {
		return false
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return registeredName.MatchString(host)
}
