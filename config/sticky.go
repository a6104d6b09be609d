package config

import (
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Hash says what `balance: hash` takes the key of a request from. A request without it goes by its client's address, as
// all do with the zero value.
type Hash struct {
	Cookie string
	Header string // in lower case
}

// Sticky says how clients are brought back to the backend that served them first.
type Sticky struct {
	Cookie     string        // its name
	TTL        time.Duration // how long it is good after it was set; 0: as long as the client keeps it
	Keep       bool          // in drain a backend still takes those who are pinned to it, for KeepFor
	KeepFor    time.Duration
	SecretFile string // whose content signs it; empty: the secret that Sluice keeps in its state
	Secret     []byte // what is in SecretFile; empty without one, and after Parse
}

const (
	hash      = "hash"
	hashFix   = "write hash: client, hash: {cookie: session}, or hash: {header: X-User}"
	stickyFix = "write sticky: NAME, or sticky: {cookie: NAME}"

	defaultCookie = "sluice"
	move, keep    = "move", "keep"
	session       = "session" // the word for a TTL that the client decides
	// longestCookie is above what anybody calls a cookie; it is sent with each request.
	longestCookie = 64
	// leastTTL is what a Max-Age can say.
	leastTTL = time.Second
	// leastSecret is the length of the hash that it is used with; a shorter one would be the easier thing to guess.
	leastSecret = 32
)

var errShort = fmt.Errorf("it holds less than %d bytes", leastSecret)

func (v value) balance(to *string) { v.word(to, leastRequests, roundRobin, hash) }

// hash reads the word client, or a mapping with one key.
func (v value) hash(to *Hash) {
	if v.node.Kind != yaml.MappingNode {
		if text, ok := v.text(); ok && text != "client" {
			v.refuse(hashFix, "%s is %s, which is not known", v.title(), show(text))
		}
		return
	}
	ok := v.object(hashFix, fields{
		"cookie": func(v value) { v.cookieName(&to.Cookie) },
		"header": func(v value) { v.headerName(&to.Header) },
	})
	if ok && to.Cookie != "" && to.Header != "" {
		v.refuse("keep one of the two", "%s has `cookie` and `header`, and a request has one key", v.title())
	}
}

// cookieName reads a token (RFC 6265 §4.1.1, RFC 9110 §5.6.2).
func (v value) cookieName(to *string) {
	text, ok := v.text()
	switch {
	case !ok:
	case !isToken(text) || len(text) > longestCookie:
		v.refuse("use up to 64 letters, digits, dashes and underscores", "%s cannot be the name of a cookie", show(text))
	default:
		*to = text
	}
}

// headerName refuses what is in another place than the fields by the time it is looked for.
func (v value) headerName(to *string) {
	text, ok := v.text()
	name := strings.ToLower(text)
	switch {
	case !ok:
	case !isToken(text):
		v.refuse("write a name as X-User", "%s cannot be the name of a header", show(text))
	case name == "cookie":
		v.refuse("write hash: {cookie: NAME}", "the whole Cookie header changes with each of its cookies")
	case name == "host":
		v.refuse("leave `hash` out, or name a header that differs from client to client", "all requests of a service have the same few hosts")
	default:
		*to = name
	}
}

func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return r > 126 || !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

// readSticky reads the name of the cookie, or a mapping.
func (s *reading) readSticky(v value) {
	sticky := &Sticky{Cookie: defaultCookie}
	ok := true
	if v.node.Kind != yaml.MappingNode {
		v.cookieName(&sticky.Cookie)
	} else {
		ok = v.object(stickyFix, fields{
			"cookie":      func(v value) { v.cookieName(&sticky.Cookie) },
			"on_drain":    func(v value) { v.onDrain(sticky) },
			"keep_for":    func(v value) { s.keepFor = &v; v.duration(&sticky.KeepFor, 0, longestWait) },
			"ttl":         func(v value) { v.ttl(&sticky.TTL) },
			"secret_file": func(v value) { v.secretFile(sticky) },
		})
	}
	if ok {
		s.Sticky, s.sticky = sticky, &v
	}
}

func (v value) onDrain(to *Sticky) {
	word := move
	v.word(&word, move, keep)
	to.Keep = word == keep
}

func (v value) ttl(to *time.Duration) {
	if v.node.Value != session {
		v.duration(to, leastTTL, longestWait)
	}
}

// secret is a file that a service wants read.
type secret struct {
	value
	sticky *Sticky
}

func (v value) secretFile(sticky *Sticky) {
	if text, ok := v.text(); ok {
		sticky.SecretFile = v.in.beside(text)
		v.in.secrets = append(v.in.secrets, secret{v, sticky})
	}
}

// readSecrets fills in what stands in files of its own.
func (in *input) readSecrets() {
	for _, s := range in.secrets {
		data, err := readAtMost(s.sticky.SecretFile, maxToken)
		text := strings.TrimSpace(string(data))
		if err == nil && len(text) < leastSecret {
			err = errShort
		}
		if err != nil {
			s.refuse("make one: openssl rand -hex 32 > "+s.sticky.SecretFile, "cannot read the secret from %s: %s",
				show(s.sticky.SecretFile), reason(err)).cause = err
			continue
		}
		s.sticky.Secret = []byte(text)
	}
}

// checkBalance refuses what does not go together.
func (s *reading) checkBalance() {
	if s.hash != nil && s.Balance != hash {
		s.hash.refuseKey("add balance: hash, or remove it", "`hash` is for `balance: hash`")
	}
	if s.Sticky == nil {
		return
	}
	if s.Sticky.Cookie == s.Hash.Cookie {
		s.sticky.refuse("give one of the two another name", "the cookie %s is Sluice's own, and cannot be what `hash` goes by", show(s.Sticky.Cookie))
	}
	switch {
	case s.keepFor != nil && !s.Sticky.Keep:
		s.keepFor.refuseKey("add on_drain: keep, or remove it", "`keep_for` is for `on_drain: keep`")
	case s.keepFor == nil && s.Sticky.Keep:
		s.Sticky.KeepFor = s.Drain.Timeout
	}
	// Clients take a __Host- cookie only with Path=/ (RFC 6265bis §4.1.3.2).
	if strings.HasPrefix(strings.ToLower(s.Sticky.Cookie), "__host-") && s.Path != "/" {
		s.sticky.refuse("leave out the __Host-", "clients take the cookie %s for the path / only, and the path of this service is %s",
			show(s.Sticky.Cookie), show(s.Path))
	}
}
