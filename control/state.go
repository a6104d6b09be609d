package control

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"sluice/config"
	"sluice/healthcheck"
)

// State is what the operator wants and what the checks have found, at one moment. It and all it reaches never changes:
// a Change returns a new one that shares what stayed the same.
type State struct {
	// Generation counts decisions. It is saved, so a script may hold on to it over a restart; a health verdict does not
	// raise it, so that no flap breaks that script.
	Generation uint64
	// Members counts the times that names have brought or taken backends. Like Generation it tells States apart, and like
	// health it is found and not decided.
	Members  uint64
	Services map[string]*Service
	Order    []string // names of the services as the file has them
	Leases   map[string]*Lease
	Digest   string // of the file this State was joined with
	// Rollouts has, for each service that was ever rolled, the record of the latest rollout. What is in it is none of our business.
	Rollouts map[string]json.RawMessage
	Keys     []usedKey // of the latest changes that were asked for with one
}

// Change is a pure step from one State to the next. It returns ErrUnchanged when the State already is as wanted, and a
// *Refusal when it must not be made. It leaves Generation alone.
type Change func(State) (State, error)

// ErrUnchanged is returned by a Change that has nothing to do.
var ErrUnchanged = errors.New("control: nothing to change")

// Service is one service in a State.
type Service struct {
	Name     string
	File     *config.Service // what holds: what the file says, or what a rollback brought back
	Written  *config.Service // what the file says
	Live     string          // the pool that takes the traffic
	Previous string          // the pool that took it before; empty: there was none
	Back     *Back           // the way to Previous; nil: there is none
	Restored *Restored       // what a rollback brought back beside Live; nil: nothing
	Decided  *Decision       // on Live; nil: nobody decided, the file's word holds
	Since    time.Time       // when Live became so
	Cause    Cause           // of that
	Retired  *Retirements    // releases that never serve again, oldest first
	Bake     *Bake           // of the latest flip that baked; nil: none did
	Paused   *Pause          // its new requests wait; nil: they do not
	Split    *Split          // other pools take shares of its new visitors; nil: none does
	Pools    []*Pool
}

// Pool is one pool in a State.
type Pool struct {
	Name     string
	File     *config.Pool // what the file says
	Named    []*Named     // the places in it that names fill
	Backends []*Backend   // of the file and of the names, in file order
}

// Key names a backend of one pool.
type Key struct{ Service, Pool, Backend string }

func (k Key) String() string { return k.Service + "/" + k.Pool + "/" + k.Backend }

// Backend is one backend in a State.
type Backend struct {
	Key
	Network, Dial string
	Name          string // which it came from, as "app:3000"; empty: it stands in the file itself
	Host          string // what checks call it by; empty: its address
	Gone          bool   // its name has it no more, and nothing else of the pool could take its traffic yet
	Weight, Max   int
	Admin         Admin
	Keep          time.Time    // in drain, until when those who are pinned to it are still taken; zero: they are moved
	Decided       *Decision    // on Admin; nil: nobody decided
	HealthPort    int          // which is checked; 0: that of Dial
	Retired       *Retirements // of its service
	Want          string       // the release it has to report; empty: any
	Health        healthcheck.Verdict
	Identity      Identity
	// Incarnation rises when all that was found so far no longer counts, as when an operator says that a server is ready
	// again: it was probably started anew in between.
	Incarnation uint64
	Risen       bool // it was up once in this incarnation
	Ejection    Ejection
}

// Decision is what an operator decided, and what the file said at that time. The file wins again once it says something else.
type Decision struct {
	Value   string    `json:"value"`
	Release string    `json:"release,omitempty"` // which the flip asked for: the backends have to go on reporting it
	File    string    `json:"file"`
	At      time.Time `json:"at"`
	Cause   Cause     `json:"cause"`
}

// Eligible reports whether the backend may take new requests once its pool is live.
func (b *Backend) Eligible() bool {
	return b.Admin == Ready && b.Health.State == healthcheck.Up && b.objection() == healthcheck.None && !b.Ejection.Out()
}

// Pool returns the pool of that name, or nil.
func (svc *Service) Pool(name string) *Pool {
	for _, p := range svc.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Backend returns the backend of that address, or nil.
func (p *Pool) Backend(address string) *Backend {
	for _, b := range p.Backends {
		if b.Key.Backend == address {
			return b
		}
	}
	return nil
}

// Backend returns the backend of that key, or nil.
func (s State) Backend(k Key) *Backend {
	svc := s.Services[k.Service]
	if svc == nil {
		return nil
	}
	if p := svc.Pool(k.Pool); p != nil {
		return p.Backend(k.Backend)
	}
	return nil
}

// takesTraffic reports whether new requests may come to the backend, health aside. While that is so its gate is open.
func (svc *Service) takesTraffic(b *Backend) bool {
	return svc.serves(b.Pool()) && (b.Admin == Ready || b.kept())
}

// Pool returns the name of the backend's pool.
func (b *Backend) Pool() string { return b.Key.Pool }

// Address returns the backend as the configuration writes it.
func (b *Backend) Address() string { return b.Key.Backend }

// backends calls yield for each backend of the State, in file order.
func (s State) backends(yield func(*Service, *Backend) bool) {
	for _, name := range s.Order {
		svc := s.Services[name]
		for _, p := range svc.Pools {
			for _, b := range p.Backends {
				if !yield(svc, b) {
					return
				}
			}
		}
	}
}

// with returns a State in which svc stands in the place of the service of its name.
func (s State) with(svc *Service) State {
	s.Services = maps.Clone(s.Services)
	s.Services[svc.Name] = svc
	return s
}

// with returns a Service in which b stands in the place of the backend of its key.
func (svc *Service) with(b *Backend) *Service {
	p := svc.Pool(b.Pool())
	if p == nil {
		next := *svc
		return &next
	}
	return svc.withPool(p.with(b))
}

// withPool returns a Service in which p stands in the place of the pool of its name.
func (svc *Service) withPool(p *Pool) *Service {
	next := *svc
	next.Pools = slices.Clone(svc.Pools)
	for i, old := range next.Pools {
		if old.Name == p.Name {
			next.Pools[i] = p
		}
	}
	return &next
}

func (p *Pool) with(b *Backend) *Pool {
	next := *p
	next.Backends = slices.Clone(p.Backends)
	for i, old := range next.Backends {
		if old.Key == b.Key {
			next.Backends[i] = b
		}
	}
	return &next
}

// fromFile is the State that the file alone asks for.
func fromFile(cfg *config.Config, at time.Time, cause Cause) State {
	s := State{Services: map[string]*Service{}, Digest: cfg.Digest}
	for i := range cfg.Services {
		svc := serviceFromFile(&cfg.Services[i])
		svc.Since, svc.Cause = at, cause
		s.Services[svc.Name] = svc
		s.Order = append(s.Order, svc.Name)
	}
	return s
}

func serviceFromFile(file *config.Service) *Service {
	svc := &Service{Name: file.Name, File: file, Written: file, Live: file.Live}
	for i := range file.Pools {
		svc.Pools = append(svc.Pools, poolFromFile(&file.Pools[i]).gather(file.Name))
	}
	return svc.judged()
}

func poolFromFile(file *config.Pool) *Pool {
	p := &Pool{Name: file.Name, File: file}
	for i := range file.Backends {
		if b := &file.Backends[i]; b.Name != (config.Name{}) {
			p.Named = append(p.Named, &Named{File: b})
		}
	}
	return p
}
