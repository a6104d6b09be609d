package proxy

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"time"

	"sluice/drain"
	"sluice/message"
	"sluice/upstream"
)

// Snapshot is what the data plane reads: which service a request is for, and which pool takes it. It never changes, and
// the garbage collector owns it. Make one with NewSnapshot.
type Snapshot struct {
	Generation uint64
	exact      map[string]*paths // by host in lower case
	wildcard   map[string]*paths // by what follows the first dot: "example.com" for *.example.com
	any        *paths
	rooms      map[*Room]*Service
	doors      map[string]*Snapshot // what listeners for previews lead to
	passes     *Passes              // which lead to previews; nil: none do
}

// Service is one service in a Snapshot.
type Service struct {
	Name  string
	Hosts []string // lower case; "*.example.com" is any one label before example.com; none: any host
	Path  string   // a prefix that ends at a segment: "/api" is for "/api" and "/api/x", not for "/apis"
	Live  *upstream.Pool
	Drain drain.Policy  // how long what is cut by Sluice's own exit may take
	Retry time.Duration // what Retry-After says when no backend is ready
	Most  int64         // bytes of a request body; 0 is no limit

	Resend *Resend // nil: as usual
	Queue  Queueing
	Line   *upstream.Queue // where it waits; nil: none does

	Before *Before // nil: there is no release before that could be asked for assets

	Split  *Split  // nil: each new request goes to Live
	Sticky *Sticky // nil: a client goes where the balance takes it
	HashBy HashBy  // what upstream.Hash goes by
	*Counters
	Figures []*Figures // of each of its pools; NewSnapshot makes those of the live one where there are none

	Hold    bool   // requests wait in Room: the service is paused, or nobody is there who could take them and it asks for that
	Planned bool   // and that is the operator's doing
	Check   string // the path that is answered while they do; empty: none
	Holds   Holds
	Room    *Room // NewSnapshot makes one where there is none

	Preview  *Preview   // of a service that is a preview; nil: visitors come here
	Previews []*Service // of its pools

	plain string // Path without escapes
}

// exceeds reports a body of more bytes than the service takes.
func (s *Service) exceeds(bytes int64) bool { return s.Most > 0 && bytes > s.Most }

// paths are the services of one host, longest path first.
type paths []*Service

// NewSnapshot builds the routes, and brings each service's Path into the form that the paths of requests have. Two services
// with one host and path are an error.
func NewSnapshot(generation uint64, services []*Service) (*Snapshot, error) {
	s := &Snapshot{Generation: generation, exact: map[string]*paths{}, wildcard: map[string]*paths{}, any: &paths{}, rooms: map[*Room]*Service{}}
	for _, svc := range services {
		if svc.Counters == nil {
			svc.Counters = &Counters{}
		}
		if svc.Figures == nil && svc.Live != nil {
			svc.Figures = []*Figures{{Pool: svc.Live.Name}}
		}
		if svc.Resend == nil {
			svc.Resend = defaultResend
		}
		svc.budget.begin(time.Now())
		if svc.Room == nil {
			svc.Room = &Room{}
		}
		s.rooms[svc.Room] = svc
		if err := svc.takePath(); err != nil {
			return nil, err
		}
		if err := s.addRoutes(svc); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Snapshot) addRoutes(svc *Service) error {
	hosts := svc.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, host := range hosts {
		if err := s.at(host).add(svc); err != nil {
			return err
		}
	}
	return s.addPreviews(svc)
}

// takePath refuses a path that servers read in more ways than one: which requests are below it would be open. A service
// that an older snapshot has too is not written to: requests are reading it.
func (svc *Service) takePath() error {
	path, clarity := message.Canonical([]byte(svc.Path))
	if clarity != message.Clear {
		return fmt.Errorf("proxy: service %s: servers do not agree on how to read %s; give it a path without escaped signs, \";\" and \"//\"", svc.Name, svc.Path)
	}
	if plain := string(decode(bytes.Clone(path))); svc.Path != string(path) || svc.plain != plain {
		svc.Path, svc.plain = string(path), plain
	}
	return nil
}

func (s *Snapshot) at(host string) *paths {
	table, key := s.exact, strings.ToLower(host)
	switch {
	case host == "":
		return s.any
	case strings.HasPrefix(host, "*."):
		table, key = s.wildcard, key[2:]
	}
	if table[key] == nil {
		table[key] = &paths{}
	}
	return table[key]
}

func (p *paths) add(svc *Service) error {
	for _, other := range *p {
		if other.Path == svc.Path {
			return fmt.Errorf("proxy: services %s and %s have the same route; give one of them another path or host", other.Name, svc.Name)
		}
	}
	*p = append(*p, svc)
	sort.SliceStable(*p, func(i, j int) bool { return len((*p)[i].Path) > len((*p)[j].Path) })
	return nil
}

// maxHost is the longest host that is looked up; DNS allows no longer one.
const maxHost = 255

// Route finds the service for a request, or nil. Authority and path are in their canonical form. An exact host wins over
// a wildcard, and that over any host; a host whose services all have other paths falls through to the next, unless it is one
// of previews: what is not there is nowhere.
func (s *Snapshot) Route(authority, path []byte) *Service { return s.find(authority, path, false) }

// find goes by what a path means in place of how it is written, when it is decoded.
func (s *Snapshot) find(authority, path []byte, decoded bool) *Service {
	if len(s.exact) == 0 && len(s.wildcard) == 0 {
		return s.any.find(path, decoded)
	}
	host, _ := message.SplitPort(authority)
	if len(host) > 0 && len(host) <= maxHost {
		if here := s.exact[string(host)]; here != nil {
			if svc := here.find(path, decoded); svc != nil || (*here)[0].Preview != nil {
				return svc
			}
		}
		if dot := bytes.IndexByte(host, '.'); dot >= 0 {
			if svc := s.wildcard[string(host[dot+1:])].find(path, decoded); svc != nil {
				return svc
			}
		}
	}
	return s.any.find(path, decoded)
}

func (p *paths) find(path []byte, decoded bool) *Service {
	if p == nil {
		return nil
	}
	for _, svc := range *p {
		prefix := svc.Path
		if decoded {
			prefix = svc.plain
		}
		if under(path, prefix) {
			return svc
		}
	}
	return nil
}

// under reports whether path is prefix or below it, by whole segments.
func under(path []byte, prefix string) bool {
	n := len(prefix)
	switch {
	case n == 0, prefix == "/":
		return true
	case len(path) < n || string(path[:n]) != prefix:
		return false
	}
	return len(path) == n || path[n] == '/' || prefix[n-1] == '/'
}
