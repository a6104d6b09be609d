package config

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

const healthFix = "write health: /up, health: off, health: tcp, or health: {path: /up, interval: 2s}"

// leastInterval keeps a slip of the unit from turning checks into a flood.
const leastInterval = 10 * time.Millisecond

func (v value) health(h *Health) {
	*h = givenHealth()
	if v.node.Kind == yaml.MappingNode {
		v.healthFields(h)
		return
	}
	text, ok := v.text()
	switch {
	case !ok:
	case text == "off":
		*h = Health{Off: true}
	case text == checkTCP, text == checkGRPC:
		h.Type = text
		h.onlyOfType()
	case strings.HasPrefix(text, "/"):
		v.checkPath(&h.Path)
	default:
		v.refuse(healthFix, "`health` is %s, which is neither a path nor `off`, `tcp` or `grpc`", show(text))
	}
}

func (v value) healthFields(h *Health) {
	given := map[string]value{}
	v.object(healthFix, noting(given, fields{
		"type":          func(v value) { v.word(&h.Type, checkHTTP, checkTCP, checkGRPC) },
		"path":          func(v value) { v.checkPath(&h.Path) },
		"host":          func(v value) { v.checkHost(&h.Host) },
		"service":       func(v value) { v.checkService(&h.Service) },
		"port":          wholeField(&h.Port, 1, maxPort),
		"interval":      durationField(&h.Interval, leastInterval, longestWait),
		"timeout":       durationField(&h.Timeout, leastInterval, longestWait),
		"fast_interval": durationField(&h.FastInterval, leastInterval, longestWait),
		"rise":          wholeField(&h.Rise, 1, 100),
		"fall":          wholeField(&h.Fall, 1, 100),
		"expect":        func(v value) { v.expect(&h.Expect) },
		"release":       func(v value) { v.release(&h.Release) },
		"on_change":     func(v value) { v.word(&h.OnChange, quarantine, untilReady, accept) },
		"app_drain":     func(v value) { v.onOff(&h.AppDrain) },
		"schema":        func(v value) { v.onOff(&h.Schema) },
	}))
	refuseForeign(given, h.Type)
	h.onlyOfType()
	switch fast, ok := given["fast_interval"]; {
	case !ok:
		h.FastInterval = fastInterval(h.Interval)
	case h.FastInterval > h.Interval:
		fast.refuse("lower fast_interval or raise interval", "`fast_interval` is longer than `interval`, which is %s", showDuration(h.Interval))
	}
}

// checkPath reads what a check asks for: a path that may have a query.
func (v value) checkPath(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	path, query, _ := strings.Cut(text, "?")
	problem := checkPath(path)
	if problem == "" {
		problem = checkPathBytes(strings.ReplaceAll(query, "?", "/"))
	}
	if problem != "" {
		v.refuse("write a path such as /health or /up?full=1", "%s is no path to check: %s", show(text), problem)
		return
	}
	*to = text
}

func (v value) checkHost(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	host := text
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host = text[:i]
		if _, problem := parsePort(text[i+1:]); problem != "" {
			host = ""
		}
	}
	if _, problem := parseRouteHost(host); problem != "" || strings.Contains(host, "*") {
		v.refuse("write a name as app.example.com, with a port or without", "%s is no host", show(text))
		return
	}
	*to = text
}

func (v value) release(to *string) {
	text, ok := v.text()
	switch {
	case !ok:
	case text == "off":
		*to = ""
	case text == "" || strings.ContainsAny(text, " \t\n") || strings.Contains("."+text+".", ".."):
		v.refuse("write release: version, a dotted path as app.version, or off", "%s is no name of a JSON field", show(text))
	default:
		*to = text
	}
}

func (v value) expect(e *Expect) {
	v.object("write expect: {status: 200, json: {status: ok}}", fields{
		"status": func(v value) { v.statuses(&e.Status) },
		"json":   func(v value) { v.expectJSON(&e.JSON) },
	})
}

func (v value) statuses(to *[]StatusRange) {
	const fix = "write 200, 2xx, 200-399, or a list of these"
	var all []StatusRange
	for _, item := range v.list(fix) {
		text, ok := item.text()
		if !ok {
			continue
		}
		r, ok := parseStatus(text)
		if !ok {
			item.refuse(fix, "%s is no status code or range of codes", show(text))
			continue
		}
		all = append(all, r)
	}
	if len(all) > 0 {
		*to = all
	}
}

// parseStatus reads a final status: a 1xx is never the answer to a check.
func parseStatus(text string) (r StatusRange, ok bool) {
	low, high, isRange := strings.Cut(text, "-")
	if class, found := strings.CutSuffix(text, "xx"); found {
		low, high, isRange = class+"00", class+"99", true
	}
	if !isRange {
		high = low
	}
	var errLow, errHigh error
	r.Low, errLow = strconv.Atoi(low)
	r.High, errHigh = strconv.Atoi(high)
	return r, errLow == nil && errHigh == nil && 200 <= r.Low && r.Low <= r.High && r.High <= 599
}

func (v value) expectJSON(to *map[string]any) {
	fields := map[string]any{}
	v.mapping("write json: {status: ok}", func(key string, field value) { fields[key] = field.json() })
	if len(fields) > 0 {
		*to = fields
	}
}

// json returns the value as JSON has it: nil, bool, string, a number, a list, or a map.
func (v value) json() any {
	switch v.node.Kind {
	case yaml.MappingNode:
		fields := map[string]any{}
		if len(v.node.Content) > 0 {
			v.mapping("", func(key string, field value) { fields[key] = field.json() })
		}
		return fields
	case yaml.SequenceNode:
		list := make([]any, 0, len(v.node.Content))
		for _, n := range v.node.Content {
			list = append(list, value{v.in, v.name, nil, n}.json())
		}
		return list
	}
	return v.jsonScalar()
}

func (v value) jsonScalar() any {
	var plain any
	err := v.node.Decode(&plain)
	switch plain.(type) {
	case nil, bool, int, int64, uint64, string:
	case float64:
		// .inf and .nan are numbers to YAML and not to JSON.
		_, err = json.Marshal(plain)
	default:
		// A date is text to JSON, and it was written as text.
		plain = v.node.Value
	}
	if err != nil {
		v.refuse("put it in quotes to compare it as text", "%s has no JSON form", show(v.node.Value))
	}
	return plain
}
