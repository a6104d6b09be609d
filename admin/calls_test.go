package admin

import (
	"encoding/json"
	"net/http"
	"os/user"
	"strings"
	"testing"

	"sluice/control"
)

// TestCalls: each call reaches control with what it was asked, and answers in its form.
func TestCalls(t *testing.T) {
	rows := []struct {
		name, method, path, body string
		status                   int
		asked, says              string
	}{
		{"status", "GET", "/v1/status", "", 200, "", `"live": "blue"`},
		{"status by HEAD", "HEAD", "/v1/status", "", 200, "", ""},
		{"one service", "GET", "/v1/services/web", "", 200, "", `"name": "web"`},
		{"history", "GET", "/v1/history?service=web&limit=2", "", 200, "history web", `"entries"`},
		{"history, verified", "GET", "/v1/history?verify", "", 200, "history ", `"unbroken": true`},
		{"history up to a head", "GET", "/v1/history?head=" + strings.Repeat("0a", 32), "", 200, "history ", `"unbroken": true`},
		{"inside of a service", "GET", "/v1/services/web/inside", "", 200, `inside "web" "" "" false 100`, `"total": 5`},
		{"inside of a backend that is drained", "GET", "/v1/services/web/inside?pool=blue&backend=10.0.0.1:3000&draining&limit=7", "", 200, `inside "web" "blue" "10.0.0.1:3000" true 7`, `"more": 3`},
		{"inside of all", "GET", "/v1/inside?limit=10000", "", 200, `inside "" "" "" false 10000`, `"inside_by"`},
		{"metrics", "GET", "/metrics", "", 200, "", "sluice_up 1"},
		{"healthz", "GET", "/healthz", "", 200, "", `"ok"`},
		{"flip by query", "POST", "/v1/services/web/flip?pool=green", "", 202, "flip web green ", `"to": "green"`},
		{"flip with a release", "POST", "/v1/services/web/flip?pool=green&release=v2", "", 202, "flip web green v2", ""},
		{"flip by JSON", "POST", "/v1/services/web/flip", `{"pool":"green","release":"v2"}`, 202, "flip web green v2", ""},
		{"flip by both, agreeing", "POST", "/v1/services/web/flip?pool=green", `{"pool":"green"}`, 202, "flip web green ", ""},
		{"rollback", "POST", "/v1/services/web/rollback", "", 202, "rollback web", ""},
		{"split", "POST", "/v1/services/web/split?green=5", "", 202, "split web map[green:500]  false []", ""},
		{"split by JSON", "POST", "/v1/services/web/split", `{"green":0.01,"release":"v2"}`, 202, "split web map[green:1] v2 false []", ""},
		{"split by pools", "POST", "/v1/services/web/split", `{"pools":{"green":"12.5%","note":3},"note":"try"}`, 202, "split web map[green:1250 note:300]  false []", ""},
		{"split by rules", "POST", "/v1/services/web/split", `{"green":0,"only":true,"header":["X-Canary: yes","blue=X-Canary: a,b"],"allow":"10.0.0.1,fd00::/8"}`, 202,
			"split web map[green:0]  true [{header X-Canary: yes} {header blue=X-Canary: a,b} {allow 10.0.0.1} {allow fd00::/8}]", ""},
		{"pause", "POST", "/v1/services/web/pause", "", 202, "pause web 0s", ""},
		{"pause for a while", "POST", "/v1/services/web/pause?for=30s", "", 202, "pause web 30s", ""},
		{"resume", "POST", "/v1/services/web/resume", "", 202, "resume web", ""},
		{"preview", "POST", "/v1/services/web/preview", "", 200, "preview web  0s", `"value": "x"`},
		{"preview of a pool for a while", "POST", "/v1/services/web/preview", `{"pool":"green","for":"2h"}`, 200, "preview web green 2h0m0s", ""},
		{"retire", "POST", "/v1/services/web/retire?release=v41", "", 200, "retire web v41 0s", `"verb": "retire"`},
		{"retire and wait", "POST", "/v1/services/web/retire", `{"release":"v41","wait":"15m"}`, 200, "retire web v41 15m0s", ""},
		{"hold", "GET", "/v1/services/web/hold/v41", "", 200, "hold web v41 0s", `"hold": true`},
		{"hold within a window", "GET", "/v1/services/web/hold/v4%2F1?window=30m", "", 200, "hold web v4/1 30m0s", ""},
		{"take a lease", "PUT", "/v1/leases/worker-1?release=v41&ttl=60s&service=web", "", 200, "lease worker-1 web v41 1m0s", `"release": "v41"`},
		{"drop a lease", "DELETE", "/v1/leases/worker%2F1", "", 200, "drop worker/1", `"worker/1"`},
		{"list the leases", "GET", "/v1/leases", "", 200, "", `"worker"`},
		{"drain", "POST", "/v1/services/web/backends/10.0.0.1:3000/drain", "", 202, "drain web  10.0.0.1:3000", ""},
		{"ready in a pool by argument", "POST", "/v1/services/web/backends/10.0.0.1:3000/ready?pool=blue", "", 202, "ready web blue 10.0.0.1:3000", ""},
		{"maint in a pool by path", "POST", "/v1/services/web/backends/blue/10.0.0.1:3000/maint", "", 202, "maint web blue 10.0.0.1:3000", ""},
		{"a backend with slashes", "POST", "/v1/services/web/backends/unix:%2F%2F%2Frun%2Fa.sock/drain", "", 202, "drain web  unix:///run/a.sock", ""},
		{"a pool and a backend in one segment", "POST", "/v1/services/web/backends/blue%2F10.0.0.1:3000/drain", "", 202, "drain web  blue/10.0.0.1:3000", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := newWindow(t)
			got := w.ask(row.method, row.path, row.body, "Content-Type", "application/json")
			if got.status != row.status || !strings.Contains(got.body, row.says) {
				t.Errorf("%d %s, want %d with %q", got.status, got.body, row.status, row.says)
			}
			if w.fake.last() != row.asked {
				t.Errorf("control was asked %q, want %q", w.fake.last(), row.asked)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Error("an answer of the API must not be stored")
			}
		})
	}
}

