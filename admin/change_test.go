package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
)

func (f *fake) newest(t *testing.T) *fakeOperation {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		f.mu.Lock()
		n := len(f.ops)
		f.mu.Unlock()
		if n > 0 {
			return f.ops[n-1]
		}
		if time.Now().After(deadline) {
			t.Fatal("no operation was begun")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWithoutWaitTheAnswerComesAtOnce(t *testing.T) {
	w := newWindow(t)
	got := w.ask("POST", "/v1/services/web/flip?pool=green", "")
	if r := got.receipt(t); got.status != 202 || r.Done || len(r.Inside) != 2 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if at := got.header.Get("Location"); at != "/v1/operations/7" {
		t.Errorf("a 202 says where to look: %q", at)
	}
	if got := w.ask("GET", "/v1/operations/7", ""); got.status != 202 || got.receipt(t).Done {
		t.Errorf("there: %d %s", got.status, got.body)
	}
	w.fake.newest(t).end()
	if got := w.ask("GET", "/v1/operations/7", ""); got.status != 200 || !got.receipt(t).Done {
		t.Errorf("when it is over: %d %s", got.status, got.body)
	}
}

func TestWaitAnswersWhenItIsDone(t *testing.T) {
	for _, path := range []string{"?pool=green&wait=true", "?pool=green&wait", "?pool=green&wait=1"} {
		w := newWindow(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			op := w.fake.newest(t)
			time.Sleep(20 * time.Millisecond)
			op.end()
		}()
		got := w.ask("POST", "/v1/services/web/flip"+path, "")
		<-ended
		if got.status != 200 || !got.receipt(t).Done || got.receipt(t).Drain.Finished != 2 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestOverAtOnceIs200(t *testing.T) {
	w := newWindow(t)
	w.fake.instant = true
	if got := w.ask("POST", "/v1/services/web/flip?pool=green", ""); got.status != 200 || got.header.Get("Location") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func TestWaitEndsAtItsTimeout(t *testing.T) {
	w := newWindow(t)
	began := time.Now()
	got := w.ask("POST", "/v1/services/web/flip?pool=green&wait=true&timeout=50ms", "")
	if got.status != 202 || got.receipt(t).Done || time.Since(began) > 5*time.Second {
		t.Errorf("%d after %s: %s", got.status, time.Since(began), got.body)
	}
}

func TestTimeoutBeforeTheChangeChangesNothing(t *testing.T) {
	w := newWindow(t)
	w.fake.hold = make(chan struct{})
	got := w.ask("POST", "/v1/services/web/flip?pool=green&wait=true&timeout=50ms", "")
	if got.status != 503 || got.problem(t).Kind() != "timeout" || len(w.fake.ops) != 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestShutdownAnswersThoseWhoWait(t *testing.T) {
	w := newWindow(t)
	answered := make(chan reply, 1)
	go func() { answered <- w.ask("POST", "/v1/services/web/flip?pool=green&wait=true", "") }()
	w.fake.newest(t)
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	w.server.Shutdown(ctx)
	if got := <-answered; got.status != 202 || got.receipt(t).Done {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestStream: a line at once, further ones while it lasts, the receipt at the end.
func TestStream(t *testing.T) {
	w := newWindow(t)
	req, _ := http.NewRequest("POST", "http://sluice/v1/services/web/flip?pool=green&wait=true", nil)
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Sluice-Generation") != "6" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	for i := range 2 {
		var line Line
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil || line.Progress == nil || line.Progress.Inside != 2 || len(line.Progress.Items) != 2 {
			t.Fatalf("line %d: %s", i, lines.Text())
		}
	}
	w.fake.newest(t).end()
	var last Line
	for lines.Scan() {
		last = Line{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatal(err)
		}
	}
	if last.Receipt == nil || !last.Over || !last.Receipt.Done {
		t.Errorf("last line: %+v", last)
	}
}

func TestStreamEndsAtItsTimeout(t *testing.T) {
	w := newWindow(t)
	got := w.ask("POST", "/v1/services/web/flip?pool=green&stream=true&timeout=300ms", "")
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	var last Line
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Receipt == nil || last.Over || last.Receipt.Done {
		t.Errorf("%v: %s", err, got.body)
	}
}

// TestRefusedStreamIsAProblem: nothing was begun, so there is nothing to stream.
func TestRefusedStreamIsAProblem(t *testing.T) {
	w := newWindow(t)
	w.fake.err = &control.Refusal{Kind: "unhealthy", What: "down"}
	if got := w.ask("POST", "/v1/services/web/flip?pool=green&stream=true", ""); got.status != 409 || got.problem(t).Kind() != "unhealthy" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWindow(t)
	const flip = "/v1/services/web/flip?pool=green"
	first := w.ask("POST", flip, "", "Idempotency-Key", "build-1")
	again := w.ask("POST", flip+"&timeout=1s", "", "Idempotency-Key", "build-1")
	if first.status != 202 || again.status != 202 || len(w.fake.calls()) != 1 || first.receipt(t).ID != again.receipt(t).ID {
		t.Errorf("asked again with its key: %d %d, %v", first.status, again.status, w.fake.calls())
	}
	w.fake.newest(t).end()
	if done := w.ask("POST", flip+"&wait=true", "", "Idempotency-Key", "build-1"); done.status != 200 || len(w.fake.calls()) != 1 {
		t.Errorf("asked again to wait: %d %v", done.status, w.fake.calls())
	}
	if other := w.ask("POST", "/v1/services/web/flip?pool=blue", "", "Idempotency-Key", "build-1"); other.status != 422 {
		t.Errorf("another request with the key: %d %s", other.status, other.body)
	}
	if other := w.ask("POST", flip, "", "Idempotency-Key", "build-1", "If-Match", "3"); other.status != 422 {
		t.Errorf("another If-Match with the key: %d", other.status)
	}
	if fresh := w.ask("POST", flip, "", "Idempotency-Key", "build-2"); fresh.status != 202 || len(w.fake.calls()) != 2 {
		t.Errorf("another key: %d %v", fresh.status, w.fake.calls())
	}
	if long := w.ask("POST", flip, "", "Idempotency-Key", strings.Repeat("k", 256)); long.status != 400 {
		t.Errorf("a long key: %d", long.status)
	}
}

// TestRefusalsAreNotRemembered: they changed nothing, so the same key may be tried again.
func TestRefusalsAreNotRemembered(t *testing.T) {
	w := newWindow(t)
	w.fake.err = &control.Refusal{Kind: "unhealthy", What: "down"}
	if got := w.ask("POST", "/v1/services/web/flip?pool=green", "", "Idempotency-Key", "k"); got.status != 409 {
		t.Fatalf("%d", got.status)
	}
	w.fake.err = nil
	if got := w.ask("POST", "/v1/services/web/flip?pool=green", "", "Idempotency-Key", "k"); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestOneKeyAtTheSameTime: ten requests with one key at once make one change.
func TestOneKeyAtTheSameTime(t *testing.T) {
	w := newWindow(t)
	w.fake.hold = make(chan struct{})
	var all sync.WaitGroup
	replies := make([]reply, 10)
	for i := range replies {
		all.Go(func() { replies[i] = w.ask("POST", "/v1/services/web/flip?pool=green", "", "Idempotency-Key", "k") })
	}
	time.Sleep(50 * time.Millisecond)
	close(w.fake.hold)
	all.Wait()
	for _, r := range replies {
		if r.status != 202 || r.receipt(t).ID != "7" {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if n := len(w.fake.calls()); n != 1 {
		t.Errorf("control was asked %d times", n)
	}
}

func TestKeysAreForgotten(t *testing.T) {
	at := time.Unix(0, 0)
	p := repeats{now: func() time.Time { return at }}
	count := 0
	once := func(key string) {
		t.Helper()
		if _, err := p.once(t.Context(), key, "r", func() (Operation, error) { count++; return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	once("a")
	once("a")
	at = at.Add(keepKeys + 1)
	once("a")
	if count != 2 {
		t.Errorf("%d changes, want 2: one before and one after the key was forgotten", count)
	}
	for i := range 3 * mostKeys {
		once(string(rune('b' + i)))
	}
	if len(p.byKey) > mostKeys || len(p.order) > mostKeys {
		t.Errorf("%d keys are kept", len(p.byKey))
	}
}

func TestStopIsTheEndOfChanges(t *testing.T) {
	op := newFakeOperation(control.Receipt{ID: "stop", Verb: "stop"})
	asked := 0
	w := newWindow(t, func(o *Options) {
		o.Stop = func(c control.Cause) Operation { asked++; return op }
	})
	if got := w.ask("POST", "/v1/stop?note=bye", ""); got.status != 202 || asked != 1 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := w.ask("POST", "/v1/services/web/flip?pool=green", ""); got.status != 503 || got.problem(t).Kind() != "stopping" {
		t.Errorf("a change after it: %d %s", got.status, got.body)
	}
	if got := w.ask("GET", "/healthz", ""); got.status != 503 || !strings.Contains(got.body, "stopping") {
		t.Errorf("healthz: %d %s", got.status, got.body)
	}
	if got := w.ask("GET", "/v1/status", ""); !strings.Contains(got.body, `"draining": true`) {
		t.Errorf("status: %s", got.body)
	}
	op.end()
	if got := w.ask("POST", "/v1/stop?wait=true", ""); got.status != 200 || !got.receipt(t).Done {
		t.Errorf("stop again: %d %s", got.status, got.body)
	}
	if got := w.ask("GET", "/v1/operations/stop", ""); got.status != 200 {
		t.Errorf("its operation: %d %s", got.status, got.body)
	}
}
