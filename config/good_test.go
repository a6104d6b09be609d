package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// isolate keeps the machine's own settings out of a test.
func isolate(t testing.TB) {
	t.Helper()
	for _, name := range []string{tokenVariable, "XDG_RUNTIME_DIR", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
}

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse("sluice.yaml", []byte(text))
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return c
}

// one parses a service "web" of these lines and returns it.
func one(t testing.TB, lines ...string) Service {
	t.Helper()
	return mustParse(t, "services:\n  web:\n    "+strings.Join(lines, "\n    ")+"\n").Services[0]
}

func equal(t *testing.T, reason string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", reason, got, want)
	}
}

// TestFourLines holds that the smallest file is enough, and what each default is.
func TestFourLines(t *testing.T) {
	isolate(t)
	c := mustParse(t, example)
	equal(t, "the file", c.File, "sluice.yaml")
	equal(t, "sha256 of the bytes", c.Digest, digest([]byte(example)))
	equal(t, "listen", c.Listen, []Listener{{"http", "tcp", ":8080"}})
	equal(t, "admin is the default socket", unixScheme+"//"+c.Admin.Address, DefaultAdmin())
	equal(t, "admin is a socket", c.Admin.Network, "unix")
	equal(t, "no token", c.Admin.Token, "")
	equal(t, "state", c.State, DefaultState())
	equal(t, "access log", c.AccessLog, "stdout")
	equal(t, "no tls", c.TLS, TLS{})
	equal(t, "nobody is trusted", len(c.Trusted), 0)
	equal(t, "limits", c.Limits, Limits{65536, 200, 16384, 16384, 16384, 10, 0, 256, 64 << 20, Memory{80, 0}, 0, 0})
	equal(t, "timeouts", c.Timeouts, Timeouts{
		Connect: 2 * time.Second, Head: 10 * time.Second, First: 30 * time.Second, Idle: 75 * time.Second, Body: 60 * time.Second, BodyGrace: 30 * time.Second,
		Response: 60 * time.Second, BackendIdle: 60 * time.Second, Write: 60 * time.Second, TLSHandshake: 10 * time.Second, Age: time.Hour,
	})
	equal(t, "shutdown", c.Shutdown, Shutdown{2 * time.Second, 30 * time.Second})
	equal(t, "services", c.Services, []Service{{
		Name: "web", Path: "/", Live: "default", Balance: "least_requests", Line: 3,
		Pools: []Pool{{Name: "default", Backends: []Backend{{Address: "127.0.0.1:3000", Network: "tcp", Dial: "127.0.0.1:3000", Weight: 1, MaxConnections: 0}}}},
		Health: Health{
			Type: "http", OnChange: "quarantine", AppDrain: true, Schema: true,
			Path: "/", Interval: 2 * time.Second, Timeout: time.Second, FastInterval: 500 * time.Millisecond,
			Rise: 2, Fall: 3, Expect: Expect{Status: []StatusRange{{200, 499}}}, Release: "version",
		},
		Drain: Drain{30 * time.Second, 10 * time.Second, 10 * time.Second},
		Hold:  Hold{false, 30 * time.Second, 1000, 64 << 20, 100}, WhenDown: "fail",
		Retry: Retry{4, 20},
		Eject: Eject{
			Connect: 3, Answers: []StatusRange{{502, 504}}, Above: 100 * time.Millisecond, Window: 10 * time.Second,
			Most: 50, Time: 10 * time.Second, Longest: 5 * time.Minute,
		},
		Bake: Bake{
			OnWorse: "rollback", MinRequests: 50, Errors: 0.005, ErrorsFactor: 1.25,
			Latency: true, SlowerBy: 10 * time.Millisecond, SlowerFactor: 1.25, Falls: 3, FalseAlarms: 0.01, Every: 500 * time.Millisecond,
		},
		Rollback: Rollback{30 * time.Minute}, Section: Section{"backends": "['127.0.0.1:3000']", "max_body": "0B"}, file: "sluice.yaml",
	}})
	equal(t, "without listen", mustParse(t, "services: {web: {backends: [app:3000]}}").Listen, c.Listen)
}

