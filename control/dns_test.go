package control

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/config"
	"sluice/names"
)

// fakeDNS answers as it is told to. A name that was never set is denied.
type fakeDNS struct {
	mu      sync.Mutex
	answers map[string]dnsAnswer
	asked   int
}

type dnsAnswer struct {
	addresses []names.Address
	failure   *names.Failure
}

func (d *fakeDNS) resolve(_ context.Context, n names.Name) (names.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	a, known := d.answers[n.String()]
	switch {
	case !known:
		return names.Answer{}, &names.Failure{What: "no such name", Absent: true}
	case a.failure != nil:
		return names.Answer{}, a.failure
	}
	return names.Answer{Addresses: a.addresses, TTL: 5003 * time.Millisecond, From: "dns"}, nil
}

// set makes a name stand for addresses, or fail for a reason: "denied" is a sure one.
func (d *fakeDNS) set(name string, reason string, addresses ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var a dnsAnswer
	if reason != "" {
		a.failure = &names.Failure{What: reason, Absent: strings.HasPrefix(reason, "denied")}
	}
	for _, at := range addresses {
		a.addresses = append(a.addresses, names.Address{At: netip.MustParseAddrPort(at), Weight: 1})
	}
	slices.SortFunc(a.addresses, func(x, y names.Address) int { return x.At.Compare(y.At) }) // as the real one does
	d.answers[name] = a
}

func (d *fakeDNS) lookups() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func namedBackend(name string) config.Backend {
	host, port, _ := strings.Cut(name, ":")
	at := netip.MustParseAddrPort("127.0.0.1:" + port)
	return config.Backend{Address: name, Network: "tcp", Dial: name, Name: config.Name{Host: host, Port: int(at.Port())}, Weight: 1}
}

func (p *player) setDNS(b block, w []string) {
	p.dns.set(w[0], strings.Join(b.input, " "), w[1:]...)
}
