package front

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/drain"
)

// TestExitServesWhatIsHeldBack: a client has connected, and the kernel waits for its first bytes, when Sluice goes. What
// it then sends is answered: the listener stays until the kernel has handed everything over.
func TestExitServesWhatIsHeldBack(t *testing.T) {
	for _, p := range protocols[:2] {
		t.Run(p.name, func(t *testing.T) {
			s := newSetup(t, p, ok)
			port := int(netip.MustParseAddrPort(s.addr).Port())
			s.get("/")
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if !opening([]int{port}) || s.front.Connections() > 1 {
				t.Fatal("the kernel holds nothing back: this test tests nothing")
			}
			drained := make(chan drain.Report, 1)
			go func() {
				drained <- s.front.Drain(context.Background(), 3*time.Second, drain.Policy{Timeout: 5 * time.Second})
			}()
			s.waitFor("the exit has begun", func() bool { return s.front.draining.Load() })
			time.Sleep(3 * deferredLook) // the time in which the exit would close the listener if it did not look
			s.speak(nc)
			if report := <-drained; report.Cut != 0 {
				t.Error(report)
			}
		})
	}
}

// speak makes a request on a connection that the client has opened.
func (s *setup) speak(nc net.Conn) {
	s.t.Helper()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	if s.scheme == "https" {
		nc = tls.Client(nc, &tls.Config{RootCAs: s.roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	}
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if answer, err := io.ReadAll(nc); err != nil || !strings.Contains(string(answer), "Connection: close\r\n") || !strings.HasSuffix(string(answer), "ok") {
		s.t.Errorf("%q, %v", answer, err)
	}
}

// TestExitTellsOfWhatEndsWhileItWaits: the receipt counts from when the exit began.
func TestExitTellsOfWhatEndsWhileItWaits(t *testing.T) {
	answer := make(chan struct{})
	s := newSetup(t, protocols[0], func(w http.ResponseWriter, r *http.Request) {
		<-answer
		io.WriteString(w, "ok")
	})
	done := make(chan string, 1)
	go func() {
		_, body := s.get("/")
		done <- body
	}()
	s.waitFor("the request is inside", func() bool { return s.backend.Gate.Inside() == 1 })
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	drained := make(chan drain.Report, 1)
	go func() {
		drained <- s.front.Drain(context.Background(), 100*time.Millisecond, drain.Policy{Timeout: 5 * time.Second})
	}()
	s.waitFor("the exit has begun", func() bool { return s.front.draining.Load() })
	time.Sleep(3 * deferredLook)
	close(answer)
	<-done
	report := <-drained
	if report.Found != 1 || report.Finished != 1 || report.Classes[drain.Request].Finished != 1 || report.Took < deferFor/2 {
		t.Errorf("%s", report)
	}
}

func TestExitWaitsForNobody(t *testing.T) {
	s := newSetup(t, protocols[0], ok)
	s.get("/")
	began := time.Now()
	s.front.awaitDeferred()
	if took := time.Since(began); took > deferFor/2 {
		t.Errorf("took %v, with nobody on the way", took)
	}
}

func TestAnyOpening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D2F0 03 00000000:00000000 01:0000004F 00000000     0        0 0 1 0
   2: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:D2F2 03 00000000:00000000 01:0000004F 00000000
   3: 0100007F:1F91 0100007F:1F92 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 0 10 -1
`
	for port, want := range map[int]bool{0x1f90: true, 80: true, 0x1f91: false, 0xd2f0: false, 0xf90: false} {
		if got := anyOpening(strings.NewReader(table), []int{port}); got != want {
			t.Errorf("port %x: %v", port, got)
		}
	}
}
