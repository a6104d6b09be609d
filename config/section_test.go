package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRollbackForms(t *testing.T) {
	isolate(t)
	for written, want := range map[string]time.Duration{
		"rollback: 2h": 2 * time.Hour, "rollback: {window: 90s}": 90 * time.Second, "rollback: off": 0, "rollback: 0": 0,
		"rollback: {window: off}": 0, "rollback: 0s": 0, "retry: off": 30 * time.Minute,
	} {
		equal(t, written, one(t, "backends: x:1", written).Rollback.Window, want)
	}
}

// TestSectionIsOneLineAKey: whatever style the file has, and without what is no value.
func TestSectionIsOneLineAKey(t *testing.T) {
	isolate(t)
	s := one(t, "hosts:", "  - a.test # the first", `  - "*.b.test"`, "pools:", "  blue:", "    - x:1", "max_body: 1MiB",
		"health:", "  path: >-", "    /up", "  expect: {json: {a: 'on', b: [1, true, '2']}}", "drain: {timeout: 5s}")
	equal(t, "each key", s.Section, Section{
		"hosts": `[a.test, "*.b.test"]`, "pools": "{blue: ['x:1']}", "max_body": "1MiB", "drain": "{timeout: 5s}",
		"health": `{path: "/up", expect: {json: {a: "on", b: [1, true, "2"]}}}`,
	})
	again, err := s.With(s.Section.Options())
	if err != nil || !again.Same(&s) {
		t.Errorf("read again it is %+v, %v", again, err)
	}
}

// TestWithOptionsOfBefore: options and routes are those of before, pools and which of them starts live are those of today.
func TestWithOptionsOfBefore(t *testing.T) {
	isolate(t)
	was := one(t, "hosts: a.test", "max_body: 1MiB", "max_connections: 3", "health: {path: /old, port: 9}", "pools: {blue: x:1, green: y:1}", "rollback: 1h")
	is := one(t, "path: /new", "max_body: 10MiB", "pools: {blue: x:1, green: [y:1, {address: z:1, max_connections: 7}]}", "live: green", "rollback: 2h")
	got, err := is.With(was.Section.Options())
	if err != nil {
		t.Fatal(err)
	}
	want := one(t, "hosts: a.test", "max_body: 1MiB", "max_connections: 3", "health: {path: /old, port: 9}",
		"pools: {blue: x:1, green: [y:1, {address: z:1, max_connections: 7}]}", "live: green", "rollback: 2h")
	if !got.Same(&want) || got.Line != is.Line {
		t.Errorf("got %+v, want %+v", got, want)
	}
	equal(t, "what differs", got.Section.Options().Differences(is.Section.Options()), []Difference{
		{"health", "{path: /old, port: 9}", ""}, {"hosts", "a.test", ""}, {"max_body", "1MiB", "10MiB"}, {"max_connections", "3", ""}, {"path", "", "/new"},
	})
	equal(t, "its routes given up", got.Section.Taking(is.Section, "hosts", "path").Options().Differences(got.Section.Options()), []Difference{
		{"hosts", "", "a.test"}, {"path", "/new", ""},
	})
}

// TestProcessLimitIsAnOption: the limit of the process that held for a service is brought back with it.
func TestProcessLimitIsAnOption(t *testing.T) {
	isolate(t)
	was := mustParse(t, "limits: {body_bytes: 1MiB}\nservices: {web: {backends: x:1}}").Services[0]
	is := mustParse(t, "limits: {body_bytes: 2MiB}\nservices: {web: {backends: x:1}}").Services[0]
	got, err := is.With(was.Section.Options())
	if err != nil || got.MaxBody != 1<<20 || is.Same(got) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWithReadsItsFiles: what stood in a file of its own is read again, from the folder of the configuration.
func TestWithReadsItsFiles(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "f.yaml"), filepath.Join(dir, "secret")
	write(t, secret, strings.Repeat("s", leastSecret))
	write(t, path, "services: {web: {backends: x:1, sticky: {secret_file: secret}}}")
	was, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "services: {web: {backends: x:1}}")
	is, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	options := was.Services[0].Section.Options()
	if got, err := is.Services[0].With(options); err != nil || !got.Same(&was.Services[0]) {
		t.Errorf("%+v, %v", got, err)
	}
	os.Remove(secret)
	if _, err := is.Services[0].With(options); err == nil || !strings.Contains(err.Error(), "cannot read the secret") || strings.Contains(err.Error(), ":0:") {
		t.Errorf("without the secret: %v", err)
	}
	if _, err := is.Services[0].With(Section{"shiny": "{new: key}"}); err == nil || !strings.Contains(err.Error(), "unknown key `shiny`") {
		t.Errorf("an option of another version: %v", err)
	}
}

// TestMeets: what two services cannot both have, be it before the eyes of visitors or of testers.
func TestMeets(t *testing.T) {
	isolate(t)
	for _, row := range []struct{ a, b, place string }{
		{"hosts: [a.test, b.test]", "hosts: [c.test, b.test]", "b.test/"},
		{"hosts: a.test", "path: /", ""},
		{"path: /api", "path: /api", "any host/api"},
		{"hosts: a.test", "hosts: a.test\n    path: /api", ""},
		{"hosts: green.test\n    path: /x", "preview: green.test", "green.test"},
		{"hosts: a.test\n    preview: green.test", "preview: green.test", "green.test/"},
		{"preview: :8081", "hosts: a.test\n    preview: :8081", ":8081/"},
		{"preview: :8081\n    path: /x", "preview: :8081", ""},
	} {
		var both [2]Service
		for i, lines := range []string{row.a, row.b} {
			both[i] = one(t, "pools: {blue: x:1, green: y:1}", lines)
		}
		if place, meet := both[0].Meets(&both[1]); place != row.place || meet != (row.place != "") {
			t.Errorf("%q and %q meet at %q", row.a, row.b, place)
		}
	}
}

// TestWithKeepsPreviews: they are those of the file of today, whose listeners are open.
func TestWithKeepsPreviews(t *testing.T) {
	isolate(t)
	probed := one(t, "path: /shop", "pools: {blue: x:1, green: y:1}", "bake: {for: 60s, probes: [/shop/a]}")
	if old, err := probed.With(Section{"path": "/old"}); err != nil || old.Path != "/old" || !reflect.DeepEqual(old.Bake, probed.Bake) {
		t.Errorf("probes of the file's own path: %+v, %v", old, err)
	}
	c := mustParse(t, "services: {api: {hosts: a.test, pools: {a: x:1, b: y:1}, preview: 127.0.0.1:0}, web: {pools: {a: x:1, b: {backends: y:1, preview: 127.0.0.1:0}}, preview: {port: 127.0.0.1:0, cookie: true}}}")
	web := &c.Services[1]
	again, err := web.With(Section{"path": "/old", "preview": "old.test", "bake": "7s"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "section", again.Section["path"]+again.Section["preview"]+again.Section["bake"], "/old"+web.Section["preview"]+web.Section["bake"])
	equal(t, "path", again.Path, "/old")
	equal(t, "previews", again.Previews(), web.Previews())
}
