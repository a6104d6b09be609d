package names

import (
	"cmp"
	"slices"
	"strings"

	"net/netip"

	"github.com/miekg/dns"
)

const (
	// maxTargets is how many hosts one service is asked for. Each is a question of its own.
	maxTargets = 200
	// maxWeight is the largest share of a backend; records count to 65535.
	maxWeight = 1000
)

// service finds the addresses behind SRV records (RFC 2782). "A client MUST attempt to contact the target host with the
// lowest-numbered priority it can reach": those of a higher number count only while no host of a lower one has an
// address. Whether a server answers is not asked here.
func (l *lookup) service(name string) ([]Address, error) {
	records, err := l.serviceRecords(name)
	if err != nil {
		return nil, err
	}
	for len(records) > 0 {
		n := slices.IndexFunc(records, func(r *dns.SRV) bool { return r.Priority != records[0].Priority })
		if n < 0 {
			n = len(records)
		}
		found, err := l.targets(records[:n])
		if err != nil || len(found) > 0 {
			return found, err
		}
		records = records[n:]
	}
	return nil, &Failure{What: "none of the hosts in its SRV records has an address (from " + l.from + ")", Absent: true}
}

// serviceRecords returns the records in the order of their priority, and beyond that in one that stays.
func (l *lookup) serviceRecords(name string) (all []*dns.SRV, err error) {
	var records []dns.RR
	err = l.search(name, func(full string) (err error) {
		records, err = l.records(full, dns.TypeSRV)
		return err
	})
	for _, rr := range records {
		// "A Target of "." means that the service is decidedly not available at this domain." (RFC 2782)
		if srv, ok := rr.(*dns.SRV); ok && srv.Target != "." && srv.Port > 0 {
			all = append(all, srv)
		}
	}
	slices.SortFunc(all, func(a, b *dns.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	return all[:min(len(all), maxTargets)], err
}

// targets finds the addresses of records of one priority. One host that has none is left out; when it cannot be asked for,
// all fails: it would be taken for gone.
func (l *lookup) targets(records []*dns.SRV) ([]Address, error) {
	weights := weigh(records)
	var all []Address
	for i, r := range records {
		found, err := l.addresses(r.Target)
		if err != nil && !absent(err) {
			return nil, err
		}
		for _, addr := range found {
			all = append(all, Address{At: netip.AddrPortFrom(addr, r.Port), Weight: weights[i], Target: strings.TrimSuffix(r.Target, ".")})
		}
	}
	return all, nil
}

// weigh makes shares of backends out of the records' weights. Where some are zero, they get the least there is: "In the
// presence of records containing weights greater than 0, records with weight 0 should have a very small chance of being
// selected." (RFC 2782)
func weigh(records []*dns.SRV) []int {
	most, zero := 0, false
	for _, r := range records {
		most = max(most, int(r.Weight))
		zero = zero || r.Weight == 0
	}
	all := make([]int, len(records))
	for i, r := range records {
		w := int(r.Weight)
		if most > maxWeight || zero && most > 0 {
			w = (w*maxWeight + most/2) / most
		}
		all[i] = max(1, w)
	}
	return all
}
