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
	*Counters
}

// exceeds reports a body of more bytes than the service takes.
func (s *Service) exceeds(bytes int64) bool { return s.Most > 0 && bytes > s.Most }

// paths are the services of one host, longest path first.
type paths []*Service

// NewSnapshot builds the routes. Two services with one host and path are an error.
func NewSnapshot(generation uint64, services []*Service) (*Snapshot, error) {
	s := &Snapshot{Generation: generation, exact: map[string]*paths{}, wildcard: map[string]*paths{}, any: &paths{}}
	for _, svc := range services {
		if svc.Counters == nil {
			svc.Counters = &Counters{}
		}
		hosts := svc.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			if err := s.at(host).add(svc); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
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

// Route finds the service for a request, or nil. An exact host wins over a wildcard, and that over any host; a host whose
// services all have other paths falls through to the next.
func (s *Snapshot) Route(authority, path []byte) *Service {
	if len(s.exact) == 0 && len(s.wildcard) == 0 {
		return s.any.find(path)
	}
	host, _ := message.SplitPort(authority)
	if len(host) > 0 && len(host) <= maxHost {
		var lower [maxHost]byte
		key := lower[:lowerInto(lower[:], host)]
		if svc := s.exact[string(key)].find(path); svc != nil {
			return svc
		}
		if dot := bytes.IndexByte(key, '.'); dot >= 0 {
			if svc := s.wildcard[string(key[dot+1:])].find(path); svc != nil {
				return svc
			}
		}
	}
	return s.any.find(path)
}

func lowerInto(dst, src []byte) int {
	for i, c := range src {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst[i] = c
	}
	return len(src)
}

func (p *paths) find(path []byte) *Service {
	if p == nil {
		return nil
	}
	for _, svc := range *p {
		if under(path, svc.Path) {
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