// TestRefusedCalls: each bad call is a problem document with the next step, and control is never asked.
func TestRefusedCalls(t *testing.T) {
	large := `{"pool":"` + strings.Repeat("x", bodyBytes) + `"}`
	rows := []struct {
		name, method, path, body, media string
		status                          int
		kind, says                      string
	}{
		{"no such call", "GET", "/v1/nothing", "", "", 404, "path", "/v1/nothing"},
		{"no cleaning of paths", "POST", "/v1//services/web/flip", "", "", 404, "path", ""},
		{"no trailing slash", "GET", "/v1/status/", "", "", 404, "path", ""},
		{"an empty name", "POST", "/v1/services//flip?pool=green", "", "", 404, "path", ""},
		{"dots are names", "GET", "/v1/x/../status", "", "", 404, "path", ""},
		{"preview for too long", "POST", "/v1/services/web/preview?for=1000h", "", "", 400, "argument", "168h"},
		{"retire nothing", "POST", "/v1/services/web/retire", "", "", 400, "argument", "release is missing"},
		{"retire and wait for nothing", "POST", "/v1/services/web/retire?release=v41&wait=true", "", "", 400, "argument", "15m"},
		{"a lease of nothing", "PUT", "/v1/leases/x?ttl=60s", "", "", 400, "argument", "release is missing"},
		{"a lease for ever", "PUT", "/v1/leases/x?release=v41", "", "", 400, "argument", "ttl is missing"},
		{"a lease that forges a line", "PUT", "/v1/leases/x%0Ay?release=v41&ttl=60s", "", "", 400, "argument", "cannot be printed"},
		{"a lease by POST", "POST", "/v1/leases/x?release=v41&ttl=60s", "", "", 405, "method", "PUT"},
		{"force without a word", "POST", "/v1/services/web/rollback?force=true", "", "", 400, "argument", "note"},
		{"a change by GET", "GET", "/v1/services/web/flip?pool=green", "", "", 405, "method", "POST"},
		{"a question by POST", "POST", "/v1/status", "", "", 405, "method", "GET"},
		{"a change by PUT", "PUT", "/v1/stop", "", "", 405, "method", "POST"},
		{"pool is missing", "POST", "/v1/services/web/flip", "", "", 400, "argument", "pool is missing"},
		{"a misspelt argument", "POST", "/v1/services/web/flip?pool=green&relaese=v2", "", "", 400, "argument", "pool, release, patience, force, bake, by, note, wait, timeout, stream"},
		{"an argument where there is none", "GET", "/v1/status?x=1", "", "", 400, "argument", "takes none"},
		{"twice", "POST", "/v1/services/web/flip?pool=green&pool=blue", "", "", 400, "argument", "2 times"},
		{"query against body", "POST", "/v1/services/web/flip?pool=green", `{"pool":"blue"}`, "application/json", 400, "argument", "in the query"},
		{"not JSON", "POST", "/v1/services/web/flip", `pool=green`, "application/json", 400, "argument", "not a JSON object"},
		{"two documents", "POST", "/v1/services/web/flip", `{"pool":"green"}{}`, "application/json", 400, "argument", "after the JSON"},
		{"a nested value", "POST", "/v1/services/web/flip", `{"pool":["green"]}`, "application/json", 400, "argument", "must be a string"},
		{"a form", "POST", "/v1/services/web/flip", `pool=green`, "application/x-www-form-urlencoded", 415, "media", "not marked as JSON"},
		{"text", "POST", "/v1/services/web/flip", `{"pool":"green"}`, "text/plain", 415, "media", "application/json"},
		{"too large", "POST", "/v1/services/web/flip", large, "application/json", 413, "large", "65536"},
		{"wait is no truth", "POST", "/v1/services/web/flip?pool=green&wait=maybe", "", "", 400, "argument", "true or false"},
		{"split judged for no time", "POST", "/v1/services/web/split?green=5&judge=long", "", "", 400, "argument", "60s, or off"},
		{"split of nothing", "POST", "/v1/services/web/split", "", "", 400, "argument", "green=5"},
		{"split by a misspelt argument", "POST", "/v1/services/web/split?green=5&relaese=v2", "", "", 400, "argument", "besides pools, the arguments are: release"},
		{"split by too much", "POST", "/v1/services/web/split?green=101", "", "", 400, "argument", "0 to 100"},
		{"split by no number", "POST", "/v1/services/web/split?green=NaN", "", "", 400, "argument", "0 to 100"},
		{"split by a thousandth", "POST", "/v1/services/web/split?green=0.005", "", "", 400, "argument", "two decimals"},
		{"split by rules and by none", "POST", "/v1/services/web/split?green=5&no_rules&header=X-A:%20b", "", "", 400, "argument", "no_rules"},
		{"a list where there is none", "POST", "/v1/services/web/flip", `{"pools":{"green":5}}`, "application/json", 400, "argument", "must be a string"},
		{"timeout is no duration", "POST", "/v1/services/web/flip?pool=green&timeout=30", "", "", 400, "argument", "30s"},
		{"timeout is negative", "POST", "/v1/services/web/flip?pool=green&timeout=-3s", "", "", 400, "argument", "duration"},
		{"limit is none", "GET", "/v1/history?limit=0", "", "", 400, "argument", "from 1 to 1000"},
		{"half a hash", "GET", "/v1/history?head=0a0a0a0a", "", "", 400, "argument", "64 hexadecimal digits"},
		{"verify is no truth", "GET", "/v1/history?verify=maybe", "", "", 400, "argument", "true or false"},
		{"too much inside", "GET", "/v1/inside?limit=10001", "", "", 400, "argument", "from 1 to 10000"},
		{"max_cut is no number", "POST", "/v1/services/web/flip?pool=green&max_cut=some", "", "", 400, "argument", "0 or more"},
		{"max_cut is negative", "POST", "/v1/services/web/rollback?max_cut=-1", "", "", 400, "argument", "0 or more"},
		{"max_cut without an end", "POST", "/v1/services/web/flip?pool=green&max_cut=0&wait=false", "", "", 400, "argument", "wait is false"},
		{"ready cuts nothing", "POST", "/v1/services/web/backends/b/ready?max_cut=0", "", "", 400, "argument", "no argument \"max_cut\""},
		{"a note that forges a line", "POST", "/v1/services/web/flip?pool=green&note=a%0Ab", "", "", 400, "argument", "cannot be printed"},
		{"a note that is a book", "POST", "/v1/services/web/flip?pool=green&note=" + strings.Repeat("x", 501), "", "", 400, "argument", "501"},
		{"a broken query", "POST", "/v1/services/web/flip?pool=%zz", "", "", 400, "argument", "malformed"},
		{"no such service", "GET", "/v1/services/shop", "", "", 404, "unknown", "web"},
		{"no such operation", "GET", "/v1/operations/99", "", "", 404, "unknown", "99"},
		{"no stop here", "POST", "/v1/stop", "", "", 409, "conflict", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := newWindow(t)
			got := w.ask(row.method, row.path, row.body, "Content-Type", row.media)
			p := got.problem(t)
			if got.status != row.status || p.Kind() != row.kind || !strings.Contains(p.Error(), row.says) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.header.Get("Content-Type") != "application/problem+json" || p.Status != got.status || p.Title == "" || p.Generation != 5 {
				t.Errorf("not a whole problem document: %s %s", got.header.Get("Content-Type"), got.body)
			}
			if row.status == 405 && got.header.Get("Allow") == "" {
				t.Error("RFC 9110 §15.5.6: a 405 names the methods in Allow")
			}
			if calls := w.fake.calls(); len(calls) > 0 {
				t.Errorf("control was asked: %v", calls)
			}
		})
	}
}

