package healthcheck

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheAppAsksForItsDrain(t *testing.T) {
	with := func(status, head, body string) func(net.Conn, string) {
		return say("HTTP/1.1 " + status + " X\r\n" + head + "Connection: close\r\n\r\n" + body)
	}
	tests := []struct {
		why     string
		handle  func(net.Conn, string)
		ignored bool // asking is not allowed
		want    Kind
	}{
		{"the body says so", with("200", "", `{"status":"draining","version":"v1"}`), false, Draining},
		{"whatever the code", with("503", "", `{"status":"draining"}`), false, Draining},
		{"the head says so", with("503", "Sluice-Drain: 1\r\n", "going"), false, Draining},
		{"in any case, and with a 200", with("200", "sluice-drain: true\r\n", ""), false, Draining},
		{"the head says no", with("200", "Sluice-Drain: 0\r\n", ""), false, None},
		{"another status", with("200", "", `{"status":"ok"}`), false, None},
		{"deeper in the body", with("200", "", `{"db":{"status":"draining"}}`), false, None},
		{"in a list", with("200", "", `[{"status":"draining"}]`), false, None},
		{"no JSON", with("200", "", `status: draining`), false, None},
		{"a plain 503", with("503", "", "no"), false, Failed},
		{"it may not, by its head", with("200", "Sluice-Drain: 1\r\n", ""), true, None},
		{"it may not, by its body", with("200", "", `{"status":"draining"}`), true, None},
	}
	for _, test := range tests {
		spec := patient
		spec.AskedDrain, spec.Release = !test.ignored, "version"
		spec.Address = serve(t, "tcp", "127.0.0.1:0", test.handle)
		r := probe(t, spec)
		if got := r.kind(); got != test.want || r.Draining != (test.want == Draining) {
			t.Errorf("%s: %+v", test.why, r)
		}
		if r.Draining && r.Reason != DrainingReason {
			t.Errorf("%s: reason %q", test.why, r.Reason)
		}
	}
}

// TestDrainIsHeardAtOnce: an answer to a client brings it, while a check is under way that would have passed.
func TestDrainIsHeardAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: func(n int, ctx context.Context) Result {
			if n == 1 {
				<-ctx.Done()
				return Result{Cancelled: true}
			}
			return Result{OK: true}
		}}
		c := NewChecker(p, calm, middle)
		reports := run(t, c)
		time.Sleep(calm.Interval + 100*time.Millisecond) // within the second check
		c.Drain(time.Now())
		synctest.Wait()
		got := reports()
		if last := got[len(got)-1]; len(got) != 2 || last.v.State != Down || last.v.Kind != Draining || !last.changed || last.v.Since != time.Now() {
			t.Fatalf("reports %+v, want down at once", got)
		}
		asked := time.Now()
		for c.Latest().State != Up {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(asked); took != calm.Interval+calm.FastInterval {
			t.Errorf("it came back after %v, want two passes later", took)
		}
	})
}

func TestDrainAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(&script{answer: always(true)}, calm, middle)
		reports := run(t, c)
		synctest.Wait()
		c.Drain(time.Now())
		c.Reset() // the server was started anew: what the old one asked for is over
		synctest.Wait()
		got := reports()
		if last := got[len(got)-1].v; last.State != Up || last.Epoch != 1 || last.Kind != None {
			t.Errorf("%+v, want up in the new epoch", last)
		}
	})
}

func TestDrainOfAnUncheckedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(&script{answer: always(true)}, Spec{Off: true}, middle)
		run(t, c)
		synctest.Wait()
		c.Drain(time.Now())
		synctest.Wait()
		if v := c.Latest(); v.State != Up {
			t.Errorf("%+v: nothing would ever bring it back", v)
		}
	})
}
