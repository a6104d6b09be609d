package admin

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// noContext is for calls that cannot wait.
var noContext = context.Background()

// peer is who is at the other end of a connection.
type peer struct {
	local bool   // it came by a unix socket, whose mode let it in
	user  string // whose process it is, as the kernel says; "" on TCP
}

type peerKey struct{}

func withPeer(ctx context.Context, nc net.Conn) context.Context {
	if p, ok := nc.(*placed); ok {
		nc = p.Conn
	}
	p := peer{}
	if uc, ok := nc.(*net.UnixConn); ok {
		p = peer{local: true, user: userOf(uc)}
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}

// userOf asks the kernel for the other process's user, so that the history knows who it was without being told.
func userOf(uc *net.UnixConn) string {
	raw, err := uc.SyscallConn()
	if err != nil {
		return ""
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || cred == nil {
		return ""
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}
