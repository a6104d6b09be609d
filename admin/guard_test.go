package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const token = "a token of some length"

// TestOnTCP: a row for each way in that must stay shut, and the ones that are open.
func TestOnTCP(t *testing.T) {
	rows := []struct {
		name, path string
		fields     []string
		status     int
		kind       string
	}{
		{"the token", "/v1/status", []string{"Authorization", "Bearer " + token}, 200, ""},
		{"the scheme in lower case", "/v1/status", []string{"Authorization", "bearer " + token}, 200, ""},
		{"no token", "/v1/status", nil, 401, "token"},
		{"a wrong token", "/v1/status", []string{"Authorization", "Bearer " + token + "x"}, 401, "token"},
		{"a part of the token", "/v1/status", []string{"Authorization", "Bearer " + token[:5]}, 401, "token"},
		{"an empty token", "/v1/status", []string{"Authorization", "Bearer "}, 401, "token"},
		{"another scheme", "/v1/status", []string{"Authorization", "Basic " + token}, 401, "token"},
		{"the token in the query", "/v1/status?token=" + token[:1], nil, 401, "token"},
		{"metrics without", "/metrics", nil, 401, "token"},
		{"a path that is not there tells nothing", "/v1/secret", nil, 401, "token"},
		{"healthz is open", "/healthz", nil, 200, ""},
		{"localhost", "/v1/status", []string{"Host", "localhost:9900", "Authorization", "Bearer " + token}, 200, ""},
		{"IPv6 loopback", "/v1/status", []string{"Host", "[::1]:9900", "Authorization", "Bearer " + token}, 200, ""},
		{"a configured name", "/v1/status", []string{"Host", "sluice.internal", "Authorization", "Bearer " + token}, 200, ""},
		{"DNS rebinding", "/v1/status", []string{"Host", "evil.example", "Authorization", "Bearer " + token}, 403, "host"},
		{"DNS rebinding, healthz too", "/healthz", []string{"Host", "evil.example"}, 403, "host"},
		{"a name that begins like ours", "/v1/status", []string{"Host", "localhost.evil.example", "Authorization", "Bearer " + token}, 403, "host"},
	}
	w := serve(t, "tcp", "127.0.0.1:0", token, func(o *Options) { o.Hosts = []string{"sluice.internal"} })
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := w.ask("GET", row.path, "", row.fields...)
			if got.status != row.status || row.kind != "" && got.problem(t).Kind() != row.kind {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.status == 401 && got.header.Get("WWW-Authenticate") == "" {
				t.Error("RFC 9110 §11.6.1: a 401 names the scheme")
			}
		})
	}
}

// TestNoPageMayAsk: what browsers add to requests of pages is refused on every way in.
func TestNoPageMayAsk(t *testing.T) {
	rows := []struct {
		name   string
		fields []string
		status int
	}{
		{"curl", nil, 202},
		{"typed into a browser", []string{"Sec-Fetch-Site", "none"}, 202},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sibling site", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"any Origin", []string{"Origin", "http://localhost"}, 403},
		{"a hidden Origin", []string{"Origin", "null"}, 403},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := newWindow(t)
			got := w.ask("POST", "/v1/services/web/flip?pool=green", "", row.fields...)
			if got.status != row.status || (len(w.fake.calls()) > 0) != (row.status == 202) {
				t.Errorf("%d %s, asked %v", got.status, got.body, w.fake.calls())
			}
		})
	}
}

func TestListenOnUnix(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "admin.sock")
	l, err := Listen("unix", path, "")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %o", file, info.Mode(), err, want)
		}
	}
	if _, err := Listen("unix", path, ""); !errors.Is(err, ErrLive) || !strings.Contains(err.Error(), "sluice stop") {
		t.Errorf("a live socket: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen("unix", path, "")
	if err != nil {
		t.Fatalf("the socket of a process that is gone: %v", err)
	}
	again.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	rows := []struct{ name, network, address, token, says string }{
		{"a file that is no socket", "unix", file, "", "is not a socket"},
		{"a path too long", "unix", filepath.Join(dir, strings.Repeat("x", 120)), "", "107 are possible"},
		{"a folder that cannot be", "unix", filepath.Join(file, "x", "admin.sock"), "", "folder"},
		{"all addresses", "tcp", ":0", token, "not loopback"},
		{"an address of the network", "tcp", "192.0.2.1:9900", token, "not loopback"},
		{"a name", "tcp", "example.com:9900", token, "not loopback"},
		{"no token", "tcp", "127.0.0.1:0", "", "needs a token"},
		{"a port in use", "tcp", taken.Addr().String(), token, "cannot open the admin API"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l, err := Listen(row.network, row.address, row.token)
			if err == nil {
				l.Close()
				t.Fatal("it listens")
			}
			if !strings.Contains(err.Error(), row.says) {
				t.Error(err)
			}
		})
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("the file was touched")
	}
}

// TestSocketFromTheStart: there is no moment at which the file lets others in, whatever the umask is.
func TestSocketFromTheStart(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "a.sock")
	conf := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return restrict(c) }}
	l, err := conf.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestConnectionsAreBounded: the one too many waits, and is served when another leaves.
func TestConnectionsAreBounded(t *testing.T) {
	w := newWindow(t)
	var open []net.Conn
	for range mostConnections {
		nc, err := net.Dial("unix", w.socket)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, nc)
	}
	answered := make(chan int, 1)
	go func() { answered <- w.ask("GET", "/healthz", "").status }()
	for _, nc := range open {
		nc.Close()
	}
	if status := <-answered; status != 200 {
		t.Errorf("%d", status)
	}
}
