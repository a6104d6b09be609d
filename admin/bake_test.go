package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/control"
)

// bakedOperation is that of a flip whose release bakes.
type bakedOperation struct {
	*fakeOperation
	bake control.BakeStatus
}

func (o bakedOperation) Bake() *control.BakeStatus { return &o.bake }

func (o bakedOperation) Receipt() control.Receipt {
	r := o.fakeOperation.Receipt()
	r.Bake = &o.bake
	return r
}

// ovens is a controller of one bake.
type ovens struct {
	*fake
	op bakedOperation
}

func (o ovens) Bake(string) (Operation, error) { return o.op, nil }

func baked(t *testing.T, state control.BakeState) *window {
	op := bakedOperation{
		newFakeOperation(control.Receipt{ID: "2", Verb: "flip", Service: "web", From: "blue", To: "green"}),
		control.BakeStatus{ID: "2", Service: "web", State: state, From: "blue", FromRelease: "v1", To: "green", Release: "v2", Why: "9 of 40", Ends: time.Now().Add(time.Minute)},
	}
	if state != control.Baking {
		op.end()
	}
	return newWindow(t, func(o *Options) { o.Controller = ovens{o.Controller.(*fake), op} })
}

// TestHowABakeIsAnswered, to who only asks and to who waits.
func TestHowABakeIsAnswered(t *testing.T) {
	rows := []struct {
		state         control.BakeState
		asked, waited int
		kind, says    string
	}{
		{control.Baking, 202, 202, "", ""},
		{control.BakePassed, 200, 200, "", ""},
		{control.NotEnough, 200, 200, "", ""},
		{control.RolledBack, 200, 409, "worse", "green v2 of web is worse than blue v1: 9 of 40; it was rolled back, and blue v1 serves again"},
		{control.BakedWorse, 200, 409, "worse", "sluice rollback web"},
		{control.Superseded, 200, 409, "superseded", "has no verdict: 9 of 40"},
	}
	for _, row := range rows {
		w := baked(t, row.state)
		if got := w.ask("GET", "/v1/services/web/bake", ""); got.status != row.asked || got.receipt(t).Bake.State != row.state {
			t.Errorf("%s: %d %s", row.state, got.status, got.body)
		}
		got := w.ask("GET", "/v1/services/web/bake?wait=true&timeout=100ms", "")
		if got.status != row.waited {
			t.Errorf("%s: %d %s", row.state, got.status, got.body)
		}
		if row.kind == "" {
			continue
		}
		if p := got.problem(t); p.Kind() != row.kind || !strings.Contains(p.Error(), row.says) || p.Receipt == nil || p.Receipt.Bake.State != row.state || p.Title == "" {
			t.Errorf("%s: %s", row.state, got.body)
		}
	}
}

// TestABakeIsToldOf in each line of a stream, and its verdict in the last.
func TestABakeIsToldOf(t *testing.T) {
	lines := func(state control.BakeState) (all []Line) {
		got := baked(t, state).ask("GET", "/v1/services/web/bake?stream=true&timeout=300ms", "")
		for text := range strings.Lines(got.body) {
			var l Line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	all := lines(control.Baking)
	if len(all) < 2 || all[0].Progress.Bake == nil || all[0].Progress.Bake.State != control.Baking || all[len(all)-1].Over || all[len(all)-1].Problem != nil {
		t.Errorf("%+v", all)
	}
	all = lines(control.RolledBack)
	if last := all[len(all)-1]; !last.Over || last.Problem == nil || last.Problem.Kind() != "worse" || last.Receipt.Bake.State != control.RolledBack {
		t.Errorf("%+v", last)
	}
}

func TestHowLongAFlipBakes(t *testing.T) {
	rows := []struct {
		query string
		want  string
	}{
		{"", "as the file says"}, {"&bake=60s", "1m0s"}, {"&bake=0", "0s"}, {"&bake=off", "0s"}, {"&bake=0s", "0s"},
		{"&bake=60", "refused"}, {"&bake=-1s", "refused"}, {"&bake=", "refused"}, {"&bake=soon", "refused"},
	}
	for _, row := range rows {
		w := newWindow(t)
		got := w.ask("POST", "/v1/services/web/flip?pool=green"+row.query, "")
		is := "as the file says"
		switch d := w.fake.want.Bake.For; {
		case got.status == 400 && got.problem(t).Kind() == "argument":
			is = "refused"
		case d != nil:
			is = d.String()
		}
		if is != row.want {
			t.Errorf("%q: %s, want %s: %s", row.query, is, row.want, got.body)
		}
	}
}

// TestAWaitOutlastsTheBake, unless the caller named a limit; that may be longer than other waits.
func TestAWaitOutlastsTheBake(t *testing.T) {
	now := time.Now()
	b := &control.BakeStatus{Ends: now.Add(2 * time.Hour)}
	for named, want := range map[time.Duration]time.Duration{0: 2*time.Hour + longestWait, time.Hour: time.Hour, time.Second: time.Second} {
		if got := (waiting{named: named, limit: longestWait}).over(b, now).limit; got != want {
			t.Errorf("named %s: waits for %s, want %s", named, got, want)
		}
	}
}

func TestTheClientAsksForABake(t *testing.T) {
	w := baked(t, control.RolledBack)
	c, err := NewClient("unix://"+w.socket, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, wait := range []bool{false, true} {
		o, err := c.Bake(t.Context(), "web", Want{Wait: wait})
		if err != nil || o.Receipt.Bake.State != control.RolledBack || (o.Problem != nil) != wait {
			t.Errorf("wait %v: %v %+v", wait, err, o)
		}
	}
}
