package proxy

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sluice/message"
)

// PreviewPath is where a link sets the cookie that leads to a preview, by ?token=PASS, and PreviewEnd where it is taken
// back. On hosts of services with such previews the two are Sluice's own (RFC 8615 §3).
const (
	PreviewPath = "/.well-known/sluice/preview"
	PreviewEnd  = PreviewPath + "/end"
)

// errLink is no failure: the request is one that a link to a preview made.
var errLink = &Error{Status: 303, What: "a link to a preview"}

// asksLink reports a request that is for Sluice itself.
func (ex *Exchange) asksLink(s *Snapshot) bool {
	path := ex.Request.Path()
	return len(path) >= len(PreviewPath) && (string(path) == PreviewPath || string(path) == PreviewEnd) && ex.Peer.Door == "" && len(s.passable(ex.Request.Authority)) > 0
}

// passable are the services on a host that have previews by pass.
func (s *Snapshot) passable(authority []byte) (all []*Service) {
	for _, svc := range s.rooms {
		if svc.Previews != nil && svc.hasPasses() && s.Route(authority, []byte(svc.Path)) == svc {
			all = append(all, svc)
		}
	}
	return all
}

func (s *Service) hasPasses() bool {
	return slices.ContainsFunc(s.Previews, func(one *Service) bool { return one.Preview.Passes != nil })
}

// answerLink sets the cookie, or takes it back, and sends the browser to the service. What is asked for here counts for no
// service.
func (ex *Exchange) answerLink(s *Snapshot) *Error {
	if ex.openLink(s) != nil {
		return errGone
	}
	return nil
}

func (ex *Exchange) openLink(s *Snapshot) error {
	ex.Service = nil
	if method := string(ex.Request.Method); method != http.MethodGet && method != http.MethodHead {
		return ex.say(http.StatusMethodNotAllowed, nameAllow, valueReads, "a link to a preview is opened with GET")
	}
	here := s.passable(ex.Request.Authority)
	if string(ex.Request.Path()) == PreviewEnd {
		return ex.endPreview(s.passes, here)
	}
	_, query, _ := bytes.Cut(ex.Request.Target, []byte("?"))
	values, _ := url.ParseQuery(string(query))
	one, what := s.passes.read([]byte(values.Get("token")), ex.Began)
	switch i := slices.IndexFunc(here, func(svc *Service) bool { return svc.Name == one.service && svc.shows(one.pool) != nil }); {
	case what == expiredPin:
		return ex.forbid("this link to a preview has expired; ask for another: sluice preview " + one.service)
	case what != goodPin:
		return ex.forbid("this link to a preview was not made here; ask for one: sluice preview SERVICE")
	case i < 0:
		return ex.forbid("this link is to pool " + one.pool + " of service " + one.service + ", which has no preview on this host; ask for another: sluice preview " + one.service)
	default:
		return ex.redirect(here[i].Path, ex.passCookie(s.passes, here[i].Path, values.Get("token"), one.until.Sub(ex.Began)))
	}
}

func (ex *Exchange) forbid(what string) error { return ex.say(http.StatusForbidden, nil, nil, what) }

// endPreview takes the cookies of all services on the host back.
func (ex *Exchange) endPreview(t *Passes, here []*Service) error {
	var cookies []string
	to := "/"
	for _, svc := range here {
		cookies = append(cookies, ex.passCookie(t, svc.Path, "", 0))
		if len(here) == 1 {
			to = svc.Path
		}
	}
	return ex.redirect(to, cookies...)
}

// passCookie goes with navigation from other sites, where links to a preview are passed around, and with no other request
// of theirs.
func (ex *Exchange) passCookie(t *Passes, path, token string, left time.Duration) string {
	text := t.cookie + "=" + token + "; Path=" + path + "; Max-Age=" + strconv.FormatInt(max(0, int64(left/time.Second)), 10) + "; HttpOnly; SameSite=Lax"
	if bytes.HasPrefix(ex.Request.Get(message.XForwardedProto), schemeHTTPS) {
		text += "; Secure"
	}
	return text
}

var (
	nameReferrer    = []byte("Referrer-Policy")
	valueNoReferrer = []byte("no-referrer")
)

// redirect answers so that the address with the pass stays in no history, cache or Referer.
func (ex *Exchange) redirect(to string, cookies ...string) error {
	h := &ex.response
	h.Reset()
	h.Status, h.Reason = http.StatusSeeOther, reason(http.StatusSeeOther)
	ex.put(h, nameLocation, to)
	for _, c := range cookies {
		h.Add(message.SetCookie, nameSetCookie, []byte(c))
	}
	h.Add(message.ContentType, nameContentType, valueText)
	h.Add(message.CacheControl, nameCacheControl, valueNoStore)
	h.Add(message.Lookup(nameReferrer), nameReferrer, valueNoReferrer)
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	ex.addDate(h)
	ex.Status = h.Status
	if ex.answer(h, []byte("303 See Other: "+to+"\n")) != nil {
		return errGone
	}
	return nil
}
