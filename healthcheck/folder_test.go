package healthcheck

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	note := func(name, text string) {
		must(os.MkdirAll(at(name), 0o755))
		must(os.WriteFile(filepath.Join(at(name), ReleaseFile), []byte(text), 0o644))
	}
	must(os.MkdirAll(at("releases/42"), 0o755))
	must(os.Symlink("releases/42", at("current")))
	must(os.Symlink("nowhere", at("broken")))
	must(os.Symlink("loop", at("loop")))
	must(os.WriteFile(at("file"), nil, 0o644))
	note("noted", "v7 built on Monday\nsecond line")
	note("empty", "\n")
	note("long", strings.Repeat("x", 1000))
	note("tricks", "v\x1b[31m1\n")
	must(os.MkdirAll(at("piped"), 0o755))
	must(syscall.Mkfifo(filepath.Join(at("piped"), ReleaseFile), 0o644))
	for _, test := range []struct{ folder, release, reason string }{
		{"releases/42", "42", ""},
		{"current", "42", ""},
		{"noted", "v7", ""},
		{"empty", "empty", ""},
		{"long", strings.Repeat("x", maxRelease), ""},
		{"tricks", "v[31m1", ""},
		{"piped", "piped", ""},
		{"missing", "", "there is no such folder"},
		{"broken", "", "there is no such folder"},
		{"loop", "", "the folder cannot be read"},
		{"file", "", "it is no folder"},
	} {
		r := New(Spec{Type: OfFolder, Network: "root", Address: at(test.folder)}, time.Now).Probe(context.Background())
		if r.OK != (test.reason == "") || r.Release != test.release || !strings.HasPrefix(r.Reason, test.reason) || r.At.IsZero() {
			t.Errorf("%s: %+v", test.folder, r)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := New(Spec{Type: OfFolder, Address: at("current")}, time.Now).Probe(ctx); !r.Cancelled || r.OK {
		t.Errorf("called off: %+v", r)
	}
}