// everyKey is the file of the design, less what is not in this version, with the keys it does not show.
const everyKey = `listen: [http://:80, https://:443]
admin: unix:///run/sluice/admin.sock
state: /var/lib/sluice
access_log: stdout
trusted: [10.0.0.0/8, "::1"]
tls:
  acme: {email: ops@example.com}
  certificates: [{cert: a.pem, key: a.key}]
limits: {head_bytes: 32KiB, fields: 100, target_bytes: 8000, field_bytes: 4KiB, trailer_bytes: 0B, interim_responses: 3, body_bytes: 10MiB, body_rate: 1KiB, intake_bytes: 1MiB, memory: 512MiB, requests: 1000, connections: 5000}
timeouts: {connect: 1s, head: 2s, first: 9s, idle: 3s, body: 4s, body_grace: 8s, response: 5s, backend_idle: 6s, write: 7s, tunnel: 1h30m, tls_handshake: 500ms, age: 0s}
shutdown: {grace: 0s, timeout: 1m}
services:
  web:
    hosts: [Example.com, "*.example.com"]
    path: /
    live: green
    pools:
      blue:  [10.0.0.1:3000, 10.0.0.2:3000]
      green: {backends: [{address: 10.0.0.3:3000, weight: 2}]}
    balance: round_robin
    health: {path: /health, interval: 2s, timeout: 1s, rise: 2, fall: 3, expect: {status: 200, json: {status: ok}}, release: version}
    drain: {timeout: 30s, stream: 10s, websocket: 10s}
    hold: {age: 1m, requests: 5, bytes: 1MiB, ramp: 7}
    when_down: open
  api:
    path: /api
    max_body: 0B
    backends: [unix:///run/api.sock]
`

