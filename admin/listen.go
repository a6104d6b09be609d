package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrLive is wrapped by the error of Listen when another Sluice answers at the socket.
var ErrLive = errors.New("another Sluice answers there")

const (
	// socketDir and socketMode let only the user that runs Sluice in: whoever may open the socket may do everything.
	socketDir  = 0o700
	socketMode = 0o600
	// longestSocket is what fits into a sockaddr_un.
	longestSocket = 107
	// knock is how long a socket file may take to show whether somebody listens; on one machine that is immediate.
	knock = time.Second
)

// Listen opens the API's listener: network "unix" with a path, or "tcp" with a loopback address and a token. The file of
// a process that is gone is removed; that of a living one is refused with ErrLive. Errors end with the next step.
func Listen(network, address, token string) (net.Listener, error) {
	if network == "unix" {
		return listenUnix(address)
	}
	return listenTCP(address, token)
}

func listenUnix(path string) (net.Listener, error) {
	if len(path) > longestSocket {
		return nil, fmt.Errorf("the path of the admin socket has %d bytes and %d are possible: %s; write a shorter one under `admin:`", len(path), longestSocket, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), socketDir); err != nil {
		return nil, fmt.Errorf("cannot make the admin socket's folder: %w; write another path under `admin:`", err)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	conf := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return restrict(c) }}
	l, err := conf.Listen(noContext, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the admin socket: %w; write another path under `admin:`", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot restrict the admin socket to its owner: %w; write another path under `admin:`", err)
	}
	return l, nil
}

// restrict sets the mode before the file appears, so that there is no moment at which others could open it.
func restrict(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), socketMode) })
	return errors.Join(err, failed)
}

// clearStale removes the socket of a process that did not live to do so itself.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look at the admin socket: %w; write another path under `admin:`", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket; move it away, or write another path under `admin:`", path)
	}
	nc, err := net.DialTimeout("unix", path, knock)
	if err == nil {
		nc.Close()
		return fmt.Errorf("cannot open the admin socket %s: %w; stop it with `sluice stop --admin unix://%s`, or write another path under `admin:`", path, ErrLive, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot tell whether a Sluice answers at %s: %w; end it or move the file away", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the admin socket that an earlier Sluice left: %w", err)
	}
	return nil
}

func listenTCP(address, token string) (net.Listener, error) {
	if !loopback(address) {
		return nil, fmt.Errorf("the admin address %s is not loopback, and the API is not encrypted; write 127.0.0.1:PORT or a unix socket, and come from afar by `ssh -L`", address)
	}
	if token == "" {
		return nil, errors.New("an admin API on TCP needs a token, because every user of the machine can reach it; set `admin_token_file:`, or write a unix socket under `admin:`")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot open the admin API on %s: %w; end what listens there (see `ss -ltnp`), or write another address under `admin:`", address, err)
	}
	return l, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// mostConnections bounds the API's connections. The number is arbitrary, and far more than people and scripts open.
const mostConnections = 256

// limited accepts a connection only while there are fewer than mostConnections.
type limited struct {
	net.Listener
	places chan struct{}
}

func newLimited(l net.Listener) *limited {
	return &limited{Listener: l, places: make(chan struct{}, mostConnections)}
}

func (l *limited) Accept() (net.Conn, error) {
	l.places <- struct{}{}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: nc, places: l.places}, nil
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	places chan struct{}
	once   sync.Once
}

func (p *placed) Close() error {
	p.once.Do(func() { <-p.places })
	return p.Conn.Close()
}
