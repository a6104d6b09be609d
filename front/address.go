package front

import (
	"io"
	"log"
	"net"
)

// addresses stands in for a connection of which only the other end is known.
type addresses struct {
	net.Conn
	remote string
}

func (a addresses) RemoteAddr() net.Addr { return textAddr(a.remote) }

type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }

// silent keeps net/http from writing about misbehaving clients to standard error.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
