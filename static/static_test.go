package static

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// release lays out a folder: names and contents. Names that end in a slash are folders.
func release(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read opens a path and returns the content, or "" and the error.
func read(f *Folder, path string) (string, error) {
	found, err := f.Open(path, "")
	if err != nil {
		return "", err
	}
	defer found.Close()
	b, err := io.ReadAll(found)
	return string(b), err
}

func TestPaths(t *testing.T) {
	outside := release(t, map[string]string{"secret": "secret", "sub/x": "secret"})
	dir := release(t, map[string]string{
		"index.html": "home", "a.js": "a", "sub/index.html": "sub", "sub/page": "page", "empty/.keep": "", ".env": "hidden",
		".git/config": "hidden", ".well-known/x": "known", ".well-known/.y": "hidden", "with space": "space", "ümlaut": "ü",
		"app/inner.js": "inner", "other.js": "other",
	})
	for link, to := range map[string]string{
		"out": filepath.Join(outside, "secret"), "up": "../" + filepath.Base(outside) + "/secret", "in": "a.js", "subout": outside,
		"loop": "loop", "subin": "sub",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, want string
		err        error
	}{
		{"/", "home", nil},
		{"/index.html", "home", nil},
		{"/a.js", "a", nil},
		{"/in", "a", nil},
		{"/sub/", "sub", nil},
		{"/subin/page", "page", nil},
		{"/with space", "space", nil},
		{"/ümlaut", "ü", nil},
		{"/.well-known/x", "known", nil},
		{"/app/inner.js", "inner", nil}, // the whole path is there
		{"/app/other.js", "other", nil}, // it is not, and what follows the prefix is
		{"/app/", "home", nil},
		{"/sub", "", ErrFolder},
		{"/empty/", "", ErrNotFound},
		{"/none", "", ErrNotFound},
		{"/a.js/", "", ErrNotFound},
		{"/a.js/x", "", ErrNotFound},
		{"/.env", "", ErrNotFound},
		{"/.git/config", "", ErrNotFound},
		{"/.well-known/.y", "", ErrNotFound},
		{"/app/.env", "", ErrNotFound},
		{"/out", "", ErrNotFound},
		{"/up", "", ErrNotFound},
		{"/subout/x", "", ErrNotFound},
		{"/../" + filepath.Base(outside) + "/secret", "", ErrNotFound},
		{"/sub/../../x", "", ErrNotFound},
		{"/loop", "", ErrNotFound},
		{"/pipe", "", ErrNotFound},
		{"/a\x00.js", "", ErrNotFound},
		{"/sub\\page", "", ErrNotFound},
		{"a.js", "", ErrNotFound},
		{"", "", ErrNotFound},
		{"//a.js", "", ErrNotFound},
		{"/" + strings.Repeat("x", 300), "", ErrNotFound},
	}
	f := New(dir, Rules{Prefix: "/app"})
	for _, test := range tests {
		got, err := read(f, test.path)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q: %q, %v; want %q, %v", test.path, got, err, test.want, test.err)
		}
	}
	if _, err := read(New(dir+"-gone", Rules{}), "/"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("a release whose folder is gone: %v; that is no missing file", err)
	}
}

