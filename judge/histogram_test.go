package judge

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBucketsFollowEachOther without a gap, each at most a quarter wider than where it begins.
func TestBucketsFollowEachOther(t *testing.T) {
	for i := range Buckets {
		low := Lowest(i)
		if Bucket(low) != i || Bucket(Middle(i)) != i || i > 0 && Bucket(low-1) != i-1 {
			t.Errorf("%d: begins at %s in %d, its middle is in %d", i, low, Bucket(low), Bucket(Middle(i)))
		}
		if i > 4 && float64(low)/float64(Lowest(i-1)) > 1.25 {
			t.Errorf("%d is wide", i)
		}
	}
	if Bucket(-1) != 0 || Bucket(1<<62) != Buckets-1 {
		t.Error("the ends")
	}
}

// TestQuantilesAreRightToATenth beside the dumb way.
func TestQuantilesAreRightToATenth(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var h Histogram
		var all []time.Duration
		for range 1 + r.IntN(300) {
			d := time.Duration(float64(20*time.Millisecond) * (0.1 + r.ExpFloat64()))
			all = append(all, d)
			h[Bucket(d)]++
		}
		slices.Sort(all)
		for _, q := range []float64{0.01, 0.5, 0.95, 1} {
			want := all[max(0, int(q*float64(len(all))+0.9999)-1)]
			if off := float64(h.Quantile(q)) / float64(want); off < 0.87 || off > 1.13 {
				t.Errorf("the %v quantile of %d is %s, want %s", q, len(all), h.Quantile(q), want)
			}
		}
	}
	if (&Histogram{}).Quantile(0.5) != 0 {
		t.Error("there is no median of nothing")
	}
}

func TestSampleIsWrittenAndRead(t *testing.T) {
	s := Sample{Requests: 9, Errors: 3, Resets: 2}
	s.Latency[0], s.Latency[40], s.Latency[Buckets-1] = 1, 4, 1
	b, err := json.Marshal(s)
	if err != nil || len(b) > 100 {
		t.Fatal(len(b), err)
	}
	var again Sample
	if err := json.Unmarshal(b, &again); err != nil || again != s {
		t.Error(err, again)
	}
	if err := json.Unmarshal([]byte(`{"latency":[[104,1],[5,2]]}`), &again); err != nil || again.Latency.Count() != 2 {
		t.Error("a bucket of another version", err, again.Latency.Count())
	}
	if json.Unmarshal([]byte(`{"latency":[5]}`), &again) == nil {
		t.Error("no pair")
	}
}

// TestMinusNeverGoesBelowZero: counts that begin anew are not taken for many requests.
func TestMinusNeverGoesBelowZero(t *testing.T) {
	small, large := Sample{Requests: 1}, Sample{Requests: 5, Errors: 2, Resets: 1}
	large.Latency[7] = 3
	if d := small.Minus(large); d != (Sample{}) {
		t.Error(d)
	}
	if d := large.Plus(small).Minus(small); d != large {
		t.Error(d)
	}
}
