package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Name is a backend's address that stands for others, as the DNS says from moment to moment.
type Name struct {
	Host    string // as in the file, in lower case
	Port    int    // zero with Service
	Service bool   // SRV records say hosts, ports and shares
}

// DNS says who is asked for names, and how often.
type DNS struct {
	Servers []string      // host:port; none: those of the system, with its search list
	Least   time.Duration // an answer is asked for again after this at the earliest, whatever its lifetime is
	Most    time.Duration // and at the latest
	Timeout time.Duration // for one question to one server
	Family  string        // "auto", "ipv4", "ipv6" or "both"
}

const (
	serviceScheme = "srv:"
	serviceFix    = "write srv:_http._tcp.app.example.com"
	serversFix    = "write servers: [127.0.0.11:53]"
	// leastLookup keeps a slip of the unit from flooding a DNS server.
	leastLookup = 100 * time.Millisecond
	familyAuto  = "auto"
)

// defaultDNS asks every ten seconds at least: Docker's DNS gives 600 s to names that change with each container.
func defaultDNS() DNS {
	return DNS{Least: time.Second, Most: 10 * time.Second, Timeout: 2 * time.Second, Family: familyAuto}
}

func (v value) dns(d *DNS) {
	var least *value
	v.object("write dns: {servers: [127.0.0.11:53], least: 1s, most: 10s, timeout: 2s}", fields{
		"servers": func(v value) { v.servers(&d.Servers) },
		"least":   func(v value) { least = &v; v.duration(&d.Least, leastLookup, longestWait) },
		"most":    durationField(&d.Most, leastLookup, longestWait),
		"timeout": durationField(&d.Timeout, leastInterval, time.Minute),
		"family":  func(v value) { v.word(&d.Family, familyAuto, "ipv4", "ipv6", "both") },
	})
	switch {
	case d.Least <= d.Most:
	case least == nil:
		d.Least = d.Most
	default:
		least.refuse("lower least or raise most", "`least` is longer than `most`, which is %s", showDuration(d.Most))
	}
}

// servers reads addresses: a server that had to be found by a name first could not be asked for it.
func (v value) servers(to *[]string) {
	for _, item := range v.list(serversFix) {
		text, ok := item.text()
		if !ok {
			continue
		}
		at, problem := serverAddress(text)
		switch {
		case problem != "":
			item.refuse(serversFix, "%s is no address of a DNS server: %s", show(text), problem)
		case slices.Contains(*to, at):
			item.refuse("keep one of the two", "%s is given twice", show(text))
		default:
			*to = append(*to, at)
		}
	}
}

func serverAddress(text string) (at, problem string) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), ""
	}
	host, port, problem := splitAddress(text, false)
	if problem != "" {
		return "", problem
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", show(host) + " is a name, and needs a DNS server itself"
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), ""
}

// isName reports whether a host is looked up. localhost is dialled as it is: it is the machine itself, and no server says
// otherwise (RFC 6761 §6.3).
func isName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// serviceRecords fills in a backend that SRV records say.
func (v value) serviceRecords(text string, b *Backend) {
	host := strings.ToLower(strings.TrimPrefix(text, serviceScheme))
	problem := checkName(host)
	switch labels := strings.Split(host, "."); {
	case strings.Contains(host, ":"):
		problem = "the records say the port"
	case problem != "":
	case len(labels) < 3 || labels[0][0] != '_' || labels[1][0] != '_':
		problem = "it has the form _service._protocol.name"
	}
	if problem != "" {
		v.refuse(serviceFix, "%s names no SRV records: %s", show(text), problem)
		return
	}
	b.Network, b.Dial, b.Address = "tcp", host, serviceScheme+host
	b.Name = Name{Host: host, Service: true}
}
