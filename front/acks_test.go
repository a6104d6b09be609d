package front

import (
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bareAcks is how many packets carried nothing but an acknowledgement to the client of the only connection.
func (s *Server) bareAcks(t *testing.T) (n int64) {
	s.each(func(c *conn) {
		rawSocket{c.bare}.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			n = int64(info.Segs_out) - int64(info.Data_segs_out)
		})
	})
	return n
}

// After an answer that came too late to carry an acknowledgement, the next ones carry theirs again: the request behind it
// is not acknowledged by a packet of its own. Where this machine is slower than an acknowledgement may be, it says nothing.
func TestAcknowledgementsRideOnAnswers(t *testing.T) {
	s := newSetup(t, protocols[0], func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(2 * ackPatience)
		}
	})
	k := keep(s)
	const rounds = 6
	n := k.acksOf(s, rounds)
	for again := 0; n >= 2*rounds-1 && again < 3; again++ {
		n = k.acksOf(s, rounds)
	}
	if n < rounds || n >= 2*rounds-1 {
		t.Errorf("%d packets only to acknowledge, want %d: one for each slow answer", n, rounds)
	}
}

// acksOf asks for a slow answer and a fast one after it, several times, and returns how many acknowledgements went alone.
func (k *keptConn) acksOf(s *setup, rounds int) int64 {
	k.ask("/")
	before := s.front.bareAcks(k.t)
	for range rounds {
		time.Sleep(ackPatience + ackPatience/4) // nobody is waited for: the client thinks
		k.ask("/slow")
		k.ask("/")
	}
	return s.front.bareAcks(k.t) - before
}
