package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice/control"
	"sluice/drain"
)

func TestInsideLineByLine(t *testing.T) {
	w := newWindow(t)
	got := w.ask("GET", "/v1/services/web/inside", "", "Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	if got.header.Get("Content-Type") != ndjson || len(lines) != 3 {
		t.Fatalf("%s: %s", got.header.Get("Content-Type"), got.body)
	}
	var all [3]InsideLine
	for i := range lines {
		if err := json.Unmarshal([]byte(lines[i]), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if *all[0].Total != 5 || all[0].By[drain.Request] != 4 || all[0].More != 3 || all[1].Item.ID != "a-1" || all[2].Item.Class != drain.Request {
		t.Errorf("%s", got.body)
	}
	if strings.ContainsRune(got.body, 0x1b) {
		t.Errorf("a raw escape: %q", got.body)
	}
}

func TestInsideRefused(t *testing.T) {
	w := newWindow(t)
	w.fake.err = &control.Refusal{Kind: "unknown", What: "no pool", Hint: "blue"}
	if got := w.ask("GET", "/v1/services/web/inside?pool=x", ""); got.status != 404 || got.problem(t).Hint != "blue" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestClientAsksWhatIsInside(t *testing.T) {
	w := newWindow(t)
	l, err := w.client(t, "").Inside(t.Context(), control.InsideWant{Service: "web", Pool: "blue", Backend: "b", Draining: true, Limit: 3})
	if err != nil || l.Total != 5 || len(l.Items) != 2 || w.fake.last() != `inside "web" "blue" "b" true 3` {
		t.Errorf("%+v %v %s", l, err, w.fake.last())
	}
	if _, err := w.client(t, "").Inside(t.Context(), control.InsideWant{}); err != nil || w.fake.last() != `inside "" "" "" false 100` {
		t.Errorf("%v %s", err, w.fake.last())
	}
}

// TestMaxCut: more than that is a problem document with the receipt in it; the change stands.
func TestMaxCut(t *testing.T) {
	rows := []struct {
		path   string
		cut    int
		status int
		says   []string
	}{
		{"/v1/services/web/flip?pool=green&max_cut=0", 0, 200, nil},
		{"/v1/services/web/flip?pool=green&max_cut=2", 2, 200, nil},
		{"/v1/services/web/flip?pool=green", 2, 200, nil},
		{"/v1/services/web/flip?pool=green&wait=true&max_cut=1", 2, 409, []string{"2 of 7 were cut", "at most 1", "green is live in web", "sluice rollback web", "drain: {websocket: …}"}},
		{"/v1/services/web/rollback?max_cut=0", 1, 409, []string{"1 of 7 was cut"}},
		{"/v1/services/web/backends/b/drain?max_cut=0", 1, 409, []string{"sluice ready web"}},
		{"/v1/services/web/backends/blue/b/maint?max_cut=0", 1, 409, nil},
	}
	for _, row := range rows {
		t.Run(row.path, func(t *testing.T) {
			w := newWindow(t)
			go func() { w.fake.newest(t).endWith(row.cut) }()
			path := row.path
			if !strings.Contains(path, "max_cut") {
				path += "&wait=true"
			}
			got := w.ask("POST", path, "")
			if got.status != row.status {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if row.status == 200 {
				if r := got.receipt(t); r.Drain.Cut != row.cut {
					t.Errorf("%s", got.body)
				}
				return
			}
			p := got.problem(t)
			if p.Kind() != "cut" || p.Receipt == nil || p.Receipt.Drain.Cut != row.cut || len(p.Receipt.Drain.CutList) != row.cut {
				t.Errorf("%s", got.body)
			}
			for _, want := range row.says {
				if !strings.Contains(p.Error(), want) {
					t.Errorf("no %q in %s", want, p.Error())
				}
			}
		})
	}
}

// TestMaxCutByJSONAndAgain: the bound says how to answer, so the same key may come with another one.
func TestMaxCutByJSONAndAgain(t *testing.T) {
	w := newWindow(t)
	go func() { w.fake.newest(t).endWith(2) }()
	fields := []string{"Content-Type", "application/json", "Idempotency-Key", "k"}
	if got := w.ask("POST", "/v1/services/web/flip", `{"pool":"green","max_cut":1}`, fields...); got.status != 409 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.ask("POST", "/v1/services/web/flip", `{"pool":"green","max_cut":5}`, fields...); got.status != 200 || len(w.fake.calls()) != 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.ask("GET", "/v1/operations/7?max_cut=0", ""); got.status != 409 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestMaxCutNotKnownYet: the wait ended before the drain did, so that nobody can judge it.
func TestMaxCutNotKnownYet(t *testing.T) {
	w := newWindow(t)
	if got := w.ask("POST", "/v1/services/web/flip?pool=green&max_cut=0&timeout=20ms", ""); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestClientIsToldOfTheCut(t *testing.T) {
	w := newWindow(t)
	none := 0
	told := 0
	o, err := w.client(t, "").Flip(t.Context(), "web", "green", Want{Wait: true, MaxCut: &none, Items: 1, Progress: func(p Progress) {
		if told++; told == 1 {
			w.fake.newest(t).endWith(2)
			if len(p.Items) != 1 || p.More != 1 || p.Inside != 2 {
				t.Errorf("%+v", p)
			}
		}
	}})
	if err != nil || !o.Over || o.Receipt.Drain.Cut != 2 || o.Problem == nil || o.Problem.Kind() != "cut" || o.Problem.Receipt != nil {
		t.Errorf("%+v %v", o, err)
	}
}

// TestStreamEndsWithItsClient: no goroutine of the server's outlives a client that hangs up, and the change goes on.
func TestStreamEndsWithItsClient(t *testing.T) {
	w := newWindow(t)
	streams := func() int { return strings.Count(stacks(), "admin.(*Server).stream(") }
	ctx, hangUp := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://sluice/v1/services/web/flip?pool=green&stream=true", nil)
	res, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || streams() != 1 {
		t.Fatalf("%d streams, %s", streams(), lines.Text())
	}
	hangUp()
	if lines.Scan(); !errors.Is(lines.Err(), context.Canceled) {
		t.Errorf("%v", lines.Err())
	}
	res.Body.Close()
	for end := time.Now().Add(5 * time.Second); streams() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still streaming:\n%s", stacks())
		}
	}
	if isOver(w.fake.newest(t)) {
		t.Error("the change ended with its caller")
	}
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
