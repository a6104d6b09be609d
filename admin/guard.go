package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard decides who may ask at all.
type guard struct {
	token [sha256.Size]byte // the digest, so that comparing tells nothing, not even the length
	set   bool
	hosts []string
}

func newGuard(token string, hosts []string) guard {
	return guard{token: sha256.Sum256([]byte(token)), set: token != "", hosts: hosts}
}

// check returns why the request is refused, or nil. A page in the operator's browser must not be able to use the API:
// browsers say where a request comes from, commands never do. On TCP the Host must be ours, which is what a page that has
// bent its own name to this address (DNS rebinding) cannot arrange, and the token must be there.
func (g guard) check(r *http.Request) *Problem {
	if r.Header.Get("Origin") != "" || !slices.Contains([]string{"", "same-origin", "none"}, r.Header.Get("Sec-Fetch-Site")) {
		return problem(http.StatusForbidden, "origin", "a web page may not use this API", "ask with a command or with curl, without an Origin field")
	}
	if peerOf(r.Context()).local {
		return nil
	}
	if !g.knows(r.Host) {
		return problem(http.StatusForbidden, "host", "the Host field is not a name of this API", "ask for 127.0.0.1 or localhost")
	}
	if r.URL.Path == "/healthz" {
		return nil
	}
	if !g.admits(r.Header.Get("Authorization")) {
		return problem(http.StatusUnauthorized, "token", "the token is missing or wrong", "send `Authorization: Bearer TOKEN`; the commands take it from SLUICE_ADMIN_TOKEN")
	}
	return nil
}

func (g guard) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return loopbackHost(host) || slices.Contains(g.hosts, host)
}

// admits compares in constant time. Without a token nobody comes in.
func (g guard) admits(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	same := subtle.ConstantTimeCompare(got[:], g.token[:]) == 1
	return g.set && same && strings.EqualFold(scheme, "Bearer")
}
