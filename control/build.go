package control

import (
	"time"

	"sluice/config"
	"sluice/drain"
	"sluice/http1"
	"sluice/proxy"
	"sluice/upstream"
)

// built is what stands for a State in the data plane. It never changes: the next one is built beside it and shares what
// stayed the same, so that a build that is not used has touched nothing.
type built struct {
	generation uint64
	members    uint64
	snapshot   *proxy.Snapshot
	services   map[string]*builtService
	endpoints  map[address]*upstream.Endpoint // one for each address that the State mentions
}

type address struct{ network, dial string }

// builtService is one service, with a Backend and so an open gate for each backend that takes traffic or can be seen. One that is
// down is among them: down only leaves the choice of the pool, what is inside may finish.
type builtService struct {
	from    *Service
	service *proxy.Service
	open    map[Key]*upstream.Backend
	ties    ties
	stays   map[Key]stay // of those that new requests go to
	pools   map[string]*upstream.Pool
	parting *parting // how it is split; nil: it is not
}

// builder holds what builds share.
type builder struct {
	options  upstream.Options
	suspect  func()                     // a request failed: there may be somebody to eject
	counters map[string]*proxy.Counters // one for each service name there ever was; only added to
	figures  map[poolKey]*proxy.Figures // the same for each pool
	rooms    map[string]*proxy.Room     // the same
	lines    map[string]*upstream.Queue // the same
	secret   []byte                     // signs the cookies of services without one of their own
	passes   *proxy.Passes
	now      func() time.Time
}

func newBuilder(o Options, suspect func()) *builder {
	cfg, clock := o.Config, o.Clock
	return &builder{
		secret: o.Secret, now: o.Now, suspect: suspect, passes: proxy.NewPasses(config.PreviewCookie, o.Secret),
		options: upstream.Options{Queues: &o.Proxy.Queues, Clock: clock, Connect: cfg.Timeouts.Connect, Idle: cfg.Timeouts.BackendIdle, Limits: &http1.Limits{
			Head: cfg.Limits.HeadBytes, Fields: cfg.Limits.Fields, Target: cfg.Limits.TargetBytes, Trailers: cfg.Limits.TrailerBytes,
		}},
		counters: map[string]*proxy.Counters{}, figures: map[poolKey]*proxy.Figures{}, rooms: map[string]*proxy.Room{}, lines: map[string]*upstream.Queue{},
	}
}

// build returns what stands for s, with the gates and endpoints of old where they go on.
func (bd *builder) build(s State, old *built) (*built, error) {
	next := &built{generation: s.Generation, members: s.Members, services: make(map[string]*builtService, len(s.Services))}
	next.endpoints = bd.endpoints(s, old)
	list := make([]*proxy.Service, 0, len(s.Order))
	for _, name := range s.Order {
		one := old.services[name]
		if svc := s.Services[name]; one == nil || one.from != svc {
			one = bd.service(svc, one, next.endpoints)
		}
		next.services[name] = one
		list = append(list, one.service)
	}
	var err error
	next.snapshot, err = proxy.NewSnapshot(s.Generation, list)
	return next, err
}

// endpoints keeps an endpoint for as long as any backend names its address. Only a decision or a name can change that.
func (bd *builder) endpoints(s State, old *built) map[address]*upstream.Endpoint {
	if old.generation == s.Generation && old.members == s.Members && old.endpoints != nil {
		return old.endpoints
	}
	next := make(map[address]*upstream.Endpoint, len(old.endpoints))
	for _, b := range s.backends {
		at := address{b.Network, b.Dial}
		if next[at] != nil {
			continue
		}
		if next[at] = old.endpoints[at]; next[at] == nil {
			next[at] = upstream.NewEndpoint(b.Network, b.Dial, bd.options)
		}
	}
	return next
}