// TestFallback: the page stands in for pages only.
func TestFallback(t *testing.T) {
	f := New(release(t, map[string]string{"index.html": "app", "assets/a.js": "a"}), Rules{Fallback: "/index.html", Assets: []string{"/assets/*"}})
	for path, want := range map[string]string{"/users/7": "app", "/users/": "app", "/": "app", "/assets/a.js": "a", "/gone.js": "", "/assets/gone": "", "/.env": ""} {
		if got, err := read(f, path); got != want || (want == "") != errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestCacheControl(t *testing.T) {
	f := New("", Rules{Assets: []string{"/assets/*", "*.chunk.js"}, Cache: []Cache{{"/assets/logo.png", "max-age=60"}, {"/feed", "no-store"}}})
	for path, want := range map[string]string{
		"/": askAgain, "/index.html": askAgain, "/assets/a.js": forever, "/x/1.chunk.js": forever, "/assets/logo.png": "max-age=60", "/feed": "no-store",
	} {
		if got := f.control(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestCompressedSiblings(t *testing.T) {
	dir := release(t, map[string]string{
		"a.js": "plain", "a.js.gz": "gzip", "a.js.br": "brotli", "a.js.zst": "zstd",
		"b.css": "plain", "b.css.gz": "old", "c.png": "plain", "c.png.gz": "never", "d.txt": "plain",
	})
	os.Chtimes(filepath.Join(dir, "b.css.gz"), time.Time{}, time.Now().Add(-time.Hour))
	f := New(dir, Rules{})
	tests := []struct{ path, accepts, want, encoding string }{
		{"/a.js", "", "plain", ""},
		{"/a.js", "gzip, deflate, br, zstd", "brotli", "br"},
		{"/a.js", "GZIP;q=0.5", "gzip", "gzip"},
		{"/a.js", "zstd , gzip", "zstd", "zstd"},
		{"/a.js", "br;q=0, gzip;q=0.000, zstd;q=0.1", "zstd", "zstd"},
		{"/a.js", "br; q=0", "plain", ""},
		{"/a.js", "*", "plain", ""},
		{"/a.js", "identity", "plain", ""},
		{"/b.css", "gzip", "plain", ""},
		{"/c.png", "gzip", "plain", ""},
		{"/d.txt", "gzip", "plain", ""},
	}
	tags := map[string]string{}
	for _, test := range tests {
		found, err := f.Open(test.path, test.accepts)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(found)
		found.Close()
		if string(b) != test.want || found.Encoding != test.encoding || found.Size != int64(len(b)) || found.Varies != (test.path != "/c.png") {
			t.Errorf("%s with %q: %q, %+v", test.path, test.accepts, b, found)
		}
		if other := tags[found.Tag]; other != "" && other != test.path+found.Encoding {
			t.Errorf("%s and %s have one tag", other, test.path+found.Encoding)
		}
		tags[found.Tag] = test.path + found.Encoding
	}
}

// TestTagsOfReleases: builds that give each file one date must not share tags over releases.
func TestTagsOfReleases(t *testing.T) {
	epoch := time.Unix(1, 0)
	var tags [2]string
	for i, content := range []string{"v1", "v2"} {
		dir := release(t, map[string]string{"a.js": content})
		os.Chtimes(filepath.Join(dir, "a.js"), epoch, epoch)
		found, err := New(dir, Rules{}).Open("/a.js", "")
		if err != nil {
			t.Fatal(err)
		}
		found.Close()
		if tags[i] = found.Tag; !found.Modified.IsZero() {
			t.Error("a date that no file was changed at is told as one")
		}
	}
	if tags[0] == tags[1] {
		t.Error("two releases of a file have one tag")
	}
}

// TestSwappedLink: a link that is moved from release to release. Each file is whole and of one of them, index and
// compressed sibling too, and never missing.
func TestSwappedLink(t *testing.T) {
	base := t.TempDir()
	var releases [2]string
	for i, name := range []string{"one", "two"} {
		releases[i] = release(t, map[string]string{"sub/index.html": name, "sub/index.html.gz": name + "gz"})
	}
	link := filepath.Join(base, "current")
	swap := func(i int) {
		os.Symlink(releases[i%2], link+".new")
		os.Rename(link+".new", link)
	}
	swap(0)
	const swaps = 10_000
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := range swaps {
			swap(i)
		}
		close(stop)
	}()
	f := New(link, Rules{})
	seen := map[string]int{}
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		found, err := f.Open("/sub/", "gzip")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(found)
		found.Close()
		seen[string(b)]++
	}
	<-swapped
	if seen["onegz"] == 0 || seen["twogz"] == 0 || len(seen) != 2 {
		t.Errorf("%v", seen)
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	os.MkdirAll(filepath.Join(dir, "assets"), 0o755)
	os.WriteFile(filepath.Join(dir, "assets", "a.png"), []byte("x"), 0o644)
	f := New(dir, Rules{})
	b.ReportAllocs()
	for b.Loop() {
		found, err := f.Open("/assets/a.png", "gzip, br")
		if err != nil {
			b.Fatal(err)
		}
		found.Close()
	}
}

// TestPrefix: a service at a path of its own serves the folder below that path, and its assets are found there too.
func TestPrefix(t *testing.T) {
	dir := release(t, map[string]string{"index.html": "home", "assets/a.js": "a", "app/inner.js": "inner"})
	f := New(dir, Rules{Prefix: "/app", Assets: []string{"/assets/*"}})
	for path, want := range map[string]string{"/app/": "home", "/app/assets/a.js": "a", "/app/inner.js": "inner", "/assets/a.js": "a"} {
		if got, err := read(f, path); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := f.Open("/app/nothing/", ""); err != ErrNotFound {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := f.Open("/appendix", ""); err != ErrNotFound {
		t.Errorf("a path that only begins alike: %v", err)
	}
	if !f.Asset("/app/assets/b.js") || !f.Asset("/assets/b.js") || f.Asset("/app/b.js") {
		t.Error("assets below the prefix")
	}
	if other := New(release(t, map[string]string{"index.html": "home"}), Rules{Prefix: "/app"}); true {
		if _, err := other.Open("/app", ""); err != ErrFolder {
			t.Errorf("the prefix itself: %v, want ErrFolder", err)
		}
	}
	if !f.Is(dir, Rules{Prefix: "/app", Assets: []string{"/assets/*"}}) || f.Is(dir, Rules{Prefix: "/app"}) || f.Is(dir+"x", f.rules) {
		t.Error("Is")
	}
}

// TestLinkIsMoved moves the link to the folder all the time, by renaming and by removing it first, and deletes the folder
// that it was moved away from: each lookup finds the file in one of them.
func TestLinkIsMoved(t *testing.T) {
	base := t.TempDir()
	current := filepath.Join(base, "current")
	lay := func(n int) string {
		dir := filepath.Join(base, "r"+strings.Repeat("i", n%5))
		os.RemoveAll(dir)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "index.html"), []byte("home"), 0o644)); err != nil {
			t.Error(err)
		}
		return dir
	}
	if err := os.Symlink(lay(0), current); err != nil {
		t.Fatal(err)
	}
	moves, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
			moves++
			to, next := lay(moves), current+".next"
			var err error
			if moves%2 == 0 {
				err = errors.Join(os.Symlink(to, next), os.Rename(next, current))
			} else {
				err = errors.Join(os.Remove(current), os.Symlink(to, current))
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	f, reads := New(current, Rules{}), 0
	for {
		select {
		case <-done:
			if moves < 100 || reads < 100 {
				t.Errorf("only %d moves and %d reads", moves, reads)
			}
			return
		default:
		}
		if got, err := read(f, "/"); got != "home" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		reads++
	}
}
