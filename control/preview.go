package control

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/config"
	"sluice/proxy"
	"sluice/upstream"
)

// idle is the pool that is not live, where there is one such; else empty.
func (svc *Service) idle() string {
	if len(svc.Pools) != 2 {
		return ""
	}
	if svc.Pools[0].Name == svc.Live {
		return svc.Pools[1].Name
	}
	return svc.Pools[0].Name
}

// sights are where a pool can be seen at the moment although it need not be live.
type sights struct {
	hosts  []string
	doors  []config.Door
	cookie bool
}

func (s sights) any() bool { return len(s.hosts)+len(s.doors) > 0 || s.cookie }

func (svc *Service) sights(pool string) (s sights) {
	for _, p := range svc.File.Previews() {
		shown := p.Pool
		if shown == "" {
			shown = svc.idle()
		}
		if shown == pool {
			s.hosts, s.doors = append(s.hosts, p.Hosts...), append(s.doors, p.Ports...)
		}
	}
	s.cookie = svc.File.Preview != nil && svc.File.Preview.Cookie
	return s
}

func (svc *Service) isSeen(pool string) bool { return svc.sights(pool).any() }

// openAside opens the gates of backends that take no visitors, but requests of previews, or for assets of the release before.
// One that took visitors until now gets a new gate: the drain of those who are inside goes by the old one, and is not held up
// by testers. One that is to take visitors next goes on with its gate.
//
//	flip blue → green      live      aside
//	before                 blue 1    green 2
//	after                  green 2   blue 3     and 1 is drained
func (bd *builder) openAside(one, old *builtService, endpoints map[address]*upstream.Endpoint) {
	svc := one.from
	for _, p := range svc.Pools {
		if !svc.isSeen(p.Name) && !svc.answersAssets(p.Name) {
			continue
		}
		for _, b := range p.Backends {
			if one.open[b.Key] == nil && b.Admin == Ready {
				t := ties{sticky: one.ties.sticky}
				one.open[b.Key] = bd.place(svc.File, b, old.aside(b.Key), endpoints[address{b.Network, b.Dial}], t, stay{})
			}
		}
	}
}

// aside returns the Backend that had an open gate before and took no visitors, or nil.
func (one *builtService) aside(k Key) *upstream.Backend {
	if one == nil || one.from.serves(k.Pool) {
		return nil
	}
	return one.open[k]
}

// previews are those of each pool that can be seen.
func (bd *builder) previews(one *builtService) (all []*proxy.Service) {
	svc := one.from
	for _, p := range svc.Pools {
		s := svc.sights(p.Name)
		if !s.any() {
			continue
		}
		look := proxy.Preview{Hosts: s.hosts, Live: p.Name == svc.Live}
		for _, d := range s.doors {
			look.Doors = append(look.Doors, d.Name)
		}
		if s.cookie {
			look.Passes = bd.passes
		}
		all = append(all, proxy.NewPreview(one.service, look, one.asidePool(p, true), bd.counter(svc.Name+previewCounter)))
	}
	return all
}

// previewCounter tells the counters of previews from those of visitors: no service has a name with a space.
const previewCounter = " preview"

// asidePool is a choice among the backends of a pool for requests that are no visitors'. How those fare says nothing of how
// visitors would.
func (one *builtService) asidePool(p *Pool, pins bool) *upstream.Pool {
	var list []*upstream.Backend
	for _, b := range p.Backends {
		if up := one.open[b.Key]; up != nil && b.Eligible() {
			aside := *up
			aside.Watch, aside.Warming, aside.Load, aside.PinnedOnly = nil, nil, nil, false
			if !pins {
				aside.ID, aside.Pins = 0, nil
			}
			list = append(list, &aside)
		}
	}
	by := balance(one.from.File.Balance)
	if by == upstream.Hash {
		by = upstream.LeastRequests // a table is for many
	}
	return upstream.NewPool(p.Name, by, list)
}

// PreviewStatus is what the previews of a service answered since the process began.
type PreviewStatus struct {
	Requests int64    `json:"requests"`
	Status   [6]int64 `json:"status"` // by first digit; 0: no answer
	Lost     int64    `json:"lost"`
}

func (v *view) previewed(svc *Service) *PreviewStatus {
	one := v.built.services[svc.Name]
	if len(one.service.Previews) == 0 {
		return nil
	}
	n := one.service.Previews[0].Counters
	out := &PreviewStatus{Lost: n.Lost.Load()}
	for i := range n.Status {
		out.Status[i] = n.Status[i].Load()
		out.Requests += out.Status[i]
	}
	return out
}

// places are the sights as people write them: "green.example.com/", "http://127.0.0.1:8081/", "cookie".
func (svc *Service) places(pool string) (all []string) {
	s := svc.sights(pool)
	for _, host := range s.hosts {
		all = append(all, host+svc.File.Path)
	}
	for _, d := range s.doors {
		all = append(all, doorURL(d)+svc.File.Path)
	}
	if s.cookie {
		all = append(all, "cookie")
	}
	return all
}

func doorURL(d config.Door) string { return d.Scheme + "://" + spoken(d.Address) }