func TestEveryKey(t *testing.T) {
	isolate(t)
	c := mustParse(t, everyKey)
	equal(t, "listen", c.Listen, []Listener{{"http", "tcp", ":80"}, {"https", "tcp", ":443"}})
	equal(t, "admin", c.Admin, Admin{"unix", "/run/sluice/admin.sock", ""})
	equal(t, "state", c.State, "/var/lib/sluice")
	equal(t, "trusted", c.Trusted, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	equal(t, "certificates", c.TLS.Certificates, []Certificate{{"a.pem", "a.key"}})
	equal(t, "acme", *c.TLS.ACME, ACME{"ops@example.com", defaultCA, "/var/lib/sluice/certificates"})
	equal(t, "limits", c.Limits, Limits{32768, 100, 8000, 4096, 0, 3, 10 << 20, 1024, 1 << 20, Memory{80, 512 << 20}, 1000, 5000})
	equal(t, "timeouts", c.Timeouts, Timeouts{
		time.Second, 2 * time.Second, 9 * time.Second, 3 * time.Second, 4 * time.Second, 8 * time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second,
		90 * time.Minute, 500 * time.Millisecond, 0,
	})
	equal(t, "shutdown", c.Shutdown, Shutdown{0, time.Minute})
	web, api := c.Services[0], c.Services[1]
	equal(t, "hosts are in lower case", web.Hosts, []string{"example.com", "*.example.com"})
	equal(t, "live", web.Live, "green")
	equal(t, "pools in file order", []string{web.Pools[0].Name, web.Pools[1].Name}, []string{"blue", "green"})
	equal(t, "long form", web.Pools[1].Backends, []Backend{{Address: "10.0.0.3:3000", Network: "tcp", Dial: "10.0.0.3:3000", Weight: 2, MaxConnections: 0}})
	equal(t, "balance", web.Balance, "round_robin")
	equal(t, "expect", web.Health.Expect, Expect{[]StatusRange{{200, 200}}, map[string]any{"status": "ok"}})
	equal(t, "a socket", api.Pools[0].Backends, []Backend{{Address: "unix:///run/api.sock", Network: "unix", Dial: "/run/api.sock", Weight: 1, MaxConnections: 0}})
	equal(t, "the process's limit on bodies, and an own one", []int{web.MaxBody, api.MaxBody}, []int{10 << 20, 0})
	equal(t, "line", api.Line, 25)
	equal(t, "hold", web.Hold, Hold{true, time.Minute, 5, 1 << 20, 7})
	equal(t, "when down", []string{web.WhenDown, api.WhenDown}, []string{"open", "fail"})
	equal(t, "routes, in the order of trial", c.Routes(), []Route{
		{"example.com", "/", "web", "green"}, {"*.example.com", "/", "web", "green"}, {"", "/api", "api", "default"},
	})
}

func TestDefaultPools(t *testing.T) {
	isolate(t)
	equal(t, "the first pool is live", one(t, "pools: {b: [x:1], a: [y:1]}").Live, "b")
	equal(t, "one backend needs no list", one(t, "backends: app:3000").Pools[0].Backends[0].Address, "app:3000")
	equal(t, "nor in a pool", one(t, "pools: {blue: app:3000}").Pools[0].Backends[0].Address, "app:3000")
	equal(t, "a share of memory", mustParse(t, "limits: {memory: 50%}\nservices: {web: {backends: x:1}}").Limits.Memory, Memory{50, 0})
	equal(t, "any memory", mustParse(t, "limits: {memory: off}\nservices: {web: {backends: x:1}}").Limits.Memory, Memory{})
	equal(t, "a queue by its time", one(t, "backends: x:1", "queue: 2s").Queue, Queue{100, 2 * time.Second})
	equal(t, "a queue by its length", one(t, "backends: x:1", "queue: {requests: 7}").Queue, Queue{7, time.Second})
	equal(t, "no queue", one(t, "backends: x:1", "queue: off").Queue, Queue{})
	equal(t, "retry", one(t, "backends: x:1", "retry: {budget: 5%, attempts: 2}").Retry, Retry{2, 5})
	equal(t, "no retry", one(t, "backends: x:1", "retry: off").Retry.Attempts, 1)
	capped := one(t, "max_connections: 5", "pools:",
		"  a: [x:1, {address: y:1, max_connections: 7}, {address: z:1, max_connections: 0}]", "  b: {max_connections: 9, backends: [x:1]}")
	var caps []int
	for _, p := range capped.Pools {
		for _, b := range p.Backends {
			caps = append(caps, b.MaxConnections)
		}
	}
	equal(t, "the nearest cap holds", caps, []int{5, 7, 0, 9})
	equal(t, "the pool's own cap", capped.Pools[1].MaxConnections, 9)
	equal(t, "weight 0 beside another", one(t, "backends: [x:1, {address: y:1, weight: 0}]").Pools[0].Backends[1].Weight, 0)
}

func TestBackendAddresses(t *testing.T) {
	isolate(t)
	for _, test := range []struct{ written, address, network, dial string }{
		{"10.0.0.1:3000", "10.0.0.1:3000", "tcp", "10.0.0.1:3000"},
		{"http://10.0.0.1:3000", "10.0.0.1:3000", "tcp", "10.0.0.1:3000"},
		{"http://10.0.0.1:3000/", "10.0.0.1:3000", "tcp", "10.0.0.1:3000"},
		{"App_1:0080", "app_1:80", "tcp", "app_1:80"},
		{"localhost:3000", "localhost:3000", "tcp", "localhost:3000"},
		{`"[2001:DB8:0::1]:3000"`, "[2001:db8::1]:3000", "tcp", "[2001:db8::1]:3000"},
		{"unix:///run//app.sock", "unix:///run/app.sock", "unix", "/run/app.sock"},
		{"unix:/run/app.sock", "unix:///run/app.sock", "unix", "/run/app.sock"},
		{"/run/app.sock", "unix:///run/app.sock", "unix", "/run/app.sock"},
	} {
		got := one(t, "backends: ["+test.written+"]").Pools[0].Backends[0]
		equal(t, test.written, got, Backend{Address: test.address, Network: test.network, Dial: test.dial, Name: got.Name, Weight: 1})
	}
}

func TestHealthForms(t *testing.T) {
	isolate(t)
	up := givenHealth()
	equal(t, "/health and 200 once it is given", one(t, "backends: x:1", "health: {rise: 2}").Health, up)
	equal(t, "off leaves nothing", one(t, "backends: x:1", "health: off").Health, Health{Off: true})
	up.Path = "/up?full=1"
	equal(t, "a path alone", one(t, "backends: x:1", "health: /up?full=1").Health, up)
	for _, test := range []struct {
		written string
		want    time.Duration
	}{
		{"interval: 8s", 2 * time.Second}, {"interval: 200ms", 100 * time.Millisecond}, {"interval: 50ms", 50 * time.Millisecond},
		{"interval: 8s, fast_interval: 7s", 7 * time.Second}, {"fast_interval: 7s, interval: 8s", 7 * time.Second},
	} {
		equal(t, test.written, one(t, "backends: x:1", "health: {"+test.written+"}").Health.FastInterval, test.want)
	}
	equal(t, "TCP", one(t, "backends: x:1", "health: tcp").Health,
		Health{Type: "tcp", Interval: up.Interval, FastInterval: up.FastInterval, Timeout: up.Timeout, Rise: 2, Fall: 3, OnChange: "accept"})
	equal(t, "gRPC", one(t, "backends: x:1", "health: {type: grpc, service: shop.v1.Cart, host: cart, interval: 4s}").Health, Health{
		Type: "grpc", Service: "shop.v1.Cart", Host: "cart", Interval: 4 * time.Second, FastInterval: time.Second, Timeout: up.Timeout,
		Rise: 2, Fall: 3, OnChange: "accept", AppDrain: true,
	})
	equal(t, "an app that is not asked", one(t, "backends: x:1", "health: {app_drain: off}").Health.AppDrain, false)
	equal(t, "a schema that is not read", one(t, "backends: x:1", "health: {schema: off}").Health.Schema, false)
	equal(t, "change", one(t, "backends: x:1", "health: {on_change: until_ready}").Health.OnChange, "until_ready")
	equal(t, "no release", one(t, "backends: x:1", "health: {release: off}").Health.Release, "")
	equal(t, "dotted release", one(t, "backends: x:1", "health: {release: app.version}").Health.Release, "app.version")
	equal(t, "host", one(t, "backends: x:1", "health: {host: app.example.com:8080}").Health.Host, "app.example.com:8080")
}

func TestWhereAndWhatIsChecked(t *testing.T) {
	isolate(t)
	svc := one(t, "pools: {blue: [a:1], green: {release: v42, backends: [{address: a:2, health_port: 9001}, a:3]}}", "health: {port: 9000, path: /ready}")
	equal(t, "the service's port", svc.Pools[0].Backends[0].HealthPort, 9000)
	equal(t, "its own", svc.Pools[1].Backends[0].HealthPort, 9001)
	equal(t, "the other", svc.Pools[1].Backends[1].HealthPort, 9000)
	equal(t, "expected", svc.Pools[1].Release, "v42")
	equal(t, "expected of nobody", svc.Pools[0].Release, "")
	equal(t, "where it is dialled is what it was", svc.Pools[1].Backends[0].Dial, "a:2")
}

func TestExpect(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		written string
		want    []StatusRange
	}{
		{"200", []StatusRange{{200, 200}}}, {"2xx", []StatusRange{{200, 299}}}, {"200-399", []StatusRange{{200, 399}}},
		{"[200, 3xx, 404-410]", []StatusRange{{200, 200}, {300, 399}, {404, 410}}},
	} {
		equal(t, test.written, one(t, "backends: x:1", "health: {expect: {status: "+test.written+"}}").Health.Expect.Status, test.want)
	}
	got := one(t, "backends: x:1", `health: {expect: {json: {a: 1, b: 1.5, c: true, d: null, e: "1", f: [x, 2], g: {h: ok}, i.j: {}, k: 2024-01-01, l: 0x10}}}`).Health.Expect
	equal(t, "status stays", got.Status, []StatusRange{{200, 200}})
	equal(t, "json", got.JSON, map[string]any{
		"a": 1, "b": 1.5, "c": true, "d": nil, "e": "1", "f": []any{"x", 2}, "g": map[string]any{"h": "ok"}, "i.j": map[string]any{},
		"k": "2024-01-01", "l": 16,
	})
}

