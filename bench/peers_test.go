package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPeersDoTheSameWork starts every peer that is installed as each of its works configures it.
func TestPeersDoTheSameWork(t *testing.T) {
	for _, p := range peers(options{}.goBinaries()) {
		if _, err := exec.LookPath(p.binary); err != nil {
			t.Logf("%s is not installed", p.name)
			continue
		}
		for _, w := range works() {
			if !w.measures(p) {
				continue
			}
			config, err := sameWork(t.Context(), p, t.TempDir(), w)
			if err != nil {
				t.Errorf("%s, %s: %v", p.name, w.name, err)
			}
			if p.deploy == "" && w.accessLog != strings.Contains(config, "log-format") && w.accessLog != strings.Contains(config, "access.log") {
				t.Errorf("%s, %s: the access log is not as the work says:\n%s", p.name, w.name, config)
			}
		}
	}
}

// TestLessWorkIsFound takes one duty away from nginx and expects to be told.
func TestLessWorkIsFound(t *testing.T) {
	needs(t, "nginx")
	w := works()[0]
	for without, says := range map[string]string{
		"proxy_set_header X-Request-Id $request_id;":                       "X-Request-Id is missing",
		"proxy_set_header X-Forwarded-Proto $scheme;":                      "X-Forwarded-Proto",
		"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;":     "X-Forwarded-For",
		"proxy_http_version 1.1;\n            proxy_set_header Connection": "not kept",
	} {
		p, _ := findPeer(nil, "nginx")
		p.config = strings.Replace(p.config, without, "proxy_set_header X-Other", 1)
		if !strings.HasSuffix(without, "Connection") {
			p.config = strings.Replace(p.config, "proxy_set_header X-Other", "", 1)
		}
		if _, err := sameWork(t.Context(), p, t.TempDir(), w); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %q: got %v, want an error with %q", without, err, says)
		}
	}
}

// TestBackends asks the backend of every work for what the peers will forward from it.
func TestBackends(t *testing.T) {
	needs(t, "nginx", "haproxy")
	for _, w := range works() {
		want := 100
		if w.backend == largeBody {
			want = 1 << 20
		}
		if got := bodyLength(t, w); got != want {
			t.Errorf("%s: the backend answers %d bytes, want %d", w.name, got, want)
		}
	}
}

func bodyLength(t *testing.T, w work) int {
	t.Helper()
	dir := t.TempDir()
	openToNginx(t, dir)
	r, err := backendFor(w).start(t.Context(), dir, w, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
	defer r.stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	ask := func() (*http.Response, error) {
		if w.backend == largeBody { // a file is not posted to
			return client.Get(r.url)
		}
		return client.Post(r.url, "application/octet-stream", strings.NewReader(strings.Repeat("x", 65536)))
	}
	resp, err := ask()
	if err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", w.name, resp.Status)
	}
	length, err := strconv.Atoi(resp.Header.Get("Content-Length"))
	if err != nil {
		t.Errorf("%s: %v", w.name, err)
	}
	return length
}

// openToNginx lets another user reach dir: nginx's workers are one when the tests run as root.
func openToNginx(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	for reason, script := range map[string]string{
		"a child that outlives its parent": `sleep 60 & echo $!; exec sleep 60`,
		"a child that ignores the request": `(trap '' TERM; sleep 60) & echo $!; exec sleep 60`,
	} {
		p, err := startProcess("group", t.TempDir(), "output.log", []string{"sh", "-c", script})
		if err != nil {
			t.Fatal(err)
		}
		child := firstNumber(t, p.log)
		p.stop()
		if !gone(child) {
			t.Errorf("%s: process %d is still there", reason, child)
		}
	}
}

