package names

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// file is a system file that is read again when it has changed: containers and networks come and go beneath a proxy that
// runs for months.
type file[T any] struct {
	path  string
	parse func(io.Reader) T
	last  atomic.Pointer[reading[T]]
}

type reading[T any] struct {
	changed time.Time
	size    int64
	value   T
}

func newFile[T any](path string, parse func(io.Reader) T) *file[T] {
	return &file[T]{path: path, parse: parse}
}

// read returns what the file says now. One that cannot be read is as an empty one.
func (f *file[T]) read() T {
	in, err := os.Open(f.path)
	if err != nil {
		return f.parse(strings.NewReader(""))
	}
	defer in.Close()
	info, err := in.Stat()
	last := f.last.Load()
	if err == nil && last != nil && info.ModTime().Equal(last.changed) && info.Size() == last.size {
		return last.value
	}
	next := &reading[T]{value: f.parse(in)}
	if err == nil {
		next.changed, next.size = info.ModTime(), info.Size()
	}
	f.last.Store(next)
	return next.value
}

// readHosts reads hosts(5): an address and its names in each line.
func readHosts(in io.Reader) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			name = plain(name)
			hosts[name] = append(hosts[name], addr.Unmap())
		}
	}
	return hosts
}

// plain is the one form of a host that names are compared in.
func plain(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// system is what resolv.conf(5) says.
type system struct {
	servers  []string
	search   []string
	ndots    int
	attempts int
	timeout  time.Duration
}

func readSystem(in io.Reader) system {
	conf, err := dns.ClientConfigFromReader(in)
	if err != nil {
		conf = &dns.ClientConfig{Ndots: 1, Timeout: 5, Attempts: 2}
	}
	s := system{
		search: conf.Search, ndots: conf.Ndots, attempts: min(conf.Attempts, mostAttempts),
		timeout: time.Duration(conf.Timeout) * time.Second,
	}
	for _, server := range conf.Servers {
		s.servers = append(s.servers, net.JoinHostPort(server, "53"))
	}
	if len(s.servers) == 0 {
		// "If no nameserver entries are present, the default is to use the name server on the local machine."
		// (resolv.conf(5))
		s.servers = []string{"127.0.0.1:53"}
	}
	return s
}
