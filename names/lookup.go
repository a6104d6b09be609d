package names

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// mostAttempts is how often each server is asked. The watch asks again anyway.
	mostAttempts = 3
	// maxHops bounds a chain of CNAMEs. Resolvers give up at 8 to 16.
	maxHops = 12
	// hostsTTL stands for the lifetime that a line in the hosts file has not.
	hostsTTL = 5 * time.Second
)

// lookup is one Resolve: whom it asks, and what it has learnt on its way.
type lookup struct {
	ctx context.Context
	*Resolver
	system
	ttl  time.Duration // the shortest so far
	from string        // who answered last
}

func (r *Resolver) lookup(ctx context.Context) *lookup {
	l := &lookup{ctx: ctx, Resolver: r, ttl: math.MaxInt64}
	if len(r.opts.Servers) > 0 {
		// The search list belongs to the servers of the same file; with others each name is complete.
		l.system = system{servers: r.opts.Servers, attempts: 2, timeout: r.opts.Timeout}
		return l
	}
	l.system = r.conf.read()
	l.timeout = min(l.timeout, r.opts.Timeout)
	return l
}

// lives takes the lifetime of a record into account.
func (l *lookup) lives(h *dns.RR_Header) {
	ttl := time.Duration(h.Ttl) * time.Second
	if h.Ttl > math.MaxInt32 {
		// "Implementations should treat TTL values received with the most significant bit set as if the entire value
		// received was zero." (RFC 2181 §8)
		ttl = 0
	}
	l.ttl = min(l.ttl, ttl)
}

// host finds the addresses of a host.
func (l *lookup) host(host string, port uint16) ([]Address, error) {
	found, err := l.addresses(host)
	all := make([]Address, len(found))
	for i, addr := range found {
		all[i] = Address{At: netip.AddrPortFrom(addr, port), Weight: 1}
	}
	return all, err
}

func (l *lookup) addresses(host string) ([]netip.Addr, error) {
	if found := l.inHosts(host); len(found) > 0 {
		l.ttl, l.from = min(l.ttl, hostsTTL), l.opts.HostsFile
		return found, nil
	}
	var found []netip.Addr
	err := l.search(host, func(full string) (err error) {
		found, err = l.ofFamily(full)
		return err
	})
	return found, err
}

func (l *lookup) inHosts(host string) []netip.Addr {
	all := l.hosts.read()[plain(host)]
	fours := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return !a.Is4() })
	sixes := slices.DeleteFunc(slices.Clone(all), netip.Addr.Is4)
	switch l.opts.Family {
	case IPv4:
		return fours
	case IPv6:
		return sixes
	case Both:
		return slices.Clone(all)
	}
	if len(fours) > 0 {
		return fours
	}
	return sixes
}

// search tries what a name may be short for, until one of them is there. It ends where a server cannot say: what could
// not be asked for is not "absent", and the next in the list would be another host.
func (l *lookup) search(host string, try func(full string) error) error {
	var first error
	for _, full := range l.candidates(host) {
		err := try(full)
		if !absent(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// candidates are the names to try, as resolv.conf(5) has it: one with at least ndots dots is tried as it is first.
func (l *lookup) candidates(host string) []string {
	whole := dns.Fqdn(host)
	if strings.HasSuffix(host, ".") {
		return []string{whole}
	}
	var all []string
	for _, domain := range l.system.search {
		if full := whole + strings.TrimPrefix(dns.Fqdn(domain), "."); fits(full) {
			all = append(all, full)
		}
	}
	if strings.Count(host, ".") >= l.ndots {
		return append([]string{whole}, all...)
	}
	return append(all, whole)
}

func fits(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok
}

func (l *lookup) ofFamily(full string) ([]netip.Addr, error) {
	switch l.opts.Family {
	case IPv4:
		return l.ask(full, dns.TypeA)
	case IPv6:
		return l.ask(full, dns.TypeAAAA)
	case Both:
		return l.askBoth(full)
	}
	found, err := l.ask(full, dns.TypeA)
	if absent(err) {
		return l.ask(full, dns.TypeAAAA)
	}
	return found, err
}

// askBoth fails when one of the two could not be asked: the half that came would take the other half out of traffic.
func (l *lookup) askBoth(full string) ([]netip.Addr, error) {
	fours, err4 := l.ask(full, dns.TypeA)
	if err4 != nil && !absent(err4) {
		return nil, err4
	}
	sixes, err6 := l.ask(full, dns.TypeAAAA)
	switch {
	case err6 != nil && !absent(err6):
		return nil, err6
	case err4 != nil && err6 != nil:
		return nil, err4
	}
	return append(fours, sixes...), nil
}

func (l *lookup) ask(full string, kind uint16) ([]netip.Addr, error) {
	records, err := l.records(full, kind)
	var all []netip.Addr
	for _, rr := range records {
		ip := addressOf(rr)
		if addr, ok := netip.AddrFromSlice(ip); ok {
			all = append(all, addr.Unmap())
		}
	}
	return all, err
}

func addressOf(rr dns.RR) []byte {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A
	case *dns.AAAA:
		return rr.AAAA
	}
	return nil
}

// records returns what a name has of one kind. It follows CNAMEs, also those that the server has not followed itself.
func (l *lookup) records(name string, kind uint16) ([]dns.RR, error) {
	name = dns.CanonicalName(name)
	for range maxHops {
		msg, err := l.exchange(name, kind)
		if err != nil {
			return nil, err
		}
		found, end := l.chase(msg, name, kind)
		switch {
		case len(found) > 0:
			return found, nil
		case msg.Rcode == dns.RcodeNameError:
			return nil, &Failure{What: "no such name: NXDOMAIN from " + l.from, Absent: true}
		case end == name:
			return nil, &Failure{What: "no address: an empty answer from " + l.from, Absent: true}
		case end == "":
			return nil, l.endless()
		}
		name = end
	}
	return nil, l.endless()
}

func (l *lookup) endless() error {
	return &Failure{What: "its CNAMEs do not end (from " + l.from + ")"}
}

// chase goes from name along the CNAMEs of one message. It returns the records at the end, or where the end is;
// empty: there is none. Records of other names are looked at by nobody.
func (l *lookup) chase(msg *dns.Msg, name string, kind uint16) (found []dns.RR, end string) {
	for range maxHops {
		next := ""
		for _, rr := range msg.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != name {
				continue
			}
			if cname, ok := rr.(*dns.CNAME); ok && kind != dns.TypeCNAME {
				l.lives(h)
				next = dns.CanonicalName(cname.Target)
			} else if h.Rrtype == kind {
				l.lives(h)
				found = append(found, rr)
			}
		}
		if len(found) > 0 || next == "" {
			return found, name
		}
		name = next
	}
	return nil, ""
}