func TestForms(t *testing.T) {
	isolate(t)
	with := func(line string) *Config { return mustParse(t, line+"\nservices: {web: {backends: x:1}}\n") }
	equal(t, "a plain port", with("listen: :8080").Listen, []Listener{{"http", "tcp", ":8080"}})
	equal(t, "IPv6", with(`listen: "http://[::]:80"`).Listen[0].Address, "[::]:80")
	equal(t, "two that the kernel chooses", len(with("listen: [127.0.0.1:0, 127.0.0.1:0]").Listen), 2)
	equal(t, "access log beside the file", with("access_log: ./logs/a.json").AccessLog, "logs/a.json")
	equal(t, "access log off", with("access_log: off").AccessLog, "off")
	equal(t, "one certificate alone", with("tls: {certificates: {cert: c, key: /k}}").TLS.Certificates, []Certificate{{"c", "/k"}})
	equal(t, "acme storage", with("state: /s\ntls: {acme: {ca: https://ca.test/dir, storage: /c}}").TLS.ACME, &ACME{"", "https://ca.test/dir", "/c"})
	equal(t, "target follows head", with("limits: {head_bytes: 8KiB}").Limits.TargetBytes, 8192)
	equal(t, "field follows head", with("limits: {head_bytes: 8KiB}").Limits.FieldBytes, 8192)
	equal(t, "grace follows timeout", with("shutdown: {timeout: 1s}").Shutdown, Shutdown{time.Second, time.Second})
	equal(t, "a byte order mark", with("\ufefflisten: :80").Listen[0].Address, ":80")
	equal(t, "windows line ends", with("listen: :80\r").Listen[0].Address, ":80")
	equal(t, "path without its last slash", one(t, "backends: x:1", "path: /api/").Path, "/api")
	equal(t, "encoded path", one(t, "backends: x:1", "path: /caf%C3%A9").Path, "/caf%C3%A9")
	equal(t, "in lower case", one(t, "backends: x:1", "path: /caf%c3%a9%20b/").Path, "/caf%C3%A9%20b")
	equal(t, "hosts by address", one(t, "backends: x:1", `hosts: [127.0.0.1, "[::1]"]`).Hosts, []string{"127.0.0.1", "[::1]"})
	equal(t, "one host alone", one(t, "backends: x:1", "hosts: a.test").Hosts, []string{"a.test"})
}

