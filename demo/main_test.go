package demo

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the app itself, in a process that can be killed, and looks for goroutines left behind.
func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv("SLUICE_DEMO_APP"); ok {
		if err := RunApp(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

func leaks() int {
	stacks := make([]byte, 1<<20)
	for range 50 {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if strings.Count(all, "sluice/demo.") <= strings.Count(all, "sluice/demo.leaks")+strings.Count(all, "sluice/demo.TestMain") {
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks[:runtime.Stack(stacks, true)])
	return 1
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve starts an app and returns its address.
func serve(t *testing.T, a *App, l net.Listener) string {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- a.Serve(l) }()
	t.Cleanup(func() {
		a.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v; after Close it returns nil", err)
		}
	})
	return l.Addr().String()
}

// eventually fails the test if ok does not come true soon.
func eventually(t *testing.T, reason string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(reason)
}

func start(t *testing.T, cfg Config) *Traffic {
	t.Helper()
	traffic, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { traffic.Stop() })
	return traffic
}

// served waits until each class has had an answer that was checked.
func served(t *testing.T, traffic *Traffic) {
	t.Helper()
	eventually(t, "a class was never served", func() bool {
		for _, n := range traffic.Count().Classes {
			if n.P50 == 0 {
				return false
			}
		}
		return true
	})
}
