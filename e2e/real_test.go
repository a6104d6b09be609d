package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// program starts a server that is not ours and waits until it listens.
func program(t *testing.T, address string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v (make tools installs it)", name, err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	deadline := time.Now().Add(10 * time.Second)
	for {
		if res, err := http.Get("http://" + address + "/"); err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s", name, address)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

const nodeServer = `
const http = require('http'), crypto = require('crypto');
http.createServer((req, res) => {
  if (req.method === 'POST') {
    const hash = crypto.createHash('sha256'); let n = 0;
    req.on('data', d => { hash.update(d); n += d.length; });
    req.on('end', () => res.end(hash.digest('hex') + ' ' + n));
    return;
  }
  if (req.url.startsWith('/chunked')) { res.write('a'.repeat(70000)); setTimeout(() => res.end('b'), 20); return; }
  res.setHeader('Content-Type', 'text/html'); res.end('<h1>node</h1>');
}).listen(Number(process.argv[2]), '127.0.0.1');`

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func before(t *testing.T, address string) *sluice {
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    backends: [%s]\n", address)).start()
	s.await("the backend is up", func() bool { return s.backendHealth(address) == "up" })
	return s
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// checkFile downloads a file whole and in part.
func (s *sluice) checkFile(path string, want []byte) {
	s.t.Helper()
	status, body, _ := s.fetch(path)
	if status != 200 || !bytes.Equal([]byte(body), want) {
		s.t.Errorf("%s: status %d, %d bytes, want %d", path, status, len(body), len(want))
	}
}

func (s *sluice) checkRange(path string, want []byte) {
	s.t.Helper()
	req, _ := http.NewRequest("GET", "http://"+s.listen+path, nil)
	req.Header.Set("Range", "bytes=1000-1999")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 206 || !bytes.Equal(body, want[1000:2000]) {
		s.t.Errorf("range of %s: status %d, %d bytes, %v", path, res.StatusCode, len(body), err)
	}
}

func TestBeforePython(t *testing.T) {
	dir, address, want := t.TempDir(), freePort(t), content(3<<20)
	os.WriteFile(filepath.Join(dir, "large.bin"), want, 0o600)
	program(t, address, "python3", "-m", "http.server", port(address), "--bind", "127.0.0.1", "--directory", dir)
	s := before(t, address)
	for range 3 {
		s.checkFile("/large.bin", want)
	}
	if status, body, _ := s.fetch("/"); status != 200 || !strings.Contains(body, "large.bin") {
		t.Errorf("the listing: %d %s", status, body)
	}
	if status, _, _ := s.fetch("/missing"); status != 404 {
		t.Errorf("a missing file: %d", status)
	}
}

func TestBeforeNginx(t *testing.T) {
	dir, address, want := t.TempDir(), freePort(t), content(5<<20)
	os.Chmod(dir, 0o755)
	os.WriteFile(filepath.Join(dir, "large.bin"), want, 0o644)
	os.WriteFile(filepath.Join(dir, "index.html"), []byte("<h1>nginx</h1>"), 0o644)
	conf := filepath.Join(dir, "nginx.conf")
	os.WriteFile(conf, fmt.Appendf(nil, "daemon off; user root; pid %[1]s/pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; server { listen %[2]s; root %[1]s; } }\n", dir, address), 0o644)
	program(t, address, "nginx", "-p", dir, "-c", conf, "-g", "master_process off;")
	s := before(t, address)
	s.checkFile("/large.bin", want)
	s.checkRange("/large.bin", want)
	s.checkFile("/", []byte("<h1>nginx</h1>"))
}

func TestBeforeNode(t *testing.T) {
	address := freePort(t)
	script := filepath.Join(t.TempDir(), "server.js")
	os.WriteFile(script, []byte(nodeServer), 0o600)
	program(t, address, "node", script, port(address))
	s := before(t, address)
	s.checkFile("/", []byte("<h1>node</h1>"))
	s.checkFile("/chunked", append(bytes.Repeat([]byte("a"), 70000), 'b'))
	body := content(1 << 20)
	res, err := http.Post("http://"+s.listen+"/", "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	if want := fmt.Sprintf("%x %d", sha256.Sum256(body), len(body)); string(got) != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestHugeUploadInConstantMemory sends 1 GiB through Sluice to Node.
func TestHugeUploadInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a gibibyte takes some seconds")
	}
	address := freePort(t)
	script := filepath.Join(t.TempDir(), "server.js")
	os.WriteFile(script, []byte(nodeServer), 0o600)
	program(t, address, "node", script, port(address))
	s := before(t, address)
	idle := s.rss()
	hash := sha256.New()
	block := content(1 << 20)
	const blocks = 1 << 10
	body, feed := io.Pipe()
	go func() {
		for range blocks {
			hash.Write(block)
			feed.Write(block)
		}
		feed.Close()
	}()
	req, _ := http.NewRequest("POST", "http://"+s.listen+"/", body)
	req.ContentLength = blocks << 20
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	if want := fmt.Sprintf("%x %d", hash.Sum(nil), blocks<<20); string(got) != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if grown := s.rss() - idle; grown > 16<<10 {
		t.Errorf("memory grew by %d KiB over a 1 GiB upload", grown)
	} else {
		t.Logf("memory: %d KiB idle, %d KiB more after 1 GiB", idle, grown)
	}
}

// rss is the peak resident memory of the process so far, in KiB.
func (s *sluice) rss() int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	s.t.Fatal("no VmHWM")
	return 0
}
