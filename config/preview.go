package config

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Preview says where a pool can be seen that need not be live.
type Preview struct {
	Pool   string   // empty: the one of the service's two pools that is not live
	Hosts  []string // lower case, exact
	Ports  []Door
	Cookie bool // also by a cookie, on the hosts of the service itself
}

// Door is a listener for previews. Those with one Name are one listener, and each service has its path there.
type Door struct {
	Listener
	Name string
}

const (
	previewFix     = "write preview: 127.0.0.1:8081, preview: green.example.com, or preview: {host: green.example.com, port: 127.0.0.1:8081, cookie: true}"
	previewPortFix = "write 127.0.0.1:8081 for this machine alone, or :8081 for all that reach it"
	// PreviewCookie is the name of the cookie that leads to a preview.
	PreviewCookie = "sluice-preview"
)

// sight is one host or port of a preview, with its place in the file.
type sight struct {
	value
	service, path string
	host          string
	door          *Door // nil: it is a host
}

func (s *reading) readPreview(v value) {
	p := &Preview{}
	s.Preview, s.preview = p, &v
	if v.node.Kind != yaml.MappingNode {
		v.hostsAndPorts(p)
		return
	}
	v.object(previewFix, fields{
		"host":   func(v value) { v.eachHost(p) },
		"port":   func(v value) { v.eachPort(p) },
		"cookie": func(v value) { v.yesNo(&p.Cookie) },
		"pool":   func(v value) { s.previewPool = &v },
	})
}

// poolPreview shows one pool, live or not.
func (v value) poolPreview(pool string) *Preview {
	p := &Preview{Pool: pool}
	if v.node.Kind != yaml.MappingNode {
		v.hostsAndPorts(p)
		return p
	}
	v.object("write preview: {host: green.example.com, port: 127.0.0.1:8081}", fields{
		"host": func(v value) { v.eachHost(p) },
		"port": func(v value) { v.eachPort(p) },
	})
	return p
}

// hostsAndPorts tells the two apart by the colon, which a host has in brackets only.
func (v value) hostsAndPorts(p *Preview) {
	for _, item := range v.list(previewFix) {
		text, ok := item.text()
		switch {
		case !ok:
		case strings.Contains(text, ":") && !strings.HasSuffix(text, "]"):
			item.previewPort(text, p)
		default:
			item.previewHost(text, p)
		}
	}
}

func (v value) eachHost(p *Preview) {
	for _, item := range v.list("write host: green.example.com") {
		if text, ok := item.text(); ok {
			item.previewHost(text, p)
		}
	}
}

func (v value) eachPort(p *Preview) {
	for _, item := range v.list("write port: 127.0.0.1:8081") {
		if text, ok := item.text(); ok {
			item.previewPort(text, p)
		}
	}
}

func (v value) previewHost(text string, p *Preview) {
	host, problem := parseRouteHost(text)
	_, number := parsePort(text)
	switch {
	case number == "":
		v.refuse("write :"+text+", or 127.0.0.1:"+text+" for this machine alone", "%s is no host: it is a port", show(text))
	case problem != "":
		v.refuse("write a name as green.example.com, without scheme, port and path", "%s is no host: %s", show(text), problem)
	case strings.HasPrefix(host, "*."):
		v.refuse("write one name, as green.example.com", "a preview has one host, and %s is many", show(text))
	default:
		p.Hosts = append(p.Hosts, host)
		v.in.sights = append(v.in.sights, sight{value: v, host: host})
	}
}

func (v value) previewPort(text string, p *Preview) {
	scheme, address, found := strings.Cut(text, "://")
	if !found {
		scheme, address = "http", text
	}
	host, port, problem := splitAddress(address, true)
	switch {
	case scheme != "http" && scheme != "https":
		v.refuse(previewPortFix, "a preview cannot speak %s", show(scheme))
		return
	case problem != "":
		v.refuse(previewPortFix, "%s is no address to listen on: %s", show(text), problem)
		return
	}
	if scheme == "https" && v.in.secure == nil {
		v.in.secure = &v
	}
	d := Door{Listener: Listener{Scheme: scheme, Network: "tcp", Address: net.JoinHostPort(host, strconv.Itoa(port))}}
	d.Name = d.Address
	if port == 0 { // the kernel gives each listener a port of its own
		d.Name += "#" + strconv.Itoa(len(v.in.sights))
	}
	p.Ports = append(p.Ports, d)
	v.in.sights = append(v.in.sights, sight{value: v, door: &d})
}

// yesNo reads true or false.
func (v value) yesNo(to *bool) {
	word := ""
	if v.word(&word, "true", "false"); word != "" {
		*to = word == "true"
	}
}

