package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/drain"
	"sluice/healthcheck"
)

func TestStatusShowsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1", "api one=c:1")
		w.servers.up("v1", "a:1")
		w.servers.up("v2", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(10 * time.Second)
		lease := w.mustClaim("web")
		defer lease.Release()
		s := w.c.Status()
		if s.Generation != 1 || s.ConfigFile != "sluice.yaml" || s.StateDir != "state" || s.PID == 0 || s.Draining || len(s.Services) != 2 {
			t.Errorf("status %+v", s)
		}
		web, api := s.Services[0], s.Services[1]
		if web.Name != "web" || web.Release != "v1+v2" || web.Inside != 1 || web.Path != "/web" || web.Cause.Via != "start" {
			t.Errorf("web %+v", web)
		}
		if web.Rollback.Ready || web.Rollback.Why != "no previous pool" || len(web.Drift) != 0 {
			t.Errorf("rollback %+v, drift %+v", web.Rollback, web.Drift)
		}
		if blue, green := web.Pools[0], web.Pools[1]; !blue.Live || blue.Armed || blue.Eligible != 2 || green.Live || !green.Armed || green.Release != "v2" {
			t.Errorf("blue %+v\ngreen %+v", blue, green)
		}
		down := api.Pools[0].Backends[0]
		if down.Health != healthcheck.Down || down.Reason != "connection refused" || down.Checked.IsZero() || time.Since(down.Checked) > 3*time.Second {
			t.Errorf("c:1 %+v", down)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
		if _, there := w.c.ServiceStatus("shop"); there {
			t.Error("there is a service shop")
		}
	})
}

func TestDriftSaysWhoAndWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		mustFlip(t, w, "green")
		time.Sleep(3 * time.Minute)
		setAdminNow(t, w, "a:2", Maint)
		s, _ := w.c.ServiceStatus("web")
		want := []Drift{
			{What: "live", Decided: "green", File: "blue", Why: "flipped by operator 3m ago"},
			{What: "backend blue/a:2", Decided: "maint", File: "ready", Why: "put in maint by operator 0s ago"},
		}
		if len(s.Drift) != 2 || s.Drift[0] != want[0] || s.Drift[1] != want[1] {
			t.Errorf("got %+v, want %+v", s.Drift, want)
		}
		if s.Rollback.Why != "1/2 healthy: a:2 is in maint" || !s.Rollback.Ready || s.Rollback.Pool != "blue" {
			t.Errorf("rollback %+v", s.Rollback)
		}
		mustFlip(t, w, "blue")
		setAdminNow(t, w, "a:2", Ready)
		synctest.Wait()
		if s, _ := w.c.ServiceStatus("web"); len(s.Drift) != 0 {
			t.Errorf("all is as the file says, and drift is %+v", s.Drift)
		}
	})
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s ago", 59 * time.Second: "59s ago", time.Minute: "1m ago", 90 * time.Minute: "1h ago",
		47 * time.Hour: "47h ago", 49 * time.Hour: "2d ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("ago(%s) = %q, want %q", d, got, want)
		}
	}
	if done("split") != "decided (split)" || done("rollback") != "rolled back" || done("drain") != "drained" {
		t.Error("verbs")
	}
}

