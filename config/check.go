package config

import (
	"maps"
	"slices"
	"strings"
)

// The protocols of a check, and what may become of a live backend that reports another release than before.
const (
	checkHTTP = "http"
	checkTCP  = "tcp"
	checkGRPC = "grpc"

	quarantine = "quarantine"
	untilReady = "until_ready"
	accept     = "accept"
)

const maxPort = 65535

// ofTypes are the keys of `health` that not every type of check has a use for.
var ofTypes = map[string][]string{
	"path": {checkHTTP}, "expect": {checkHTTP}, "release": {checkHTTP}, "on_change": {checkHTTP}, "schema": {checkHTTP},
	"host": {checkHTTP, checkGRPC}, "app_drain": {checkHTTP, checkGRPC}, "service": {checkGRPC},
}

// noting keeps each value in given as well as it is read.
func noting(given map[string]value, of fields) fields {
	all := make(fields, len(of))
	for key, read := range of {
		all[key] = func(v value) { given[key] = v; read(v) }
	}
	return all
}

// refuseForeign refuses keys that a check of that type has no use for.
func refuseForeign(given map[string]value, kind string) {
	for _, key := range slices.Sorted(maps.Keys(ofTypes)) {
		if v, ok := given[key]; ok && !slices.Contains(ofTypes[key], kind) {
			v.refuseKey("remove it, or check with type: "+ofTypes[key][0], "a check of type %s has no `%s`", kind, key)
		}
	}
}

// onlyOfType leaves what a check of that type has a use for, so that no default stands where none is used.
func (h *Health) onlyOfType() {
	if h.Type != checkHTTP {
		h.Path, h.Release, h.Expect, h.OnChange, h.Schema = "", "", Expect{}, accept, false
	}
	if h.Type == checkTCP {
		h.Host, h.AppDrain = "", false
	}
}

func (v value) onOff(to *bool) {
	word := ""
	if v.word(&word, "on", "off"); word != "" {
		*to = word == "on"
	}
}

// checkService reads the name of a gRPC service: words with dots between them.
func (v value) checkService(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	wrong := strings.IndexFunc(text, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._-/", r) })
	if text == "" || len(text) > 255 || wrong >= 0 {
		v.refuse("write service: shop.v1.Cart, or leave it out to ask about the server as a whole", "%s is no name of a gRPC service", show(text))
		return
	}
	*to = text
}

// poolRelease reads the release that the backends of a pool have to report. What they report is shortened and freed of
// what cannot be printed, so nothing else could ever match.
func (v value) poolRelease(to *string) {
	const most = 64
	text, ok := v.text()
	switch {
	case !ok:
	case text == "" || len(text) > most || strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0:
		v.refuse("write release: v42, as the backends report it", "%s cannot be the name of a release: up to %d printable characters without a space can", show(text), most)
	default:
		*to = text
	}
}

// checkChecks looks at what `health`, pools and backends say together.
func (s *reading) checkChecks() {
	for _, v := range s.releases {
		if s.Health.Release == "" && !s.allStatic() {
			v.refuseKey("remove it, or let the checks read one: health: {path: /health, release: version}",
				"no check of this service reads a release, so that no backend could ever have this one")
		}
	}
	for i := range s.Pools {
		for j := range s.Pools[i].Backends {
			s.fillPort(&s.Pools[i].Backends[j])
		}
	}
}

// fillPort gives a backend the service's port for checks.
func (s *reading) fillPort(b *Backend) {
	switch {
	case s.Health.Port == 0 || b.Network == NetworkRoot:
	case b.Network == "unix":
		s.health.refuse("leave out port; a unix socket is checked where it is", "`port` of the checks: %s is a unix socket and has none", show(b.Address))
	case b.HealthPort == 0:
		b.HealthPort = s.Health.Port
	}
}
