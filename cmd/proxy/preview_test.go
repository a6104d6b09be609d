package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"sluice/config"
	"sluice/control"
)

// TestPreviewCommand: the link leads a browser to the idle pool and back, and status says where else it is.
func TestPreviewCommand(t *testing.T) {
	h := newHouseWithPreview(t)
	rows := []struct {
		args string
		code int
		says []string
	}{
		{"preview", 2, []string{"SERVICE is missing"}},
		{"preview web --for 0s", 2, []string{"--for is 0s"}},
		{"preview web --for 1000h", 1, []string{"168h", "next: write"}},
		{"preview shop", 1, []string{`no service "shop"`}},
		{"preview web --pool red", 1, []string{`no pool "red"`, "blue, green"}},
		{"preview web", 0, []string{"web/green (release v2) can be seen", "at      http://127.0.0.1:0/", "by      /.well-known/sluice/preview?token=", "cookie  sluice-preview=", "end     /.well"}},
		{"preview web --pool blue --note why", 0, []string{"web/blue (release v1), which is live, can be seen"}},
		{"history web", 0, []string{"a pass to the preview of web/blue until", "alice", "why"}},
		{"status", 0, []string{"preview   green: http://127.0.0.1:0/, cookie", "preview   blue: cookie", "0 requests"}},
		{"__complete preview w", 0, []string{"web"}},
		{"preview --help", 0, []string{"until it is over"}},
	}
	for _, row := range rows {
		got := h.run(row.args)
		for _, want := range row.says {
			if got.code != row.code || !strings.Contains(got.out+got.err, want) {
				t.Errorf("%s: exit %d, want %d and %q\n%s%s", row.args, got.code, row.code, want, got.out, got.err)
			}
		}
	}
	var pass control.PreviewPass
	if got := h.run("preview web --json"); json.Unmarshal([]byte(got.out), &pass) != nil || pass.Cookie == nil || pass.Until == nil {
		t.Fatalf("%s", got.out)
	}
	visitors, testers := h.process.addresses[0].String(), h.process.addresses[1].String()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	open := func(url string) string {
		res, err := browser.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		return res.Header.Get("X-Release") + " " + res.Header.Get("Sluice-Preview")
	}
	for _, step := range []struct{ url, want string }{
		{"http://" + testers + "/bytes/1", "v2 green; release=v2"},
		{"http://" + visitors + "/bytes/1", "v1 "},
		{"http://" + visitors + pass.Links[0], " green; release=v2"}, // the app's own root
		{"http://" + visitors + "/bytes/1", "v2 green; release=v2"},
		{"http://" + visitors + pass.End[0], " "},
		{"http://" + visitors + "/bytes/1", "v1 "},
	} {
		if got := open(step.url); got != step.want && !strings.HasSuffix(got, step.want) {
			t.Errorf("%s: %q, want %q", step.url, got, step.want)
		}
	}
	if log := h.log.String(); strings.Contains(log, pass.Cookie.Value) || !strings.Contains(log, `"preview":"http://`+testers) {
		t.Errorf("the log: %s", log)
	}
}

// newHouseWithPreview shows the idle pool at a port of its own and by cookie.
func newHouseWithPreview(t *testing.T) *house {
	t.Helper()
	return newHouseOf(t, "", func(s *settings) {
		at := config.Listener{Scheme: "http", Network: "tcp", Address: "127.0.0.1:0"}
		s.config.Services[0].Preview = &config.Preview{Ports: []config.Door{{Listener: at, Name: "stage"}}, Cookie: true}
	})
}

func TestCovered(t *testing.T) {
	names := []string{"example.com", "*.example.com", "::1"}
	for host, want := range map[string]bool{"example.com": true, "green.example.com": true, "a.green.example.com": false, "[::1]": true, "green.test": false} {
		if got := covered(host, names); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