// TestRefusalsBecomeProblems: control's kinds have their statuses.
func TestRefusalsBecomeProblems(t *testing.T) {
	for kind, status := range map[string]int{
		"unknown": 404, "unhealthy": 409, "release": 409, "conflict": 409, "generation": 412, "storage": 507, "stopping": 503, "new kind": 500,
	} {
		w := newWindow(t)
		w.fake.err = &control.Refusal{Kind: kind, What: "it was not so", Hint: "make it so"}
		got := w.ask("POST", "/v1/services/web/flip?pool=green", "")
		if p := got.problem(t); got.status != status || p.Detail != "it was not so" || kind != "new kind" && p.Hint != "make it so" {
			t.Errorf("%s: %d %s, want %d", kind, got.status, got.body, status)
		}
	}
}

func TestHistoryThatCannotBeRead(t *testing.T) {
	w := newWindow(t)
	w.fake.err = http.ErrBodyNotAllowed
	if got := w.ask("GET", "/v1/history", ""); got.status != 500 || got.problem(t).Kind() != "internal" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestIfMatch: the generation is taken in each form that people and RFC 9110 write it in.
func TestIfMatch(t *testing.T) {
	for text, want := range map[string]uint64{`5`: 5, `"5"`: 5, `W/"5"`: 5, ` 17 `: 17} {
		w := newWindow(t)
		if got := w.ask("POST", "/v1/services/web/flip?pool=green", "", "If-Match", text); got.status != 202 {
			t.Fatalf("%s: %d %s", text, got.status, got.body)
		}
		if seen := w.fake.want.IfMatch; seen == nil || *seen != want {
			t.Errorf("%s was read as %v", text, seen)
		}
		w.ask("POST", "/v1/services/web/backends/b/drain", "", "If-Match", text)
		if seen := w.fake.adminWant.IfMatch; seen == nil || *seen != want {
			t.Errorf("drain: %s was read as %v", text, seen)
		}
	}
	w := newWindow(t)
	w.ask("POST", "/v1/services/web/flip?pool=green", "", "If-Match", "*")
	if w.fake.want.IfMatch != nil {
		t.Error("* matches any")
	}
	if got := w.ask("POST", "/v1/services/web/flip?pool=green", "", "If-Match", "five"); got.status != 400 {
		t.Errorf("a word: %d", got.status)
	}
}

func TestAnswersTellTheGeneration(t *testing.T) {
	w := newWindow(t)
	got := w.ask("GET", "/v1/status", "")
	if got.header.Get("ETag") != `"5"` || got.header.Get("Sluice-Generation") != "5" {
		t.Errorf("%v", got.header)
	}
	got = w.ask("POST", "/v1/services/web/flip?pool=green", "")
	if got.header.Get("Sluice-Generation") != "6" {
		t.Errorf("after a change: %v", got.header)
	}
}

// TestCause: who it was is what the caller says, and else what the kernel knows.
func TestCause(t *testing.T) {
	w := newWindow(t)
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w.ask("POST", "/v1/services/web/flip?pool=green&by=ci&note=release%20day&commit=9f3c2e1", "")
	if c := w.fake.cause; c != (control.Cause{By: "ci", Via: "api", Verb: "flip", Note: "release day", Commit: "9f3c2e1", Peer: self.Username}) {
		t.Errorf("%+v", c)
	}
	w.ask("POST", "/v1/services/web/rollback", "")
	if c := w.fake.cause; c != (control.Cause{By: self.Username, Via: "api", Verb: "rollback", Peer: self.Username}) {
		t.Errorf("the kernel knows whose process asks: %+v", c)
	}
}

func TestHistoryIsNeverNull(t *testing.T) {
	w := newWindow(t)
	got := w.ask("GET", "/v1/history?limit=2", "")
	var h History
	if err := json.Unmarshal([]byte(got.body), &h); err != nil || len(h.Entries) != 2 {
		t.Errorf("%v %s", err, got.body)
	}
}

func TestNoMetrics(t *testing.T) {
	w := newWindow(t, func(o *Options) { o.Metrics = nil })
	if got := w.ask("GET", "/metrics", ""); got.status != 404 {
		t.Errorf("%d", got.status)
	}
}
