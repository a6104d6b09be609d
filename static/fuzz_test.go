package static

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzOpen asks for any path: what is opened is a visible file of the folder, as the kernel itself says.
func FuzzOpen(f *testing.F) {
	base, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	dir := filepath.Join(base, "www")
	for _, name := range []string{"secret", "www/index.html", "www/a.js", "www/a.js.br", "www/sub/index.html", "www/.env", "www/.git/config", "www/.well-known/x"} {
		at := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(name), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../secret", "up": "..", "root": "/", "in": "sub", "hidden": ".git"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			f.Fatal(err)
		}
	}
	for _, path := range []string{"/", "/a.js", "/sub", "/sub/", "/in/index.html", "/out", "/up/secret", "/root/etc/passwd", "/../secret", "/.env", "//a.js", "/app/a.js", "/app", "/a.js/", "/\\..\\secret", "/x\x00"} {
		f.Add(path, "br")
	}
	folder := New(dir, Rules{Prefix: "/app", Fallback: "/index.html", Assets: []string{"/assets/*"}})
	f.Fuzz(func(t *testing.T, path, accepts string) {
		file, err := folder.Open(path, accepts)
		if err != nil {
			if err != ErrNotFound && err != ErrFolder {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		defer file.Close()
		at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		inside, ok := strings.CutPrefix(at, dir+"/")
		if !ok || strings.HasPrefix(inside, ".env") {
			t.Errorf("%q opened %s", path, at)
		}
	})
}
