package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDiskRefusesTheChange: what cannot be remembered is not done.
func TestFullDiskRefusesTheChange(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address))
	if err := os.MkdirAll(s.stateDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.stateDir(), "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() { s.kill(); syscall.Unmount(s.stateDir(), syscall.MNT_DETACH) })
	s.start().awaitRelease("v1")
	ballast := filepath.Join(s.stateDir(), "ballast")
	os.WriteFile(ballast, make([]byte, 1<<20), 0o600)
	out, code := s.cli("flip", "web", "green")
	if code != 1 || !strings.Contains(out, "space") {
		t.Errorf("exit %d: %s", code, out)
	}
	t.Log(out)
	if _, _, header := s.fetch("/bytes/1"); header.Get("X-Release") != "v1" {
		t.Error("the flip was refused and yet made")
	}
	os.Remove(ballast)
	s.must("flip", "web", "green")
	s.awaitRelease("v2")
}