func firstNumber(t *testing.T, path string) int {
	t.Helper()
	for range 500 {
		text, _ := os.ReadFile(path)
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the script printed no process id")
	return 0
}

// gone waits a little: the kernel takes a killed process away in its own time. One that has ended and waits for
// its parent to notice counts as gone.
func gone(pid int) bool {
	for range 200 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestStopOfAnEndedProcess(t *testing.T) {
	p, err := startProcess("short", t.TempDir(), "output.log", []string{"true"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	p.stop()
}

func TestStartTellsWhatWentWrong(t *testing.T) {
	w := works()[0]
	broken := server{name: "broken", file: "c", config: "x", args: func(string) []string {
		return []string{"sh", "-c", "echo the disk is full; exit 3"}
	}}
	if _, err := broken.start(t.Context(), t.TempDir(), w, nil, nil); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want what the program printed", err)
	}
	missing := server{name: "missing", file: "c", config: "x", args: func(string) []string { return []string{"/nonexistent/program"} }}
	if _, err := missing.start(t.Context(), t.TempDir(), w, nil, nil); err == nil || !strings.Contains(err.Error(), "starting missing") {
		t.Errorf("got %v, want the program's name", err)
	}
	silent := server{name: "silent", file: "c", config: "x", args: func(string) []string { return []string{"sleep", "60"} }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := silent.start(ctx, t.TempDir(), w, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to give up when the caller does", err)
	}
}

func TestSluiceConfiguration(t *testing.T) {
	at := site{Listens: []string{"127.0.0.1:1"}, Backends: []string{"127.0.0.1:2"}, Services: servicesFor(0), Dir: "/tmp/x", Threads: 1, Connections: 64}
	got, err := at.render(sluiceProxy)
	if err != nil {
		t.Fatal(err)
	}
	want := `listen: http://127.0.0.1:1
admin: unix:///tmp/x/admin.sock
state: /tmp/x/state
access_log: "off"
limits: {connections: 16384}
services:
  web:
    backends: [127.0.0.1:2]
    health: {path: /}
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestPlainEnv(t *testing.T) {
	got := plainEnv([]string{"PATH=/bin", "GOMAXPROCS=4", "GOGC=off", "GOMEMLIMIT=1GiB", "GODEBUG=x=1", "HOME=/root"})
	if !slices.Equal(got, []string{"PATH=/bin", "HOME=/root"}) {
		t.Errorf("got %v: a tuned Go program is not what anyone runs", got)
	}
}

func TestNeededTools(t *testing.T) {
	small, _ := findWorks("small")
	upload, _ := findWorks("upload64k")
	for _, c := range []struct {
		reason string
		o      options
		pinned bool
		want   []string
	}{
		{"nginx is the backend of everyone", options{works: small, peers: []string{"sluice"}}, false, []string{"wrk", "nginx"}},
		{"more than one core", options{works: small, peers: []string{"sluice"}}, true, []string{"wrk", "nginx", "taskset"}},
		{"haproxy is measured", options{works: small, peers: []string{"haproxy"}}, false, []string{"wrk", "nginx", "haproxy"}},
		{"haproxy moves bodies within the kernel", options{works: small, peers: []string{"haproxy-splice"}}, false, []string{"wrk", "nginx", "haproxy"}},
		{"caddy is measured, and system calls counted", options{works: small, peers: []string{"caddy"}, strace: true}, false, []string{"wrk", "nginx", "caddy", "strace"}},
		{"haproxy takes the uploads", options{works: upload, peers: []string{"sluice"}}, false, []string{"wrk", "nginx", "haproxy"}},
	} {
		got := neededTools(c.o, c.pinned)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.reason, got, c.want)
		}
		for _, tool := range got {
			if packages[tool] == "" {
				t.Errorf("%s: no package is known for %s", c.reason, tool)
			}
		}
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := ensureTools(t.Context(), []string{"wrk", "taskset"}, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "apt-get install wrk util-linux") {
		t.Errorf("got %v, want what to install", err)
	}
}

const logLine = `{"time":"now","client":"a","method":"GET","host":"h","path":"/","status":200,"bytes":1,"duration_ms":0}` + "\n"

func TestLogThatTellsLessIsFound(t *testing.T) {
	for text, says := range map[string]string{
		logLine: "", `"GET / HTTP/1.1" 200`: "no JSON",
		strings.Replace(logLine, "duration_ms", "x", 1): "no duration_ms", strings.Replace(logLine, `"host"`, `"x"`, 1): "no host",
	} {
		err := checkLine([]byte(text))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: got %v, want %q", text, err, says)
		}
	}
}

func TestMissingLogIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := checkLogged(dir); err == nil {
		t.Error("no log at all passed")
	}
	for name, text := range map[string]string{"output.log": "starting\n", "access.log": logLine} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkLogged(dir); err == nil || !strings.Contains(err.Error(), "1 lines of 2") {
		t.Errorf("got %v: one line of two requests", err)
	}
}

func TestObserverLeavesHealthChecksOut(t *testing.T) {
	o := &observer{}
	o.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if err := o.check(true); err == nil || !strings.Contains(err.Error(), "0 of 2") {
		t.Errorf("got %v: a health check counted as a request", err)
	}
}

// TestBackendOfManyAddresses asks one backend by two of its addresses.
func TestBackendOfManyAddresses(t *testing.T) {
	needs(t, "nginx")
	w := works()[0]
	w.backends = 300
	dir := t.TempDir()
	openToNginx(t, dir)
	r, err := backendFor(w).start(t.Context(), dir, w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	if len(r.listens) != 300 || r.listens[0] == r.listens[299] {
		t.Fatalf("%d addresses", len(r.listens))
	}
	for _, address := range []string{r.listens[1], r.listens[299]} {
		if !answers(address) {
			t.Errorf("%s does not answer", address)
		}
	}
}

// TestHostsAreRouted gives nginx and HAProxy many hosts and asks for the last one: each peer must look it up.
func TestHostsAreRouted(t *testing.T) {
	needs(t, "nginx", "haproxy")
	w := withHosts(works()[0], 250)
	dir := t.TempDir()
	openToNginx(t, dir)
	backend, err := backendFor(w).start(t.Context(), dir, w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.stop()
	for name, part := range map[string]string{"nginx": "server_name h50.bench.test h150.bench.test h250.bench.test;", "haproxy": "backend web50\n"} {
		p, _ := findPeer(nil, name)
		r, err := p.start(t.Context(), dir, w, nil, backend.listens)
		if err != nil {
			t.Fatal(err)
		}
		defer r.stop()
		if !strings.Contains(r.config, part) {
			t.Errorf("%s has no %q", name, part)
		}
		script := filepath.Join(dir, "hosts.lua")
		if err := os.WriteFile(script, []byte(w.script), 0o644); err != nil {
			t.Fatal(err)
		}
		if l, err := runWrk(t.Context(), w, script, r.url, 1, nil); err != nil || l.Requests == 0 {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestHostsAreSpreadOverServices(t *testing.T) {
	for hosts, services := range map[int]int{0: 1, 1: 2, 100: 101, 10_000: 101} {
		list := servicesFor(hosts)
		seen := map[string]bool{}
		for _, s := range list[1:] {
			for _, h := range s.Hosts {
				seen[h] = true
			}
		}
		if len(list) != services || len(seen) != hosts || len(list[0].Hosts) != 0 {
			t.Errorf("%d hosts: %d services and %d hosts", hosts, len(list), len(seen))
		}
	}
}
