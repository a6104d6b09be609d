package front

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Both ways to ask see a connection that the kernel holds back, at its port only, and no longer when it has begun to speak.
func TestBothWaysSeeWhatIsOpened(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			l, err := listenConfig.Listen(context.Background(), network, "localhost:0")
			if err != nil {
				t.Skipf("this machine has no %s: %v", network, err)
			}
			defer l.Close()
			deferAccept(rawOf(l), 10*time.Second)
			port := l.Addr().(*net.TCPAddr).Port
			sees := func(want bool) {
				t.Helper()
				family := map[string]uint8{"tcp4": unix.AF_INET, "tcp6": unix.AF_INET6}[network]
				if asked, err := askOpening(family, uint16(port)); asked != want || err != nil {
					t.Errorf("asked: %v, %v; want %v", asked, err, want)
				}
				if read := readOpening([]int{port}); read != want {
					t.Errorf("read: %v, want %v", read, want)
				}
				if other := opening([]int{port + 1}); other {
					t.Error("it is seen at another port")
				}
			}
			sees(false)
			nc, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			sees(true)
			nc.Write([]byte("x"))
			ours, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			sees(false)
		})
	}
}