func (bd *builder) service(svc *Service, old *builtService, endpoints map[address]*upstream.Endpoint) *builtService {
	one := &builtService{from: svc, open: map[Key]*upstream.Backend{}, ties: bd.ties(svc, old), stays: bd.stays(svc, old), pools: map[string]*upstream.Pool{}}
	for _, p := range svc.Pools {
		if svc.serves(p.Name) {
			one.pools[p.Name] = upstream.NewPoolAfter(old.pool(p.Name), p.Name, balance(svc.File.Balance), bd.choice(p, one, old, endpoints))
		}
	}
	bd.openAside(one, old, endpoints)
	one.parting = bd.parting(svc, old)
	gap := svc.gap()
	one.service = &proxy.Service{
		Name: svc.Name, Hosts: svc.File.Hosts, Path: svc.File.Path,
		Live:     one.pools[svc.Live],
		Split:    one.split(),
		Before:   one.before(),
		Sticky:   one.ties.sticky,
		HashBy:   proxy.HashBy(svc.File.Hash),
		Drain:    policy(svc.File),
		Retry:    retryAfter(svc.File.Health.Interval),
		Most:     int64(svc.File.MaxBody),
		Queue:    proxy.Queueing{Requests: svc.File.Queue.Requests, Wait: svc.File.Queue.Wait},
		Line:     bd.line(svc.Name),
		Resend:   &proxy.Resend{Attempts: svc.File.Retry.Attempts, Share: float64(svc.File.Retry.Budget) / 100},
		Counters: bd.counter(svc.Name),
		Figures:  bd.figuresOf(svc),
		Hold:     gap.hold, Planned: gap.planned, Check: checkedPath(&svc.File.Health), Holds: holdsOf(&svc.File.Hold), Room: bd.room(svc.Name),
	}
	one.service.Previews = bd.previews(one)
	return one
}

// choice opens the gates of a pool's backends, and returns those that new requests may go to.
func (bd *builder) choice(p *Pool, one, old *builtService, endpoints map[address]*upstream.Endpoint) (choice []*upstream.Backend) {
	for _, b := range p.Backends {
		if !one.from.takesTraffic(b) {
			continue
		}
		up := bd.place(one.from.File, b, old.at(b.Key), endpoints[address{b.Network, b.Dial}], one.ties, one.stays[b.Key])
		one.open[b.Key] = up
		if _, chosen := one.stays[b.Key]; chosen || b.keeps() {
			choice = append(choice, up)
		}
	}
	return choice
}

// at returns the Backend that had an open gate before, or nil.
func (one *builtService) at(k Key) *upstream.Backend {
	if one == nil {
		return nil
	}
	return one.open[k]
}

// pool returns the pool of that name that took requests before, or nil.
func (one *builtService) pool(name string) *upstream.Pool {
	if one == nil {
		return nil
	}
	return one.pools[name]
}

// place returns the backend's place in a pool that requests go to. It goes on with the gate it had; one that comes back gets a new one.
func (bd *builder) place(file *config.Service, b *Backend, old *upstream.Backend, endpoint *upstream.Endpoint, t ties, s stay) *upstream.Backend {
	next := upstream.Backend{
		Endpoint: endpoint, Service: b.Service, Pool: b.Pool(), Name: b.Address(),
		Release: b.Health.Release, Weight: b.Weight, Max: b.Max, PinnedOnly: b.kept(),
		Watch: s.watch, Warming: s.warming, Files: folderOf(file, b, old),
	}
	t.bind(&next, old, bd.now())
	if old == nil {
		next.Gate = drain.NewGate()
		return &next
	}
	next.Gate = old.Gate
	if *old == next {
		return old
	}
	return &next
}

func (bd *builder) counter(service string) *proxy.Counters {
	if bd.counters[service] == nil {
		bd.counters[service] = &proxy.Counters{}
	}
	return bd.counters[service]
}

func (bd *builder) line(service string) *upstream.Queue {
	if bd.lines[service] == nil {
		bd.lines[service] = bd.options.Queues.NewQueue()
	}
	return bd.lines[service]
}

func policy(file *config.Service) drain.Policy {
	return drain.Policy{Timeout: file.Drain.Timeout, Stream: file.Drain.Stream, WebSocket: file.Drain.WebSocket}
}

// retryAfter is when it is worth asking again: after the next check, in whole seconds as the field has them.
func retryAfter(interval time.Duration) time.Duration {
	return max(time.Second, (interval + time.Second - 1).Truncate(time.Second))
}

// leaver is a gate that admits nobody any more and may still have somebody inside.
type leaver struct {
	Key
	gate     *drain.Gate
	endpoint *upstream.Endpoint
	release  string       // which its backend reported last
	since    time.Time    // when it was closed
	policy   drain.Policy // by which it is emptied
}

// gone returns what had an open gate in old and has not the same one in next.
func (old *built) gone(next *built) []leaver {
	var all []leaver
	for name, was := range old.services {
		is := next.services[name]
		if is == was {
			continue
		}
		for k, up := range was.open {
			if now := is.at(k); now == nil || now.Gate != up.Gate {
				all = append(all, leaver{Key: k, gate: up.Gate, endpoint: up.Endpoint, release: up.Release})
			}
		}
	}
	return all
}

func (l leaver) left() bool { return l.gate.Closed() && l.gate.Inside() == 0 }
