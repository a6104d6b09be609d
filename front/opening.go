package front

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// opening reports whether a connection to one of the ports is being opened, as far as the kernel tells.
func opening(ports []int) bool {
	for _, port := range ports {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			found, err := askOpening(family, uint16(port))
			if err != nil {
				return readOpening(ports)
			}
			if found {
				return true
			}
		}
	}
	return false
}

// diagRequest is a question to the kernel about its sockets, as sock_diag(7) has it: struct nlmsghdr and inet_diag_req_v2.
type diagRequest struct {
	length      uint32
	kind, flags uint16
	seq, pid    uint32

	family, protocol, ext, _ uint8
	states                   uint32
	localPort, remotePort    [2]byte // in the order of the network
	local, remote            [16]byte
	device                   uint32
	cookie                   [2]uint32
}

const (
	aboutFamily = 20 // SOCK_DIAG_BY_FAMILY
	synReceived = 3  // TCP_SYN_RECV
)

// askOpening asks for what is in the state SYN_RECV at a local port. The kernel looks for it by itself: many thousand other
// connections, or those that end meanwhile, neither slow that down nor hide one.
func askOpening(family uint8, port uint16) (found bool, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	ask := diagRequest{kind: aboutFamily, flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP, family: family, protocol: unix.IPPROTO_TCP, states: 1 << synReceived}
	ask.length = uint32(unsafe.Sizeof(ask))
	binary.BigEndian.PutUint16(ask.localPort[:], port)
	question := unsafe.Slice((*byte)(unsafe.Pointer(&ask)), unsafe.Sizeof(ask))
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, err
	}
	return firstAnswer(fd)
}

// firstAnswer reads whether there is one: the answer begins with a socket, with the end of the list, or with an error.
// It is there when the question was sent, so that nothing waits.
func firstAnswer(fd int) (found bool, err error) {
	var answer [8 << 10]byte
	n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT)
	switch {
	case err != nil:
		return false, err
	case n < unix.NLMSG_HDRLEN:
		return false, unix.EPROTO
	}
	switch binary.NativeEndian.Uint16(answer[4:]) {
	case aboutFamily:
		return true, nil
	case unix.NLMSG_DONE:
		return false, nil
	}
	return false, unix.EPROTO
}

// readOpening is for where netlink is not allowed.
func readOpening(ports []int) bool {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if f, err := os.Open(table); err == nil {
			found := anyOpening(f, ports)
			f.Close()
			if found {
				return true
			}
		}
	}
	return false
}

// anyOpening looks for a socket in the state SYN_RECV with one of the local ports, in a table of the form
// "0: 0100007F:1F90 0200007F:C350 03 …".
func anyOpening(table io.Reader, ports []int) bool {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != fmt.Sprintf("%02X", synReceived) {
			continue
		}
		for _, port := range ports {
			if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}
