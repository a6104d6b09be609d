package healthcheck

import (
	"testing"
	"time"
)

func TestSchemaOf(t *testing.T) {
	const most = "want a whole number from 0 to 9007199254740991"
	rows := []struct {
		body string
		want Schema
	}{
		{`{"schema":{"have":812,"min":808,"max":830}}`, Schema{Given: true, Have: 812, Min: 808, Max: 830}},
		{`{"schema":{"have":0,"min":0,"max":0}}`, Schema{Given: true}},
		{`{"schema":{"have":900,"min":1,"max":2,"more":"x"}}`, Schema{Given: true, Have: 900, Min: 1, Max: 2}},
		{`{"schema":{"have":20260102120000,"min":1,"max":9007199254740991}}`, Schema{Given: true, Have: 20260102120000, Min: 1, Max: maxSchema}},
		{`{"schema":null}`, Schema{}},
		{`{"status":"ok"}`, Schema{}},
		{`[1]`, Schema{}},
		{`{"schema":"812"}`, Schema{Given: true, Fault: `schema is "812", want {have, min, max}`}},
		{`{"schema":{}}`, Schema{Given: true, Fault: "schema.have is missing"}},
		{`{"schema":{"have":1,"max":2}}`, Schema{Given: true, Have: 1, Fault: "schema.min is missing"}},
		{`{"schema":{"have":1,"min":2}}`, Schema{Given: true, Have: 1, Min: 2, Fault: "schema.max is missing"}},
		{`{"schema":{"have":"1","min":2,"max":3}}`, Schema{Given: true, Fault: `schema.have is "1", ` + most}},
		{`{"schema":{"have":1.5,"min":2,"max":3}}`, Schema{Given: true, Fault: "schema.have is 1.5, " + most}},
		{`{"schema":{"have":-1,"min":2,"max":3}}`, Schema{Given: true, Fault: "schema.have is -1, " + most}},
		{`{"schema":{"have":9007199254740992,"min":2,"max":3}}`, Schema{Given: true, Fault: "schema.have is 9007199254740992, " + most}},
		{`{"schema":{"have":1e3,"min":2,"max":3}}`, Schema{Given: true, Fault: "schema.have is 1e3, " + most}},
		{`{"schema":{"have":1,"min":3,"max":2}}`, Schema{Given: true, Have: 1, Min: 3, Max: 2, Fault: "schema.min is 3 and schema.max only 2"}},
	}
	for _, row := range rows {
		doc, err := parseJSON([]byte(row.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := schemaOf(doc); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.body, got, row.want)
		}
	}
}

// TestSchemaIsReadWhateverTheVerdict: a server in trouble still knows its database.
func TestSchemaIsReadWhateverTheVerdict(t *testing.T) {
	body := []byte(`{"version":"v1","schema":{"have":5,"min":1,"max":9}}`)
	for _, status := range []int{200, 503} {
		for _, on := range []bool{true, false} {
			h := NewHTTP(Spec{Release: "version", Schema: on}, time.Now).(*connProber)
			said, err := (&HTTP{spec: h.spec}).judge(status, false, body, false)
			if (err == nil) != (status == 200) || said.release != "v1" || said.schema.Given != on || !said.answered {
				t.Errorf("%d, schema %v: %+v %v", status, on, said, err)
			}
		}
	}
}

// TestSchemaSteps: what is newest is what was said last, and it is as old as its first saying.
func TestSchemaSteps(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	known := func(have, since int64) Schema { return Schema{Given: true, Have: have, Max: 9, Since: at(since)} }
	faulty := Schema{Given: true, Fault: "x"}
	faultySince := faulty
	faultySince.Since = at(5)
	say := func(have int64) Schema { return Schema{Given: true, Have: have, Max: 9} }
	rows := []struct {
		why      string
		was, say Schema
		ok       bool
		want     Schema
	}{
		{"first", Schema{}, say(1), true, known(1, 5)},
		{"the same again", known(1, 2), say(1), true, known(1, 2)},
		{"migrated", known(1, 2), say(2), true, known(2, 5)},
		{"a fail that says it", known(1, 2), say(2), false, known(2, 5)},
		{"a fail that says nothing", known(1, 2), Schema{}, false, known(1, 2)},
		{"a pass that says nothing", known(1, 2), Schema{}, true, Schema{}},
		{"malformed", known(1, 2), faulty, true, faultySince},
		{"well again", faultySince, say(1), true, known(1, 5)},
	}
	for _, row := range rows {
		v := Verdict{Schema: row.was}.Next(Result{At: at(5), OK: row.ok, Schema: row.say}, 2, 3)
		if v.Schema != row.want {
			t.Errorf("%s: %+v, want %+v", row.why, v.Schema, row.want)
		}
		if !v.differs(Verdict{State: v.State, Release: v.Release, Steady: v.Steady, Reason: v.Reason, Kind: v.Kind, Answer: v.Answer, Schema: row.was}) != (v.Schema == row.was) {
			t.Errorf("%s: whether it is news", row.why)
		}
	}
}
