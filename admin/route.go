package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// route is one call: a method, a path whose segments in braces stand for anything, and the arguments it knows. Paths
// match exactly: nothing is cleaned, redirected or guessed, so that no two spellings reach one call.
type route struct {
	method string
	path   []string
	known  []string
	open   bool // there are others, which depend on what is asked about
	serve  func(http.ResponseWriter, *http.Request, arguments) error
}

func (s *Server) table() []route {
	waits := []string{"wait", "timeout", "stream", "limit"}
	change := append(append([]string{"by", "note"}, waits...), "commit")
	drains := append(slices.Clone(change), "max_cut") // what may cut something, and have a bound on it
	inside := []string{"limit", "pool", "backend", "draining"}
	table := []route{
		call("GET /healthz", nil, s.healthz),
		call("GET /metrics", nil, s.metrics),
		call("GET /v1/status", nil, s.status),
		call("GET /v1/services/{service}", nil, s.service),
		call("GET /v1/inside", []string{"limit", "pool", "draining"}, s.inside),
		call("GET /v1/services/{service}/inside", inside, s.inside),
		call("GET /v1/history", []string{"service", "limit", "verify", "head"}, s.history),
		call("GET /v1/operations/{id}", append(slices.Clone(waits), "max_cut"), s.operation),
		call("POST /v1/services/{service}/flip", append([]string{"pool", "release", "patience", "force", "bake"}, drains...), s.flip),
		call("POST /v1/services/{service}/rollback", append([]string{"release", "force"}, drains...), s.rollback),
		call("GET /v1/services/{service}/bake", waits, s.bake),
		call("POST /v1/services/{service}/pause", append([]string{"for"}, change...), s.pause),
		call("POST /v1/services/{service}/resume", change, s.resume),
		call("POST /v1/services/{service}/preview", []string{"pool", "for", "by", "note", "commit"}, s.preview),
		call("POST /v1/services/{service}/retire", []string{"release", "wait", "by", "note", "commit"}, s.retire),
		call("GET /v1/services/{service}/hold/{release}", []string{"window"}, s.holdRelease),
		call("GET /v1/leases", nil, s.leases),
		call("PUT /v1/leases/{name}", []string{"release", "ttl", "service", "by"}, s.putLease),
		call("DELETE /v1/leases/{name}", nil, s.dropLease),
		call("POST /v1/stop", change, s.stop),
	}
	for _, verb := range []string{"drain", "ready", "maint"} {
		known := append([]string{"rollout", "min_available"}, drains...)
		if verb == "ready" {
			known = append([]string{"rollout", "release"}, change...)
		}
		table = append(table,
			call("POST /v1/services/{service}/backends/{backend}/"+verb, append([]string{"pool"}, known...), s.setAdmin(verb)),
			call("POST /v1/services/{service}/backends/{pool}/{backend}/"+verb, known, s.setAdmin(verb)))
	}
	return append(append(table, s.splitCall(drains)), s.rolloutCalls()...)
}

func call(pattern string, known []string, serve func(http.ResponseWriter, *http.Request, arguments) error) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{method: method, path: strings.Split(path[1:], "/"), known: known, serve: serve}
}

// match returns what the placeholders stand for.
func (t route) match(segments []string) (values []string, ok bool) {
	if len(segments) != len(t.path) {
		return nil, false
	}
	for i, want := range t.path {
		switch {
		case want[0] == '{' && segments[i] != "":
			values = append(values, segments[i])
		case want != segments[i]:
			return nil, false
		}
	}
	return values, true
}

// segments splits before it unescapes, so that %2F in the name of a backend stays within its segment.
func segments(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if p := s.guard.check(r); p != nil {
		s.refuse(w, p)
		return
	}
	if err := s.dispatch(w, r); err != nil {
		s.refuse(w, err)
	}
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) error {
	parts, err := segments(r.URL)
	if err != nil {
		return badArgument("the path is malformed: "+err.Error(), "escape it as in %2F")
	}
	var allowed []string
	for _, t := range s.routes {
		values, ok := t.match(parts)
		if !ok {
			continue
		}
		if t.method != r.Method && !(t.method == http.MethodGet && r.Method == http.MethodHead) {
			allowed = append(allowed, t.method)
			continue
		}
		args, err := readArguments(r, t, values)
		if err != nil {
			return err
		}
		return t.serve(w, r, args)
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(slices.Compact(allowed), ", "))
		return problem(http.StatusMethodNotAllowed, "method", fmt.Sprintf("%s is not for %s", r.URL.Path, r.Method), "ask with "+allowed[0])
	}
	return problem(http.StatusNotFound, "path", "there is no call "+r.URL.Path, "the calls are listed in docs/api.md")
}

// stampHeader says which generation an answer is of. As an ETag it can be sent back in If-Match unchanged.
func (s *Server) stampHeader(h http.Header) {
	generation := strconv.FormatUint(s.opts.Controller.Generation(), 10)
	h.Set("ETag", `"`+generation+`"`)
	h.Set("Sluice-Generation", generation)
}

// ifMatch reads the generation that the caller has seen. RFC 9110 §13.1.1 allows "*" and a list of quoted tags; a bare
// number is taken as well, because that is what a person types.
func ifMatch(r *http.Request) (*uint64, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	if text == "" || text == "*" {
		return nil, nil
	}
	n, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(text, "W/"), `"`), 10, 64)
	if err != nil {
		return nil, badArgument(fmt.Sprintf("If-Match is %q", text), "send the number of one generation, as Sluice-Generation tells it")
	}
	return &n, nil
}