func TestHistoryIsBoundedAndByService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web unchecked=1 blue=a:1 green=b:1", "api unchecked=1 one=c:1 two=c:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		for i := range 10 {
			over(t, mustFlip(t, w, []string{"green", "blue"}[i%2]))
			if _, err := w.c.Flip(t.Context(), "api", []string{"two", "one"}[i%2], FlipWant{}, Cause{By: "anna", Note: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		w.disk.records = append(w.disk.records, w.disk.records[0])
		w.disk.records[0].Data = []byte("not json")
		all, err := w.c.History("api", 3)
		if err != nil || len(all) != 3 {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		last := all[2]
		if last.Service != "api" || last.Verb != "flip" || last.Cause.Note != "9" || last.Outcome == nil || last.Seq == 0 || last.Generation != 21 {
			t.Errorf("last %+v", last)
		}
		if all, _ := w.c.History("", 0); len(all) != 21 {
			t.Errorf("%d entries in all, want 20 changes and a start", len(all))
		}
	})
}

func TestAnOutcomeWhoseChangeIsGoneStandsForItself(t *testing.T) {
	all := take(nil, Entry{Kind: "outcome", Generation: 4, Outcome: &Receipt{}}, map[uint64]int{})
	if len(all) != 1 || all[0].Outcome == nil {
		t.Errorf("%+v", all)
	}
}

func TestTheWholeProcessIsDrainedByTheLongestPolicy(t *testing.T) {
	w := newWorld(t, "web blue=a:1", "api blue=b:1")
	w.cfg.Services[0].Drain.Timeout = time.Hour
	w.cfg.Services[1].Drain.WebSocket = time.Minute
	w.mustStart()
	defer w.c.Close()
	if got, want := w.c.DrainPolicy(""), (drain.Policy{Timeout: time.Hour, Stream: 10 * time.Second, WebSocket: time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := w.c.DrainPolicy("web"); got.Timeout != time.Hour || got.WebSocket != 10*time.Second {
		t.Errorf("web: %+v", got)
	}
	if got := w.c.DrainPolicy("shop"); got != (drain.Policy{}) {
		t.Errorf("shop: %+v", got)
	}
}

func TestRetryAfterIsWhenTheNextCheckIsOver(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		0: time.Second, 100 * time.Millisecond: time.Second, 2 * time.Second: 2 * time.Second, 2500 * time.Millisecond: 3 * time.Second,
	} {
		if got := retryAfter(interval); got != want {
			t.Errorf("retryAfter(%s) = %s, want %s", interval, got, want)
		}
	}
}

func TestStartIsRefusedWhenItCannotBeSaved(t *testing.T) {
	w := newWorld(t, "web blue=a:1")
	w.disk.fail(errors.New("read-only file system"))
	err := w.start()
	if r := refusalOf(t, err); r.Kind != "storage" || !strings.Contains(r.What, "read-only") {
		t.Errorf("%+v", r)
	}
	w.c.Close()
	w = newWorld(t, "web blue=a:1", "api blue=a:1")
	w.cfg.Services[1].Path = "/web"
	if r := refusalOf(t, w.start()); r.Kind != "conflict" || w.disk.state != nil {
		t.Errorf("%+v", r)
	}
	w.c.Close()
	w = newWorld(t, "web blue=a:1")
	w.disk.state = []byte("{")
	if err := w.start(); err == nil {
		t.Error("started with a state that cannot be read")
	}
	w.c.Close()
}

func TestAPlainRestartKeepsTheGeneration(t *testing.T) {
	w := newWorld(t, "web blue=a:1")
	w.mustStart()
	w.c.Close()
	w.mustStart()
	w.c.Close()
	if w.c.Generation() != 1 || w.disk.saves != 1 || len(w.disk.records) != 2 {
		t.Errorf("generation %d, %d saves, %d records", w.c.Generation(), w.disk.saves, len(w.disk.records))
	}
	w.cfg = fileOf(t, "web blue=a:1,a:2")
	w.mustStart()
	w.c.Close()
	if w.c.Generation() != 2 {
		t.Errorf("generation %d after the file changed, want 2: an If-Match of before must not hold", w.c.Generation())
	}
}

func TestEndpointsAreShared(t *testing.T) {
	w := newWorld(t, "web blue=a:1 green=a:1,b:1", "api one=a:1")
	w.mustStart()
	defer w.c.Close()
	if n := len(w.c.now.Load().built.endpoints); n != 2 {
		t.Errorf("%d endpoints for two addresses", n)
	}
}

func TestWatchWakesOnHealthAndOnDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.mustStart()
		defer w.c.Close()
		time.Sleep(5 * time.Second)
		for why, do := range map[string]func(){
			"health":   func() { w.servers.up("v1", "a:1"); time.Sleep(5 * time.Second) },
			"decision": func() { setAdminNow(t, w, "a:2", Drain) },
		} {
			watch := w.c.Watch()
			do()
			if !closed(watch) {
				t.Errorf("%s woke nobody", why)
			}
		}
		watch := w.c.Watch()
		w.c.Stopping(Cause{Verb: "stop"})
		w.c.Stopping(Cause{Verb: "stop"})
		if !closed(watch) || !w.c.Status().Draining {
			t.Error("stopping woke nobody")
		}
	})
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A thousand backends that come up at once are a few builds, and a status of them is no burden.
func TestAThousandBackends(t *testing.T) {
	var addresses []string
	for i := range 1000 {
		addresses = append(addresses, fmt.Sprintf("10.0.%d.%d:80", i/250, i%250))
	}
	w := newWorld(t, "web blue="+strings.Join(addresses, ","))
	w.servers.up("v1", addresses...)
	began := time.Now()
	w.mustStart()
	defer w.c.Close()
	w.untilUp("web", "blue")
	t.Logf("up after %s", time.Since(began))
	began = time.Now()
	if s := w.c.Status(); s.Services[0].Pools[0].Eligible != 1000 {
		t.Error("not all are eligible")
	}
	t.Logf("status took %s", time.Since(began))
}

func TestRecordsStayShort(t *testing.T) {
	report := &drain.Report{Count: drain.Count{Found: 2000, Cut: 2000}}
	for range 2000 {
		report.CutList = append(report.CutList, drain.Item{Path: "/" + strings.Repeat("x", 100)})
	}
	record, err := Entry{Kind: "outcome", Outcome: &Receipt{Drain: report}}.short()
	if err != nil || len(record) > maxRecord {
		t.Fatalf("%d bytes, %v", len(record), err)
	}
	var back Entry
	if err := json.Unmarshal(record, &back); err != nil || back.Outcome.Drain.Cut != 2000 || len(back.Outcome.Drain.CutList) == 0 {
		t.Errorf("came back with %d cut and %d of them listed: %v", back.Outcome.Drain.Cut, len(back.Outcome.Drain.CutList), err)
	}
	if len(report.CutList) != 2000 {
		t.Error("the receipt itself was shortened")
	}
	cause := Cause{By: strings.Repeat("ä", 1000), Note: "short"}.whole("flip")
	if len(cause.By) > maxText+3 || !strings.HasSuffix(cause.By, "ä…") || cause.Note != "short" || cause.Verb != "flip" {
		t.Errorf("%+v", cause)
	}
}
