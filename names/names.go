// Package names finds the addresses that a name stands for, and looks again when their lifetime is over. It asks the DNS
// itself, because Go's own resolver hides how long an answer holds. It refuses to know pools and backends: what an
// address is used for, and what becomes of one that is gone.
package names

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Name is what an operator wrote in the place of an address.
type Name struct {
	Host    string // "app", "app.example.com"; of a service "_http._tcp.app.example.com"
	Port    uint16 // of each address; zero of a service, whose records say it
	Service bool   // SRV records are asked for
}

// String is the name as the configuration writes it.
func (n Name) String() string {
	if n.Service {
		return "srv:" + n.Host
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(int(n.Port)))
}

// Address is one of those that a name stands for.
type Address struct {
	At     netip.AddrPort
	Weight int    // its share beside the others of the name: 1, or 1 to 1000 where SRV records say it
	Target string // the host that a SRV record named; empty: the name's own
}

// Answer is what a name stands for.
type Answer struct {
	Addresses []Address     // in the order of the addresses, each once; never empty
	TTL       time.Duration // the shortest of all records that led to it
	From      string        // the server or file that said so
	More      int           // addresses beyond maxAddresses, which are not among Addresses
}

// Failure says why a name stands for nothing that could be used.
type Failure struct {
	What string
	// Absent means that the servers are sure: there is no such name, or it has no address. Else they could not say.
	Absent bool
}

func (f *Failure) Error() string { return f.What }

func absent(err error) bool {
	f, ok := err.(*Failure)
	return ok && f.Absent
}

// Family chooses among the two kinds of addresses that a name may have.
type Family string

const (
	Auto Family = "auto" // IPv4, and IPv6 where there is none: the two mostly lead to the same servers
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
	Both Family = "both" // each address counts as a server
)

// Options say whom to ask. The zero value asks as the system's files say.
type Options struct {
	Servers []string      // host:port; none: those of ResolvConf, with its search list
	Timeout time.Duration // for one question to one server; default 2 s
	Family  Family        // default Auto

	HostsFile  string // default /etc/hosts
	ResolvConf string // default /etc/resolv.conf
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Family = cmp.Or(o.Family, Auto)
	o.HostsFile = cmp.Or(o.HostsFile, "/etc/hosts")
	o.ResolvConf = cmp.Or(o.ResolvConf, "/etc/resolv.conf")
	return o
}

// Resolver finds what names stand for. It may be used concurrently, and starts nothing by itself.
type Resolver struct {
	opts  Options
	hosts *file[map[string][]netip.Addr]
	conf  *file[system]
}

// New returns a Resolver.
func New(opts Options) *Resolver {
	opts = opts.withDefaults()
	return &Resolver{opts: opts, hosts: newFile(opts.HostsFile, readHosts), conf: newFile(opts.ResolvConf, readSystem)}
}

const (
	// maxAddresses is how many servers one name may bring. Each costs a check, and checks of a thousand are what was
	// measured; a name with more is rather a mistake, as of a content network.
	maxAddresses = 1000
	// longest bounds one lookup with all its questions, repetitions and servers.
	longest = 30 * time.Second
)

// Resolve asks once. An error is a *Failure, or ctx's own.
func (r *Resolver) Resolve(ctx context.Context, n Name) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	l := r.lookup(ctx)
	var found []Address
	var err error
	if n.Service {
		found, err = l.service(n.Host)
	} else {
		found, err = l.host(n.Host, n.Port)
	}
	if err != nil {
		return Answer{}, err
	}
	return l.answer(found)
}

// answer puts what was found in an order of its own: servers change theirs with each answer, which means nothing.
func (l *lookup) answer(found []Address) (Answer, error) {
	usable := slices.DeleteFunc(found, func(a Address) bool { return unusable(a.At.Addr()) })
	if len(usable) == 0 {
		return Answer{}, &Failure{What: "only addresses that no server has, as 0.0.0.0 (from " + l.from + ")", Absent: true}
	}
	slices.SortFunc(usable, func(a, b Address) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(b.Weight, a.Weight)) // of two records the larger share counts
	})
	usable = slices.CompactFunc(usable, func(a, b Address) bool { return a.At == b.At })
	a := Answer{TTL: l.ttl, From: l.from, More: max(0, len(usable)-maxAddresses)}
	a.Addresses = usable[:len(usable)-a.More]
	return a, nil
}

// unusable are addresses that a filter gives for names it blocks, and those of groups.
func unusable(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
