package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzParse holds that no file makes it panic, that a file always means the same, and that what is accepted is whole.
func FuzzParse(f *testing.F) {
	isolate(f)
	f.Add(everyKey)
	f.Add(example)
	bad, err := os.ReadFile("testdata/bad.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(bad), "\n## ") {
		_, rest, _ := strings.Cut(c, "\n")
		text, _, _ := strings.Cut(rest, "\n....")
		f.Add(text)
		f.Add("services:\n  web:\n    " + strings.ReplaceAll(text, "\n", "\n    "))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", []byte(text))
		again, errAgain := Parse("f", []byte(text))
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("said %v, and then %v", err, errAgain)
		}
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("meant %+v, and then %+v", c, again)
		}
		if err != nil {
			told(t, err.(Errors))
			return
		}
		whole(t, c)
	})
}

func told(t *testing.T, all Errors) {
	if len(all) == 0 || len(all) > maxErrors {
		t.Fatalf("%d problems", len(all))
	}
	for i, e := range all {
		if e.Problem == "" || e.Fix == "" || e.Line < 1 || e.Column < 1 {
			t.Errorf("not a whole problem: %+v", e)
		}
		if i > 0 && e.Line < all[i-1].Line {
			t.Errorf("out of order: %v", all)
		}
	}
}

// whole holds what the comments of Config promise.
func whole(t *testing.T, c *Config) {
	if len(c.Listen) == 0 || len(c.Services) == 0 || c.State == "" || c.Admin.Address == "" || c.AccessLog == "" {
		t.Errorf("not whole: %+v", c)
	}
	if c.Limits.TargetBytes > c.Limits.HeadBytes || c.Shutdown.Grace > c.Shutdown.Timeout {
		t.Errorf("at odds: %+v %+v", c.Limits, c.Shutdown)
	}
	routes := map[[2]string]bool{}
	for _, r := range c.Routes() {
		if key := [2]string{r.Host, r.Path}; routes[key] || r.Service == "" || r.Pool == "" || r.Path[0] != '/' {
			t.Errorf("route %+v", r)
		} else {
			routes[key] = true
		}
	}
	for i := range c.Services {
		wholeService(t, &c.Services[i])
	}
}

func wholeService(t *testing.T, s *Service) {
	if again, err := s.With(s.Section.Options()); err != nil || !again.Same(s) {
		t.Errorf("with its own options %+v it is %+v, %v; it was %+v", s.Section, again, err, s)
	}
	live := false
	for _, p := range s.Pools {
		live = live || p.Name == s.Live
		total := 0
		for _, b := range p.Backends {
			total += b.Weight
			if p.Root != "" {
				if b.Network != "root" || b.Dial != p.Root || !strings.HasPrefix(p.Root, "/") {
					t.Errorf("folder %q is %+v", p.Root, b)
				}
				continue
			}
			again := Backend{Weight: b.Weight, MaxConnections: b.MaxConnections, HealthPort: b.HealthPort}
			(&input{}).value("again", b.Address).address(&again)
			if again != b {
				t.Errorf("%+v reads as %+v", b, again)
			}
		}
		if total == 0 {
			t.Errorf("pool %+v takes nothing", p)
		}
	}
	h := s.Health
	if !live || !h.Off && (h.FastInterval > h.Interval || h.FastInterval <= 0 || h.Timeout < time.Millisecond || h.Rise < 1 || h.Fall < 1 || h.Type == checkHTTP && len(h.Expect.Status) == 0) {
		t.Errorf("service %+v", s)
	}
}

// TestLargeFilesAreQuick has large files that are hard on a parser. They are a quarter of the limit: what takes the square
// of its length would still take minutes.
func TestLargeFilesAreQuick(t *testing.T) {
	isolate(t)
	full := func(head, unit string) string { return head + strings.Repeat(unit, (maxFile/4-len(head))/len(unit)) }
	for name, text := range map[string]string{
		"one key again":  full("", "a: b\n"),
		"backends":       full("services:\n  web:\n    backends:\n", "    - x:1\n"),
		"a long list":    full("listen: [", ":1,"),
		"comments":       full("", "# c\n"),
		"keys":           full("", "? a\n"),
		"open brackets":  full("", "["),
		"aliases":        full("a: &a [x]\nb: [", "*a,"),
		"quoted escapes": full(`a: "`, `\x41`),
		"dashes":         full("", "- "),
	} {
		start := time.Now()
		if _, err := Parse("f", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		took := time.Since(start)
		t.Logf("%-15s %v", name, took.Round(time.Millisecond))
		if took > 30*time.Second { // far above what it takes under the race detector on a busy machine
			t.Errorf("%s took %v", name, took)
		}
	}
}
