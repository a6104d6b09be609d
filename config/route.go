package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Route is one way into a service.
type Route struct {
	Host    string // lower case, "*.example.com" for any one label; empty: any host
	Path    string // a prefix that ends at a segment
	Service string
	Pool    string // the pool that starts live
}

// Routes returns every route in the order in which they are tried: exact hosts, then wildcards, then any host, and the
// longest path first within each.
func (c *Config) Routes() []Route {
	var all []Route
	for _, s := range c.Services {
		hosts := s.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			all = append(all, Route{host, s.Path, s.Name, s.Live})
		}
	}
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Host, b.Host),
			cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path))
	})
	return all
}

func (r Route) rank() int {
	switch {
	case r.Host == "":
		return 2
	case strings.HasPrefix(r.Host, "*."):
		return 1
	}
	return 0
}

const hostFix = "write a name as example.com or \"*.example.com\", without scheme, port and path"

func (s *reading) readHosts(v value) {
	for _, item := range v.list("remove it: a service without `hosts` takes any host") {
		text, ok := item.text()
		if !ok {
			continue
		}
		host, problem := parseRouteHost(text)
		if problem != "" {
			item.refuse(hostFix, "%s is no host: %s", show(text), problem)
			continue
		}
		s.Hosts = append(s.Hosts, host)
		s.hosts = append(s.hosts, item)
	}
}

func parseRouteHost(text string) (string, string) {
	switch {
	case text == "*":
		return "", "leave out `hosts` to take any host"
	case strings.Contains(text, "://"):
		return "", "it has a scheme"
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		host, problem := parseHost(text[1 : len(text)-1])
		return "[" + host + "]", problem
	case strings.Contains(text, ":"):
		return "", "it has a port, or is an IPv6 address without brackets"
	}
	rest, wild := strings.CutPrefix(text, "*.")
	if strings.Contains(rest, "*") {
		return "", "a star stands for the whole first part, as in *.example.com"
	}
	host, problem := parseHost(rest)
	if wild {
		host = "*." + host
	}
	return host, problem
}

func (v value) routePath(to *string) {
	text, ok := v.text()
	if !ok {
		return
	}
	if problem := checkPath(text); problem != "" {
		v.refuse("write a prefix such as /api; it takes /api and all below it", "%s is no path: %s", show(text), problem)
		return
	}
	*to = cmp.Or(strings.TrimSuffix(upperEscapes(text), "/"), "/")
}

// checkPath says why no request could ever match: what is routed on is compared byte by byte, and paths with dot
// segments are refused before.
func checkPath(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "it does not begin with /"
	case strings.ContainsAny(path, "?#"):
		return "a query or fragment is not part of it"
	case strings.Contains(path, "*"):
		return "it is a prefix and has no star"
	case strings.Contains(path, "//"):
		return "it has an empty segment"
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return "it has a dot segment"
		}
	}
	return checkPathBytes(path)
}

func checkPathBytes(path string) string {
	for i, r := range path {
		switch {
		case r == '%' && !isEscape(path[i:]):
			return "% is not followed by two hexadecimal digits"
		case r == ';':
			return "servers do not agree on what `;` means"
		case r == '%' && !isPlainEscape(path[i:]):
			return show(path[i:i+3]) + " is read in different ways, or is written without %"
		case r == '%' || isAlphanumeric(r) || strings.ContainsRune("/-._~!$&'()+,;=:@", r):
		default:
			return show(string(r)) + " has to be written as % and two hexadecimal digits"
		}
	}
	return ""
}

func isEscape(s string) bool {
	const hex = "0123456789abcdefABCDEF"
	return len(s) >= 3 && strings.IndexByte(hex, s[1]) >= 0 && strings.IndexByte(hex, s[2]) >= 0
}

// isPlainEscape reports an escape that each server reads alike and that has no other form: of a space, or of a byte beyond
// ASCII.
func isPlainEscape(s string) bool {
	v, err := strconv.ParseUint(s[1:3], 16, 8)
	return err == nil && (v == ' ' || v >= 0x80)
}

// upperEscapes writes escapes as those of requests are written when they are routed.
func upperEscapes(path string) string {
	b := []byte(path)
	for i := range b {
		if b[i] == '%' {
			copy(b[i:i+3], strings.ToUpper(path[i:i+3]))
		}
	}
	return string(b)
}

// claimRoutes refuses a route that another service has, or this one has already.
func (s *reading) claimRoutes(v value) {
	if len(s.hosts) == 0 {
		at := v
		if s.path != nil {
			at = *s.path
		}
		s.claim("", at, v.refuseKey)
	}
	for i, item := range s.hosts {
		s.claim(s.Hosts[i], item, item.refuse)
	}
}

func (s *reading) claim(host string, v value, refuse func(fix, problem string, args ...any) *Error) {
	route := Route{Host: host, Path: s.Path}
	name := cmp.Or(host, "any host") + " " + s.Path
	switch first, taken := v.in.routes[route]; {
	case !taken:
		v.in.routes[route] = s.Name
	case first == s.Name:
		refuse("keep one of the two", "%s is given twice", show(host))
	default:
		refuse("give one of them another path or host", "services %s and %s have the same route: %s", show(first), show(s.Name), name)
	}
}