func TestToken(t *testing.T) {
	const token = "0123456789abcdef"
	const tcp = "admin: 127.0.0.1:9900\nservices: {web: {backends: x:1}}\n"
	t.Run("key", func(t *testing.T) {
		isolate(t)
		equal(t, "admin", mustParse(t, "admin_token: "+token+"\n"+tcp).Admin, Admin{"tcp", "127.0.0.1:9900", token})
	})
	t.Run("environment", func(t *testing.T) {
		t.Setenv(tokenVariable, token)
		equal(t, "admin", mustParse(t, tcp).Admin, Admin{"tcp", "127.0.0.1:9900", token})
		equal(t, "the file wins", mustParse(t, "admin_token: x"+token+"\n"+tcp).Admin.Token, "x"+token)
		c, err := To("x:1", "")
		if err != nil || c.Admin.Token != token {
			t.Errorf("without a file: %v, %v", c, err)
		}
	})
	t.Run("file", func(t *testing.T) {
		isolate(t)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "token"), token+"\n")
		path := filepath.Join(dir, "sluice.yaml")
		write(t, path, "admin_token_file: token\n"+tcp)
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "a path beside the file", c.Admin.Token, token)
	})
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTo(t *testing.T) {
	isolate(t)
	c, err := To("127.0.0.1:3000", "")
	if err != nil {
		t.Fatal(err)
	}
	file := mustParse(t, "services: {default: {backends: [127.0.0.1:3000]}}")
	web := &file.Services[0]
	file.File, file.Digest, web.Line, web.file = "", c.Digest, 0, ""
	equal(t, "what a file would say of it", c.Services[0].Section, Section{"backends": `"127.0.0.1:3000"`, "max_body": "0B"})
	web.Section = c.Services[0].Section
	equal(t, "as the file would be", c, file)
	other, _ := To("127.0.0.1:3001", "")
	if c.Digest == other.Digest || len(c.Digest) != 64 {
		t.Error("another backend has to have another digest")
	}
	c, err = To("unix:///run/app.sock", "http://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "listen", c.Listen, []Listener{{"http", "tcp", "127.0.0.1:0"}})
	equal(t, "a socket", c.Services[0].Pools[0].Backends[0].Dial, "/run/app.sock")
}

func TestRoutesAreInTheOrderOfTrial(t *testing.T) {
	isolate(t)
	c := mustParse(t, `services:
  any: {backends: x:1}
  wild: {backends: x:1, hosts: "*.b.test"}
  deep: {backends: x:1, hosts: b.test, path: /a/b}
  flat: {backends: x:1, hosts: [b.test, a.test], path: /a}
`)
	var got []string
	for _, r := range c.Routes() {
		got = append(got, r.Host+r.Path)
	}
	equal(t, "order", got, []string{"a.test/a", "b.test/a/b", "b.test/a", "*.b.test/", "/"})
}

func TestDefaultPlaces(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	temp := filepath.Join(os.TempDir(), "sluice-7")
	for _, test := range []struct{ reason, got, want string }{
		{"root's socket", adminSocket(0, env("XDG_RUNTIME_DIR", "/run/user/0")), "/run/sluice/admin.sock"},
		{"a user's socket", adminSocket(7, env("XDG_RUNTIME_DIR", "/run/user/7")), "/run/user/7/sluice/admin.sock"},
		{"no runtime folder", adminSocket(7, env()), temp + "/admin.sock"},
		{"a relative one is ignored", adminSocket(7, env("XDG_RUNTIME_DIR", "run")), temp + "/admin.sock"},
		{"root's state", stateFolder(0, env("HOME", "/root")), "/var/lib/sluice"},
		{"a user's state", stateFolder(7, env("XDG_STATE_HOME", "/s", "HOME", "/h")), "/s/sluice"},
		{"from home", stateFolder(7, env("XDG_STATE_HOME", "s", "HOME", "/h")), "/h/.local/state/sluice"},
		{"no home", stateFolder(7, env()), temp + "/state"},
	} {
		equal(t, test.reason, test.got, test.want)
	}
}

func TestParseAdmin(t *testing.T) {
	for _, test := range []struct{ text, network, address string }{
		{"unix:///run/a.sock", "unix", "/run/a.sock"}, {"unix:/run/a.sock", "unix", "/run/a.sock"}, {"/run/a.sock", "unix", "/run/a.sock"},
		{"127.0.0.1:9900", "tcp", "127.0.0.1:9900"}, {"http://localhost:9900/", "tcp", "localhost:9900"}, {":9900", "tcp", ":9900"},
		{"unix://run/a.sock", "", ""}, {"unix:///run/", "", ""}, {"https://a:1", "", ""}, {"9900", "", ""}, {"", "", ""},
		{"unix:///" + strings.Repeat("x", 107), "", ""}, {"unix:///a\x00b", "", ""},
	} {
		network, address, err := ParseAdmin(test.text)
		if network != test.network || address != test.address || (err != nil) != (test.network == "") {
			t.Errorf("%q: %q %q %v", test.text, network, address, err)
		}
	}
	if network, _, err := ParseAdmin(DefaultAdmin()); network != "unix" || err != nil {
		t.Errorf("the default is refused: %v", err)
	}
}

// TestHoldForms holds the short forms against the long one.
func TestHoldForms(t *testing.T) {
	isolate(t)
	hold := func(text string) Hold { return one(t, "backends: x:1\n    hold: "+text).Hold }
	equal(t, "the age alone", hold("5s"), Hold{true, 5 * time.Second, 1000, 64 << 20, 100})
	equal(t, "one cap", hold("{requests: 9}"), Hold{true, 30 * time.Second, 9, 64 << 20, 100})
	equal(t, "off keeps the caps of a pause", hold("off"), Hold{false, 30 * time.Second, 1000, 64 << 20, 100})
}