// spoken is an address to listen on as one to connect to from this machine.
func spoken(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// PreviewWant is which pool is to be seen by cookie, and for how long.
type PreviewWant struct {
	Pool string        // empty: the one that is not live
	For  time.Duration // zero: DefaultPreview
}

const (
	// DefaultPreview is enough for a round of clicks, and soon over for who finds the link in a chat.
	DefaultPreview = time.Hour
	// LongestPreview only catches a slip.
	LongestPreview = 7 * 24 * time.Hour
)

// PreviewPass is how a pool of a service can be seen.
type PreviewPass struct {
	Service string   `json:"service"`
	Pool    string   `json:"pool"`
	Live    bool     `json:"live"` // it is so already
	Release string   `json:"release,omitempty"`
	Places  []string `json:"places,omitempty"` // hosts and ports that show it
	// Links set the cookie and lead to the service, each on another of its hosts; End takes the cookie back. Without a host of
	// the service that is known they begin with a slash.
	Links  []string       `json:"links,omitempty"`
	End    []string       `json:"end,omitempty"`
	Cookie *PreviewCookie `json:"cookie,omitempty"`
	Until  *time.Time     `json:"until,omitempty"` // of cookie and links
}

// PreviewCookie is for clients that are no browsers.
type PreviewCookie struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Preview tells how a pool can be seen, and makes a pass for the cookie. That it was made is in the history; the pass is not.
func (c *Controller) Preview(service string, want PreviewWant, cause Cause) (PreviewPass, error) {
	s := c.State()
	svc, err := s.find(service, nil)
	if err != nil {
		return PreviewPass{}, err
	}
	pool, err := svc.toPreview(want.Pool)
	if err != nil {
		return PreviewPass{}, err
	}
	out := PreviewPass{Service: svc.Name, Pool: pool.Name, Live: pool.Name == svc.Live, Release: pool.releases(), Places: svc.places(pool.Name)}
	if !svc.sights(pool.Name).cookie {
		return out, nil
	}
	if want.For <= 0 {
		want.For = DefaultPreview
	}
	out.Places = slices.DeleteFunc(out.Places, func(p string) bool { return p == "cookie" })
	until := c.opts.Now().Add(min(want.For, LongestPreview)).Truncate(time.Second)
	token := c.builder.passes.Issue(svc.Name, pool.Name, until)
	out.Until, out.Cookie = &until, &PreviewCookie{c.builder.passes.Cookie(), token}
	for _, base := range c.bases(svc) {
		out.Links = append(out.Links, base+proxy.PreviewPath+"?token="+url.QueryEscape(token))
		out.End = append(out.End, base+proxy.PreviewEnd)
	}
	cause = cause.whole("preview")
	text := fmt.Sprintf("a pass to the preview of %s/%s until %s", svc.Name, pool.Name, until.UTC().Format(time.RFC3339))
	c.append(c.entry("preview", s.Generation, svc.Name, cause, text))
	c.tell(Event{Time: c.opts.Now(), Kind: "preview", Service: svc.Name, Pool: pool.Name, Text: text, Cause: &cause, Generation: s.Generation})
	return out, nil
}

func (svc *Service) toPreview(pool string) (*Pool, error) {
	if pool == "" && svc.File.Preview != nil {
		pool = svc.File.Preview.Pool
	}
	if pool == "" {
		pool = svc.idle()
	}
	if pool == "" {
		return nil, svc.ambiguousPreview()
	}
	p, err := svc.find(pool)
	if err == nil && !svc.isSeen(pool) {
		return nil, &Refusal{
			Kind: "conflict",
			What: fmt.Sprintf("pool %s of %s has no preview", pool, svc.Name),
			Hint: fmt.Sprintf("write `preview: {cookie: true}` under service %s in the file and start Sluice again; or a host or a port", svc.Name),
		}
	}
	return p, err
}

func (svc *Service) ambiguousPreview() error {
	var names []string
	for _, p := range svc.Pools {
		if p.Name != svc.Live {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("service %s has one pool, and that is live", svc.Name), Hint: "give it a second pool in the file"}
	}
	return &Refusal{
		Kind: "conflict",
		What: fmt.Sprintf("service %s has more than one pool that is not live", svc.Name),
		Hint: "name one with --pool: " + strings.Join(names, ", "),
	}
}

// bases are the beginnings of URLs that lead to a service, as far as the file tells: behind another proxy they are others.
func (c *Controller) bases(svc *Service) (all []string) {
	for _, host := range svc.File.Hosts {
		if !strings.HasPrefix(host, "*.") {
			all = append(all, c.base(host))
		}
	}
	if len(svc.File.Hosts) == 0 {
		all = append(all, c.base(""))
	}
	if len(all) == 0 {
		all = append(all, "")
	}
	return all
}

// base prefers https, where a cookie is Secure. A service of any host is found at the listener's own address.
func (c *Controller) base(host string) string {
	listen := c.opts.Config.Listen
	at := max(0, slices.IndexFunc(listen, func(l config.Listener) bool { return l.Scheme == "https" }))
	own, port, _ := net.SplitHostPort(spoken(listen[at].Address))
	if port == "0" { // which the kernel has chosen
		return ""
	}
	if host == "" {
		host = own
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	if usual := map[string]string{"http": "80", "https": "443"}[listen[at].Scheme]; port != usual {
		host += ":" + port
	}
	return listen[at].Scheme + "://" + host
}
