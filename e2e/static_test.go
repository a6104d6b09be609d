package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// layRelease writes a site: a page that names its release and the one asset that only this release has.
func layRelease(t *testing.T, dir, name string) {
	t.Helper()
	for file, text := range map[string]string{
		".release": name, "index.html": name + " assets/app-" + name + ".js\n" + strings.Repeat(name, 5000), "assets/app-" + name + ".js": asset(name),
	} {
		at := filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// asset is larger than what is sent in one piece.
func asset(release string) string { return strings.Repeat(release+"\n", 50_000) }

// siteLoad is visitors who load the page and then its asset, over and over, on connections of their own.
type siteLoad struct {
	wg     sync.WaitGroup
	ended  atomic.Bool
	visits atomic.Int64
	wrong  atomic.Int64
	first  atomic.Pointer[string]
}

func (s *sluice) visit(n int) *siteLoad {
	v := &siteLoad{}
	for range n {
		v.wg.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for !v.ended.Load() {
				if err := visitOnce(client, "http://"+s.listen+"/"); err != nil {
					text := err.Error()
					v.wrong.Add(1)
					v.first.CompareAndSwap(nil, &text)
				}
				v.visits.Add(1)
			}
		})
	}
	return v
}

func (v *siteLoad) end(t *testing.T) {
	t.Helper()
	v.ended.Store(true)
	v.wg.Wait()
	if n := v.wrong.Load(); n > 0 {
		t.Errorf("%d of %d visits went wrong, the first: %s", n, v.visits.Load(), *v.first.Load())
	}
	if v.visits.Load() < 100 {
		t.Errorf("only %d visits", v.visits.Load())
	}
}

func visitOnce(client *http.Client, url string) error {
	page, err := download(client, url)
	if err != nil {
		return err
	}
	head, rest, _ := strings.Cut(page, "\n")
	release, part, _ := strings.Cut(head, " ")
	if rest != strings.Repeat(release, 5000) {
		return fmt.Errorf("the page is torn: %.40q", page)
	}
	got, err := download(client, url+part)
	if err == nil && got != asset(release) {
		err = fmt.Errorf("the asset of %s is torn", release)
	}
	return err
}

func download(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%s: %d %s", url, res.StatusCode, body)
	}
	return string(body), err
}

func (s *sluice) page() string {
	_, body, _ := s.fetch("/")
	name, _, _ := strings.Cut(body, " ")
	return name
}

