package http1

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// The states of a TCP socket that matter here; the kernel's numbers.
const (
	tcpClose     = 7
	tcpCloseWait = 8
)

// Untaken reports that the peer provably read no byte of the message that was written to it. It is for a message whose
// wait for an answer ended with err, and is asked by the goroutine that wrote it. within is how long it may wait.
//
// A peer's end says which bytes its kernel had by then: it carries an acknowledgement as each segment does (RFC 9293
// §3.1), and our kernel counts what was acknowledged. So, in this order:
//
//  1. the peer's end (FIN) came, and no byte of this message was acknowledged: when the peer ended its side, the message
//     had not reached it, and nobody had read any of it;
//  2. then a reset came, and still nothing was acknowledged: what did reach it was refused, for nobody was left to read
//     it (RFC 9293 §3.10.7.1).
//
// A reset alone proves nothing: a server that dies with bytes unread resets too, and may have read some before. Nor does
// an end alone: a peer that ended only its own side may still read.
func (c *Conn) Untaken(err error, within time.Duration) (untaken bool) {
	if c.raw == nil || err != io.EOF {
		return false
	}
	c.ForgetReads()
	c.ExpireReads(within)
	c.raw.Read(func(fd uintptr) bool {
		info := tcpInfo(fd)
		taken := info.Bytes_acked == 0 || info.Bytes_acked > c.out.before+1 // the beginning of a connection counts as one
		untaken = !taken && info.State == tcpClose
		return taken || info.State != tcpCloseWait
	})
	return untaken
}

// tcpInfo is what the kernel knows of a socket; nothing, where it is none of TCP's. The count of acknowledged bytes is
// above zero on each connection that was opened from here, unless the kernel does not count them.
func tcpInfo(fd uintptr) *unix.TCPInfo {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return &unix.TCPInfo{}
	}
	return info
}

// IdleUntilEnd is for how long a connection had been silent when its peer ended it, and whether it did. The time is 0
// where nobody knows: the kernel keeps when it last got data, and when it last got anything, which was the end.
func (c *Conn) IdleUntilEnd() (idle time.Duration, ended bool) {
	if c.raw == nil {
		return 0, false
	}
	c.raw.Control(func(fd uintptr) {
		info := tcpInfo(fd)
		if ended = pollSocket(fd, unix.POLLRDHUP); ended && info.Last_data_recv > info.Last_ack_recv {
			idle = time.Duration(info.Last_data_recv-info.Last_ack_recv) * time.Millisecond
		}
	})
	return idle, ended
}
