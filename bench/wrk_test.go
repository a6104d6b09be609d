package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const wrkPrints = `Running 4s test @ http://127.0.0.1:9003/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.19ms    1.76ms  13.32ms   85.85%
    Req/Sec    16.08k     2.57k   20.94k    81.82%
  Latency Distribution
     50%  272.00us
     75%    1.62ms
     90%    3.67ms
     99%    7.70ms
  17573 requests in 1.10s, 3.64MB read
Requests/sec:  15956.38
Transfer/sec:      3.30MB
`

func TestParseWrk(t *testing.T) {
	l, err := parseWrk([]byte(wrkPrints))
	if err != nil {
		t.Fatal(err)
	}
	want := load{Requests: 17573, Took: 1100 * time.Millisecond, P50: 272 * time.Microsecond, P99: 7700 * time.Microsecond}
	if l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	if err := l.check(); err != nil {
		t.Errorf("a clean run is refused: %v", err)
	}
	if rate := l.perSecond(); rate < 15975 || rate > 15976 {
		t.Errorf("%f requests a second, want 17573 in 1.1 s", rate)
	}
}

func TestParseWrkErrors(t *testing.T) {
	for _, c := range []struct{ reason, line, want string }{
		{"answers that are no answers", "  Non-2xx or 3xx responses: 12\n", "Non-2xx or 3xx responses: 12"},
		{"a connection cut", "  Socket errors: connect 0, read 3, write 0, timeout 0\n", "read 3"},
		{"both", "  Socket errors: connect 0, read 3, write 0, timeout 0\n  Non-2xx or 3xx responses: 12\n", "timeout 0; Non-2xx"},
	} {
		l, err := parseWrk([]byte(strings.Replace(wrkPrints, "Requests/sec", c.line+"Requests/sec", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.check(); !errors.Is(err, errLoad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.reason, err, c.want)
		}
	}
}

func TestParseWrkRefuses(t *testing.T) {
	for reason, out := range map[string]string{
		"nothing":                "",
		"it could not connect":   "unable to connect to 127.0.0.1:1 Connection refused\n",
		"a total no number fits": strings.Replace(wrkPrints, "17573", "99999999999999999999", 1),
		"a time that is no time": strings.Replace(wrkPrints, "in 1.10s", "in 1.1.0s", 1),
	} {
		if l, err := parseWrk([]byte(out)); err == nil {
			t.Errorf("%s: got %+v, want an error", reason, l)
		}
	}
}

func TestNoRequestIsAnError(t *testing.T) {
	l, err := parseWrk([]byte("  0 requests in 1.00s, 0.00B read\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.check(); !errors.Is(err, errLoad) {
		t.Errorf("got %v: a round without requests has no figure", err)
	}
}

func FuzzParseWrk(f *testing.F) {
	f.Add([]byte(wrkPrints))
	f.Add([]byte("  1 requests in .s,"))
	f.Fuzz(func(t *testing.T, out []byte) {
		l, err := parseWrk(out)
		if err == nil && (l.Requests < 0 || l.Took < 0 || l.P99 < 0) {
			t.Errorf("read %+v from %q", l, out)
		}
	})
}

func TestRunWrkTellsWhyItFailed(t *testing.T) {
	needs(t, "wrk")
	free, err := freeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	w := works()[0]
	if _, err := runWrk(t.Context(), w, "", "http://"+free[0]+"/", 1, nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want wrk's own reason", err)
	}
}

func TestTailIsShort(t *testing.T) {
	if got := tail([]byte(strings.Repeat("x", 10_000) + "\nthe end\n")); len(got) > 600 || !strings.HasSuffix(string(got), "the end") {
		t.Errorf("got %d bytes ending in %q, want the last few hundred", len(got), got[max(0, len(got)-10):])
	}
}
