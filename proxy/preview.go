package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"sluice/message"
	"sluice/upstream"
)

// Preview makes a Service what testers see of one of its pools, live or not, in the place of what visitors see.
type Preview struct {
	Hosts  []string // lower case, exact; where the route of no other service reaches
	Doors  []string // the listeners that lead here, by Peer.Door
	Passes *Passes  // which lead here from the service's own hosts; nil: none do
	Live   bool     // the pool takes the service's traffic at the moment
	none   *Error
}

// NewPreview returns the preview of a pool of a service: Live is that pool. Its requests never wait and are never sent
// elsewhere, and counters are those of the previews.
func NewPreview(of *Service, p Preview, pool *upstream.Pool, counters *Counters) *Service {
	p.none = &Error{
		Status: 503, Fault: ByOperator, Type: destinationUnavailable,
		What: fmt.Sprintf("no backend of pool %s is ready; this is its preview, and nothing else is shown in its place", pool.Name),
	}
	return &Service{
		Name: of.Name, Hosts: of.Hosts, Path: of.Path, Live: pool, Drain: of.Drain, Retry: of.Retry, Most: of.Most, Resend: of.Resend,
		Sticky: of.Sticky, HashBy: of.HashBy, Counters: counters, Preview: &p,
	}
}

// addPreviews makes the ways to the previews of a service.
func (s *Snapshot) addPreviews(svc *Service) error {
	for _, one := range svc.Previews {
		if one.Counters == nil {
			one.Counters = &Counters{}
		}
		if err := one.takePath(); err != nil {
			return err
		}
		for _, host := range one.Preview.Hosts {
			if err := s.at(host).add(one); err != nil {
				return err
			}
		}
		for _, door := range one.Preview.Doors {
			if s.doors == nil {
				s.doors = map[string]*Snapshot{}
			}
			if s.doors[door] == nil {
				s.doors[door] = &Snapshot{any: &paths{}}
			}
			if err := s.doors[door].any.add(one); err != nil {
				return err
			}
		}
		if t := one.Preview.Passes; t != nil {
			s.passes = t
		}
	}
	return nil
}

// behind is the snapshot of what a listener leads to: those of visitors lead to all but previews.
func (s *Snapshot) behind(door string) *Snapshot {
	if door == "" {
		return s
	}
	if one := s.doors[door]; one != nil {
		return one
	}
	return &Snapshot{any: &paths{}}
}

// preview is where the client's pass leads, or svc itself.
func (ex *Exchange) preview(s *Snapshot, svc *Service) *Service {
	if s.passes == nil {
		return svc
	}
	if ex.wallet.by != s.passes {
		ex.takePasses(s.passes)
	}
	for _, t := range ex.wallet.good {
		if t.service != svc.Name || svc.Preview != nil {
			continue
		}
		if one := svc.shows(t.pool); one != nil {
			return one
		}
	}
	return svc
}

// shows returns the preview of a pool that passes lead to, or nil.
func (s *Service) shows(pool string) *Service {
	for _, one := range s.Previews {
		if one.Preview.Passes != nil && one.Live.Name == pool {
			return one
		}
	}
	return nil
}

// nobody is what a request is refused with that finds no backend.
func (s *Service) nobody() *Error {
	if s.Preview != nil {
		return s.Preview.none
	}
	return errNoBackend
}

var (
	namePreview  = []byte("Sluice-Preview")
	nameRobots   = []byte("X-Robots-Tag")
	valueNoIndex = []byte("noindex")
	valueNobody  = []byte("private, no-store")
)

// mark says of the answer of a preview that it is one, and of an answer of the live pool why it is none although the client
// has a pass.
func (ex *Exchange) mark(h *message.Head) {
	switch svc := ex.Service; {
	case svc == nil:
	case svc.Preview != nil:
		unkept(h)
		h.Add(message.Lookup(namePreview), namePreview, []byte(ex.previewText(svc)))
		if h.Status != 101 {
			h.Add(message.CacheControl, nameCacheControl, valueNobody)
			h.Add(message.Lookup(nameRobots), nameRobots, valueNoIndex)
		}
	case ex.wallet.by != nil && svc.hasPasses() && ex.wallet.vain(svc) != "":
		h.Add(message.Lookup(namePreview), namePreview, []byte("none; reason="+ex.wallet.vain(svc)))
		keepPrivate(h)
	}
}

// vain is why the passes lead nowhere; empty: there are none for this service.
func (w *wallet) vain(svc *Service) string {
	for _, t := range w.good {
		if t.service == svc.Name {
			return "gone" // the pool, or its preview by cookie
		}
	}
	return map[brought]string{expiredPin: "expired", forgedPin: "invalid"}[w.bad]
}

// previewText is a pool with its parameters, as a structured field has them (RFC 8941 §3.3).
func (ex *Exchange) previewText(svc *Service) string {
	text := svc.Live.Name
	if b := ex.Backend; b != nil && b.Release != "" {
		text += "; release=" + itemText(b.Release)
	}
	if svc.Preview.Live {
		text += "; live"
	}
	return text
}

// itemText writes a word as it is, and other text in quotes (RFC 8941 §3.3.3).
func itemText(s string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
	if quoted == s && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(";,=()", r) }) < 0 {
		return s
	}
	return `"` + strings.ToValidUTF8(quoted, "?") + `"`
}

// unkept takes out what an app tells caches. Behind a host of visitors, a cache that keeps the answer of a preview would hand
// it to all of them; and behind one of testers, it would show what was there before a flip. Caches are addressed by fields of
// their own too (RFC 9213 §2).
func unkept(h *message.Head) {
	if h.Status == 101 {
		return
	}
	keepFields(h, func(f *message.Field) bool {
		return f.ID != message.CacheControl && !bytes.EqualFold(f.Name, []byte("expires")) && !forCaches(f.Name)
	})
}

func forCaches(name []byte) bool {
	const general = "-cache-control"
	if n := len(name) - len(general); n >= 0 && message.EqualFold(name[n:], general) {
		return true
	}
	return message.EqualFold(name, "surrogate-control") || message.EqualFold(name, "x-accel-expires")
}
