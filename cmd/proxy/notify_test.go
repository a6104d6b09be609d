package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/control"
)

// systemd is one end of a NOTIFY_SOCKET.
type systemd struct {
	t    *testing.T
	conn *net.UnixConn
	at   string
}

func newSystemd(t *testing.T, at string) *systemd {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &systemd{t, conn, at}
}

// hear awaits a message that says something.
func (s *systemd) hear(what string) string {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("%s was not said: %v", what, err)
		}
		if text := string(buf[:n]); strings.Contains(text, what) {
			return text
		}
	}
}

func environment(pairs ...string) func(string) string {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

// TestTheManagerIsTold from the start to the end, by a socket with a path and by one without.
func TestTheManagerIsTold(t *testing.T) {
	for name, at := range map[string]string{"path": filepath.Join(t.TempDir(), "notify"), "abstract": "@sluice-test-" + filepath.Base(t.TempDir()) + t.Name()} {
		t.Run(name, func(t *testing.T) {
			s := newSystemd(t, at)
			m, err := findManager(environment("NOTIFY_SOCKET", at, "WATCHDOG_USEC", "400000", "WATCHDOG_PID", "4711"), 4711)
			if err != nil {
				t.Fatal(err)
			}
			h := newHouseOf(t, "", func(set *settings) { set.manager = m })
			ready := s.hear("READY=1")
			for _, want := range []string{"MAINPID=4711", "STATUS=web → blue v1, 1 of 1 up"} {
				if !strings.Contains(ready, want) {
					t.Errorf("no %s in %q", want, ready)
				}
			}
			s.hear("WATCHDOG=1")
			if got := h.run("flip web green"); got.code != 0 {
				t.Fatal(got)
			}
			s.hear("STATUS=web → green v2, 1 of 1 up")
			s.hear("WATCHDOG=1")
			h.signals <- syscall.SIGTERM
			if end := s.hear("STOPPING=1"); !strings.Contains(end, "STATUS=leaving") || !strings.Contains(end, "EXTEND_TIMEOUT_USEC=20000000") {
				t.Errorf("%q", end)
			}
		})
	}
}

func TestFindManager(t *testing.T) {
	s := newSystemd(t, filepath.Join(t.TempDir(), "notify"))
	rows := []struct {
		name     string
		env      func(string) string
		told     bool
		watchdog time.Duration
		fails    bool
	}{
		{"nobody", environment(), false, 0, false},
		{"no watchdog", environment("NOTIFY_SOCKET", s.at), true, 0, false},
		{"a watchdog", environment("NOTIFY_SOCKET", s.at, "WATCHDOG_USEC", "3000000"), true, 3 * time.Second, false},
		{"of another", environment("NOTIFY_SOCKET", s.at, "WATCHDOG_USEC", "3000000", "WATCHDOG_PID", "8"), true, 0, false},
		{"nonsense", environment("NOTIFY_SOCKET", s.at, "WATCHDOG_USEC", "soon"), true, 0, false},
		{"gone", environment("NOTIFY_SOCKET", s.at+".gone"), false, 0, true},
	}
	for _, row := range rows {
		m, err := findManager(row.env, 7)
		if (err != nil) != row.fails || m.watchdog != row.watchdog || (m.conn != nil) != row.told {
			t.Errorf("%s: %+v %v", row.name, m, err)
		}
		m.close()
	}
}

func TestSummary(t *testing.T) {
	up := control.PoolStatus{Live: true, Eligible: 1, Backends: make([]control.BackendStatus, 2)}
	for want, svc := range map[string]control.ServiceStatus{
		"web → blue v42, 1 of 2 up": {Name: "web", Live: "blue", Release: "v42", Pools: []control.PoolStatus{{Backends: up.Backends}, up}},
		"site → a":                  {Name: "site", Live: "a"},
		"web → blue v\\x0a2":        {Name: "web", Live: "blue", Release: "v\n2"},
	} {
		if got := serviceSummary(svc); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