// TestStaticFlips: two folders are flipped under load. No file is missing, each is whole, the new release answers from the
// flip's answer on, and a page of before still gets its asset.
func TestStaticFlips(t *testing.T) {
	dir := t.TempDir()
	blue, green := filepath.Join(dir, "blue"), filepath.Join(dir, "green")
	layRelease(t, blue, "v1")
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    pools: {blue: {root: %s}, green: {root: %s}}\n    assets: /assets/*\n    health: {interval: 100ms}\n", blue, green)).start()
	s.await("v1 is served", func() bool { return s.page() == "v1" })
	if out, code := s.cli("flip", "web", "green"); code != 1 || !strings.Contains(out, "no such folder") {
		t.Errorf("a flip to a folder that is not there: exit %d: %s", code, out)
	}
	layRelease(t, green, "v2")
	s.await("green is up", func() bool { return strings.Contains(s.must("status"), "v2") })
	if out, code := s.cli("flip", "web", "green", "--release", "v3"); code != 1 {
		t.Errorf("a flip to a release that is not there: exit %d: %s", code, out)
	}
	load := s.visit(4)
	names, pools := [2]string{"v1", "v2"}, [2]string{"blue", "green"}
	flips := 0
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		flips++
		if status, answer := s.post("/v1/services/web/flip?pool=" + pools[flips%2] + "&release=" + names[flips%2]); status/100 != 2 {
			t.Fatalf("flip: %d %v", status, answer)
		}
		if got := s.page(); got != names[flips%2] {
			t.Fatalf("%s answers after the flip to %s", got, names[flips%2])
		}
	}
	load.end(t)
	_, answer := s.get("/v1/status")
	traffic := answer["services"].([]any)[0].(map[string]any)["traffic"].(map[string]any)
	earlier, _ := traffic["from_previous"].(float64)
	if earlier == 0 {
		t.Error("no page of before asked for its asset: this run proves nothing of that")
	}
	if n := s.metric(`sluice_assets_from_previous_total{service="web"}`); n != earlier {
		t.Errorf("the metrics tell of %v assets of the release before, the status of %v", n, earlier)
	}
	t.Logf("%d flips, %d visits, %.0f assets of the release before", flips, load.visits.Load(), earlier)
	t.Log(s.must("rollback", "web"))
	t.Log(s.must("status"))
	live := s.page()
	for _, pool := range []string{blue, green} { // a folder is named as a server is
		s.must("drain", "web", pool)
	}
	if status, _, _ := s.fetch("/"); status != 503 {
		t.Errorf("both folders are drained: %d", status)
	}
	s.must("ready", "web", "blue/"+blue)
	s.must("ready", "web", "green/"+green)
	s.await("it is served again", func() bool { return s.page() == live })
}

// TestLinkSwaps moves the link to a site ten thousand times under load, in the ways that tools do it.
func TestLinkSwaps(t *testing.T) {
	dir := t.TempDir()
	current := filepath.Join(dir, "current")
	layRelease(t, filepath.Join(dir, "41"), "v41")
	layRelease(t, filepath.Join(dir, "42"), "v42")
	for _, name := range []string{"v41", "v42"} { // there is no pool before: each release keeps the assets of the other
		for _, folder := range []string{"41", "42"} {
			if err := os.WriteFile(filepath.Join(dir, folder, "assets/app-"+name+".js"), []byte(asset(name)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("41", current); err != nil {
		t.Fatal(err)
	}
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    pools: {site: {root: %s}}\n    health: {interval: 50ms}\n", current)).start()
	s.await("v41 is served", func() bool { return s.page() == "v41" })
	load := s.visit(4)
	seen := map[string]int{}
	for n := range 10_000 {
		to := [2]string{"42", "41"}[n%2]
		var err error
		if n%10 == 0 {
			err = errors.Join(os.Remove(current), os.Symlink(to, current))
		} else {
			err = errors.Join(os.Symlink(to, current+".next"), os.Rename(current+".next", current))
		}
		if err != nil {
			t.Fatal(err)
		}
		if n%51 == 0 {
			if got := s.page(); got != "v"+to {
				t.Fatalf("%q after the link was moved to %s", got, to)
			}
			seen[to]++
		}
	}
	load.end(t)
	t.Logf("%d visits, %v", load.visits.Load(), seen)
	if err := errors.Join(os.Remove(current), os.Symlink("42", current)); err != nil {
		t.Fatal(err)
	}
	s.await("the status shows the release that the link leads to", func() bool {
		out := s.must("status")
		return strings.Contains(out, "v42") && !strings.Contains(out, "v41") && strings.Contains(out, " up")
	})
}

// TestStaticDrain: a flip waits for a slow download, which arrives whole; one that is longer than the drain may take ends
// visibly incomplete, and the receipt says so.
func TestStaticDrain(t *testing.T) {
	dir := t.TempDir()
	blue, green := filepath.Join(dir, "blue"), filepath.Join(dir, "green")
	layRelease(t, blue, "v1")
	layRelease(t, green, "v2")
	film := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB, more than all buffers on the way
	if err := os.WriteFile(filepath.Join(blue, "film.mp4"), film, 0o644); err != nil {
		t.Fatal(err)
	}
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    pools: {blue: {root: %s}, green: {root: %s}}\n    health: {interval: 100ms}\n    drain: {timeout: 2s}\n", blue, green)).start()
	s.await("v1 is served", func() bool { return s.page() == "v1" })
	begin := func() *http.Response {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.listen + "/film.mp4")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	slow, stuck := begin(), begin()
	s.await("both are inside", func() bool { return strings.Count(s.must("status", "--inside"), "/film.mp4") == 2 })
	receipt := make(chan string, 1)
	go func() {
		out, _ := s.cli("flip", "web", "green")
		receipt <- out
	}()
	s.await("v2 is served", func() bool { return s.page() == "v2" })
	if got, err := io.ReadAll(slow.Body); err != nil || !bytes.Equal(got, film) {
		t.Errorf("the slow download: %d bytes, %v", len(got), err)
	}
	out := <-receipt
	if n, err := io.Copy(io.Discard, stuck.Body); err == nil {
		t.Errorf("the stuck download passed for whole with %d bytes", n)
	}
	t.Log(out)
	if !strings.Contains(out, "1 cut") && !strings.Contains(out, "cut 1") {
		t.Errorf("the receipt tells of no cut:\n%s", out)
	}
}
