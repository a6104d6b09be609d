package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func document(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDocumentedDefaults compares each default in the tables of the documentation with what the code has.
func TestDocumentedDefaults(t *testing.T) {
	isolate(t)
	c := mustParse(t, "tls: {acme: {email: a@b.test}}\nservices: {web: {backends: x:1, sticky: {ttl: session}, health: {rise: 2}}}")
	s := c.Services[0]
	h := s.Health
	seconds := func(d time.Duration) string {
		if d%time.Second != 0 {
			return d.String()
		}
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	want := map[string]string{
		"listen": c.Listen[0].Scheme + "://" + c.Listen[0].Address, "access_log": c.AccessLog, "tls.acme.ca": c.TLS.ACME.CA,
		"limits.head_bytes": showSize(c.Limits.HeadBytes), "limits.fields": fmt.Sprint(c.Limits.Fields),
		"limits.target_bytes": showSize(c.Limits.TargetBytes), "limits.trailer_bytes": showSize(c.Limits.TrailerBytes),
		"limits.interim_responses": fmt.Sprint(c.Limits.InterimResponses), "limits.field_bytes": showSize(c.Limits.FieldBytes),
		"limits.requests": fmt.Sprint(c.Limits.Requests), "timeouts.first": seconds(c.Timeouts.First), "timeouts.age": showDuration(c.Timeouts.Age),
		"limits.memory":     fmt.Sprintf("%d%%", c.Limits.Memory.Percent),
		"limits.body_bytes": showSize(c.Limits.BodyBytes),
		"limits.body_rate":  showSize(c.Limits.BodyRate), "timeouts.body_grace": seconds(c.Timeouts.BodyGrace), "limits.intake_bytes": showSize(c.Limits.IntakeBytes), "limits.connections": fmt.Sprint(c.Limits.Connections),
		"timeouts.connect": seconds(c.Timeouts.Connect), "timeouts.head": seconds(c.Timeouts.Head),
		"timeouts.idle": seconds(c.Timeouts.Idle), "timeouts.body": seconds(c.Timeouts.Body),
		"timeouts.response": seconds(c.Timeouts.Response), "timeouts.backend_idle": seconds(c.Timeouts.BackendIdle),
		"timeouts.write": seconds(c.Timeouts.Write), "timeouts.tunnel": seconds(c.Timeouts.Tunnel),
		"timeouts.tls_handshake": seconds(c.Timeouts.TLSHandshake),
		"shutdown.grace":         seconds(c.Shutdown.Grace), "shutdown.timeout": seconds(c.Shutdown.Timeout),
		"retry.attempts": fmt.Sprint(s.Retry.Attempts), "retry.budget": fmt.Sprintf("%d%%", s.Retry.Budget),
		"dns.least": seconds(c.DNS.Least), "dns.most": seconds(c.DNS.Most), "dns.timeout": seconds(c.DNS.Timeout), "dns.family": c.DNS.Family,
		"path": s.Path, "balance": s.Balance, "weight": fmt.Sprint(s.Pools[0].Backends[0].Weight),
		"sticky.cookie": s.Sticky.Cookie, "sticky.ttl": session, "sticky.on_drain": move,
		"queue":           map[int]string{0: "off"}[s.Queue.Requests],
		"max_connections": fmt.Sprint(s.Pools[0].Backends[0].MaxConnections),
		"health.path":     h.Path, "health.interval": seconds(h.Interval), "health.timeout": seconds(h.Timeout),
		"health.fast_interval": seconds(h.FastInterval), "health.rise": fmt.Sprint(h.Rise), "health.fall": fmt.Sprint(h.Fall),
		"health.type": h.Type, "health.on_change": h.OnChange, "health.app_drain": map[bool]string{true: "on", false: "off"}[h.AppDrain], "health.schema": map[bool]string{true: "on", false: "off"}[h.Schema],
		"health.expect.status": fmt.Sprint(h.Expect.Status[0].Low), "health.release": h.Release,
		"hold.age": seconds(s.Hold.Age), "hold.requests": fmt.Sprint(s.Hold.Requests), "hold.bytes": showSize(s.Hold.Bytes), "hold.ramp": fmt.Sprint(s.Hold.Ramp),
		"hold": "off", "when_down": s.WhenDown,
		"drain.timeout": seconds(s.Drain.Timeout), "drain.stream": seconds(s.Drain.Stream), "drain.websocket": seconds(s.Drain.WebSocket),
		"eject.connect": fmt.Sprint(s.Eject.Connect), "eject.errors": offIfZero(s.Eject.Errors), "eject.latency": offIfZero(int(s.Eject.Latency)),
		"eject.answers": fmt.Sprintf("%d-%d", s.Eject.Answers[0].Low, s.Eject.Answers[0].High),
		"eject.above":   seconds(s.Eject.Above), "eject.window": seconds(s.Eject.Window), "eject.most": fmt.Sprintf("%d%%", s.Eject.Most),
		"eject.time": seconds(s.Eject.Time), "eject.longest": showDuration(s.Eject.Longest),
		"bake": offIfZero(int(s.Bake.For)), "bake.for": offIfZero(int(s.Bake.For)), "bake.on_worse": s.Bake.OnWorse, "bake.min_requests": fmt.Sprint(s.Bake.MinRequests),
		"bake.errors": fmt.Sprintf("%g%%", 100*s.Bake.Errors), "bake.errors_factor": fmt.Sprint(s.Bake.ErrorsFactor),
		"bake.latency": map[bool]string{true: "on", false: offWord}[s.Bake.Latency], "bake.slower_by": showDuration(s.Bake.SlowerBy), "bake.slower_factor": fmt.Sprint(s.Bake.SlowerFactor),
		"bake.every": showDuration(s.Bake.Every), "bake.falls": fmt.Sprint(s.Bake.Falls), "bake.false_alarms": fmt.Sprintf("%g%%", 100*s.Bake.FalseAlarms),
		"preview.cookie": fmt.Sprint(Preview{}.Cookie), "files.index": defaultIndex, "rollback": showDuration(s.Rollback.Window),
		"slow_start": offIfZero(int(s.SlowStart)), "fail_open": offIfZero(s.FailOpen),
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([^`]*)` \\|").FindAllStringSubmatch(document(t), -1) {
		if want[row[1]] != row[2] {
			t.Errorf("%s: documented as %s, the code has %s", row[1], row[2], want[row[1]])
		}
		if row[1] != "max_connections" { // stands in two tables
			delete(want, row[1])
		}
	}
	delete(want, "max_connections")
	if len(want) > 0 {
		t.Errorf("not documented: %v", want)
	}
}

func offIfZero(n int) string {
	if n == 0 {
		return offWord
	}
	return fmt.Sprint(n)
}

// TestDocumentedKeys holds that each key the code knows has a row or a place in one.
func TestDocumentedKeys(t *testing.T) {
	text := document(t)
	known := (&input{}).topFields(&Config{})
	for key := range (&reading{}).fields() {
		known[key] = nil
	}
	for key := range known {
		if !strings.Contains(text, "\n| `"+key+"` |") {
			t.Errorf("`%s` has no row", key)
		}
	}
}

// TestDocumentedFiles reads each example, and holds that what is said of the bad one is what the code says.
func TestDocumentedFiles(t *testing.T) {
	isolate(t)
	blocks := regexp.MustCompile("(?ms)^```([a-z ]+)\n(.*?)^```$").FindAllStringSubmatch(document(t), -1)
	var said string
	for _, block := range blocks {
		_, err := Parse("sluice.yaml", []byte(block[2]))
		switch block[1] {
		case "yaml":
			if err != nil {
				t.Errorf("%s\n%v", block[2], err)
			}
		case "yaml bad":
			said = fmt.Sprintln(err)
		case "text":
			equal(t, "what is said", said, block[2])
		}
	}
	if len(blocks) < 4 {
		t.Errorf("only %d examples", len(blocks))
	}
}
