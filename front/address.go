package front

import (
	"io"
	"log"
	"net"
)

// addresses stands in for a connection of which only the two ends are known.
type addresses struct {
	net.Conn
	remote, local string
}

func (a addresses) RemoteAddr() net.Addr { return textAddr(a.remote) }
func (a addresses) LocalAddr() net.Addr  { return textAddr(a.local) }

type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }

// silent keeps net/http from writing about misbehaving clients to standard error.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
