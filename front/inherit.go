package front

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sluice/drain"
)

// Inherited are listening sockets that another process has opened and passed on, as systemd does for a .socket unit. While
// that process holds them no connection is refused: what comes while no Sluice runs waits in the kernel.
type Inherited struct{ sockets []*inherited }

type inherited struct {
	name     string // by which the other process calls it
	listener *net.TCPListener
	used     bool
}

// InheritError is a socket that was passed on and cannot be listened on. Its text ends with the next step.
type InheritError struct{ Name, What, Next string }

func (e *InheritError) Error() string {
	return fmt.Sprintf("the socket %q was passed to Sluice, and %s; %s", e.Name, e.What, e.Next)
}

// Add takes over a descriptor, and closes it when it is not what a client could connect to.
func (in *Inherited) Add(file *os.File, name string) error {
	defer file.Close()
	if err := checkPassed(int(file.Fd()), name); err != nil {
		return err
	}
	l, err := net.FileListener(file)
	if err != nil {
		return &InheritError{name, err.Error(), "look at the socket unit"}
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		l.Close()
		return &InheritError{name, "is no TCP socket", "write a port or address under ListenStream= of the socket unit, as 80"}
	}
	in.sockets = append(in.sockets, &inherited{name: name, listener: tcp})
	return nil
}

// checkPassed tells apart what a mistake in a socket unit would pass on.
func checkPassed(fd int, name string) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	listens, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, unix.EBADF):
		return &InheritError{name, "its descriptor is not open", "whoever starts Sluice passes as many sockets as LISTEN_FDS says, from descriptor 3 on"}
	case err != nil:
		return &InheritError{name, "is no socket", "a socket unit for Sluice has ListenStream= lines only"}
	case kind != unix.SOCK_STREAM:
		return &InheritError{name, "is no stream socket", "write ListenStream= in the socket unit, in place of ListenDatagram= and the like"}
	case listens == 0:
		return &InheritError{name, "is one connection and no listener", "write Accept=no in the socket unit, or leave Accept= out"}
	}
	return nil
}

// Has reports whether a socket was passed on for an address.
func (in *Inherited) Has(address string) bool { return len(in.all(address)) > 0 }

// all are the sockets for an address. One that is no host's, as :80 or 0.0.0.0:80, stands for all on its port that are no
// host's: IPv4 and IPv6 may have a socket each, or one together, as where Sluice opens it.
func (in *Inherited) all(address string) (found []*inherited) {
	if in == nil || len(in.sockets) == 0 {
		return nil
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil
	}
	for _, s := range in.sockets {
		at := s.listener.Addr().(*net.TCPAddr)
		if at.Port == want.Port && at.Zone == want.Zone && (at.IP.Equal(want.IP) || at.IP.IsUnspecified() && (len(want.IP) == 0 || want.IP.IsUnspecified())) {
			found = append(found, s)
		}
	}
	return found
}

// Left is an error when sockets were passed on that are for none of the addresses: their clients would wait forever.
func (in *Inherited) Left(addresses []string) error {
	if in == nil {
		return nil
	}
	named := map[*inherited]bool{}
	for _, a := range addresses {
		for _, s := range in.all(a) {
			named[s] = true
		}
	}
	for _, s := range in.sockets {
		if !named[s] {
			at := s.listener.Addr()
			return &InheritError{s.name, fmt.Sprintf("it is %s, which is not under `listen:`", at), fmt.Sprintf("write http://%s or https://%s there, or take it out of the socket unit", at, at)}
		}
	}
	return nil
}

// Close closes the sockets that nothing was served on.
func (in *Inherited) Close() {
	for _, s := range in.sockets {
		if !s.used {
			s.listener.Close()
		}
	}
}

// listen returns the sockets that were passed on for an address, or opens one.
func (s *Server) listen(network, address string) (all []net.Listener, err error) {
	for _, passed := range s.opts.Inherited.all(address) {
		if passed.used {
			return nil, errors.New("it was passed to Sluice, and is listened on twice")
		}
		raw, err := passed.listener.SyscallConn()
		if err == nil {
			err = prepare(raw)
		}
		if err != nil {
			return nil, err
		}
		passed.used = true
		all = append(all, passed.listener)
	}
	if len(all) > 0 {
		s.inherits.Store(true)
		return all, nil
	}
	l, err := listenConfig.Listen(context.Background(), network, address)
	return []net.Listener{l}, err
}

// serveOn goes on accepting at the beginning of an exit, where the sockets were passed on: nobody is refused while Sluice
// is away, but who comes waits until it is back. So it leaves when what was inside has ended, and those who are idle have
// been told. What takes longer than half of the shortest deadline is not waited for.
func (s *Server) serveOn(ctx context.Context, began time.Time, before []drain.Item, grace time.Duration, policy drain.Policy) {
	longest := max(grace, min(policy.Timeout, policy.Stream, policy.WebSocket)/2)
	for s.inherits.Load() && s.gate.Inside() > 0 && time.Since(began) < longest {
		looked := time.Now()
		if looked.Sub(began) > grace && len(s.stillInside(before)) == 0 {
			return
		}
		select {
		case <-time.After(max(idleTick, lookShare*time.Since(looked))):
		case <-ctx.Done():
			return
		}
	}
}

// lookShare is how many times as long as a look through all that is inside there is none.
const lookShare = 20