// checkPreview looks at what a preview and its service say together.
func (s *reading) checkPreview(v value) {
	s.takeSights(v)
	if s.Preview == nil {
		return
	}
	names := make([]string, len(s.Pools))
	for i, p := range s.Pools {
		names[i] = p.Name
	}
	p, named := s.Preview, ""
	if s.previewPool != nil {
		named, _ = s.previewPool.text()
	}
	switch {
	case len(names) == 1:
		s.preview.refuseKey("give the service a second pool: pools: {blue: […], green: […]}", "`preview` shows the pool that is not live, and there is only one")
	case named != "" && !slices.Contains(names, named):
		s.previewPool.refuse("write one of: "+strings.Join(names, ", "), "`pool` is %s, which is no pool of this service", show(named))
	case named == "" && len(names) > 2 && len(p.Hosts)+len(p.Ports) > 0:
		s.preview.refuseKey("write preview: {pool: "+names[1]+", …}, or give each pool its own: pools: {"+names[1]+": {backends: […], preview: …}}",
			"more than one pool of the service is not live, so it is open which one is shown")
	}
	p.Pool = named
	if p.Cookie && s.Sticky != nil && s.Sticky.Cookie == PreviewCookie {
		s.sticky.refuse("give `sticky` another name", "the cookie %s is that of previews", show(PreviewCookie))
	}
}

// takeSights says of the sights that were noted last whose they are.
func (s *reading) takeSights(v value) {
	for i := range v.in.sights {
		if one := &v.in.sights[i]; one.service == "" {
			one.service, one.path = s.Name, s.Path
		}
	}
}

// checkSights refuses hosts and ports of previews that are taken. What is asked for there must not be able to lead to what is
// live.
func (in *input) checkSights(c *Config) {
	first := map[Route]string{}
	for i := range in.sights {
		one := &in.sights[i]
		if !in.sightIsFree(c, one) {
			continue
		}
		at := Route{Host: one.place(), Path: one.path}
		switch other, taken := first[at]; {
		case !taken:
			first[at] = one.service
		case other == one.service:
			one.refuse("keep one of the two", "%s shows two pools of service %s", show(one.place()), show(other))
		default:
			one.refuse("give one of them another host or port, or another path", "services %s and %s have the same preview: %s%s", show(other), show(one.service), one.place(), one.path)
		}
	}
}

func (one *sight) place() string {
	if one.door != nil {
		return one.door.Name
	}
	return one.host
}

func (in *input) sightIsFree(c *Config, one *sight) bool {
	if one.door == nil {
		return one.hostIsFree(c)
	}
	for _, l := range c.Listen {
		if l.meets(one.door.Listener) {
			one.refuse("write another port", "%s is one of the addresses under `listen`", show(one.door.Address))
			return false
		}
	}
	if admin := (Listener{Address: c.Admin.Address}); c.Admin.Network == "tcp" && admin.meets(one.door.Listener) {
		one.refuse("write another port", "%s is where the admin API is", show(one.door.Address))
		return false
	}
	for i := range in.sights {
		other := &in.sights[i]
		if other == one {
			return true
		}
		if other.door != nil && other.door.Listener != one.door.Listener && other.door.meets(one.door.Listener) {
			one.refuse("write the same address in both places, or another port", "%s is taken by the preview at %s on line %d", show(one.door.Address), show(other.door.Address), other.node.Line)
			return false
		}
	}
	return true
}

func (one *sight) hostIsFree(c *Config) bool {
	for i := range c.Services {
		if s := &c.Services[i]; slices.Contains(s.Hosts, one.host) {
			one.refuse("give the preview a host of its own, as green.example.com", "%s is a host of service %s, whose visitors come by it", show(one.host), show(s.Name))
			return false
		}
	}
	return true
}

// meets reports that two listeners cannot be there at once: one port, and one address or one that stands for all.
func (l Listener) meets(other Listener) bool {
	host, port, _ := net.SplitHostPort(l.Address)
	otherHost, otherPort, _ := net.SplitHostPort(other.Address)
	return port == otherPort && port != "0" && (host == otherHost || isAny(host) || isAny(otherHost))
}

func isAny(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// Previews are those of a service and of its pools.
func (s *Service) Previews() (all []*Preview) {
	if s.Preview != nil {
		all = append(all, s.Preview)
	}
	for i := range s.Pools {
		if p := s.Pools[i].Preview; p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Doors are the listeners for previews, each once.
func (c *Config) Doors() (all []Door) {
	for i := range c.Services {
		for _, p := range c.Services[i].Previews() {
			for _, d := range p.Ports {
				if !slices.Contains(all, d) {
					all = append(all, d)
				}
			}
		}
	}
	return all
}

// PreviewRoutes are the ways to previews, in the order of the file. Host may be the address of a listener, and Pool is the one
// that is seen at the beginning.
func (c *Config) PreviewRoutes() (all []Route) {
	for i := range c.Services {
		s := &c.Services[i]
		for _, p := range s.Previews() {
			pool := cmp.Or(p.Pool, s.idle())
			for _, host := range p.Hosts {
				all = append(all, Route{host, s.Path, s.Name, pool})
			}
			for _, d := range p.Ports {
				all = append(all, Route{d.Scheme + "://" + d.Address, s.Path, s.Name, pool})
			}
		}
	}
	return all
}

func (s *Service) idle() string {
	for _, p := range s.Pools {
		if p.Name != s.Live {
			return p.Name
		}
	}
	return ""
}
