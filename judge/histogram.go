package judge

import (
	"encoding/json"
	"math/bits"
	"time"
)

// Buckets is how many there are. Each is a quarter of an octave wide: a quantile read off them is right to a tenth. The
// last begins at two minutes and takes all above.
const Buckets = 104

// Histogram counts how long answers took.
type Histogram [Buckets]uint64

// Bucket numbers the quarters of each octave of units, which are some microseconds.
func Bucket(d time.Duration) int {
	units := uint64(max(d, 0)) >> 10
	if units < 4 {
		return int(units)
	}
	octave := bits.Len64(units) - 1
	return min((octave-1)*4+int(units>>(octave-2)&3), Buckets-1)
}

// Lowest is where a bucket begins.
func Lowest(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket) << 10
	}
	return time.Duration(uint64(4+bucket%4) << (bucket/4 - 1) << 10)
}

// Middle is the middle of a bucket.
func Middle(bucket int) time.Duration {
	if bucket < 4 {
		return Lowest(bucket) + 1<<9
	}
	return Lowest(bucket) + time.Duration(1)<<(bucket/4-1)<<9
}

// Count is how many answers there are.
func (h *Histogram) Count() (n uint64) {
	for _, k := range h {
		n += k
	}
	return n
}

// From is how many are in a bucket or above it.
func (h *Histogram) From(bucket int) (n uint64) {
	for _, k := range h[min(bucket, Buckets):] {
		n += k
	}
	return n
}

// Quantile is the middle of the bucket that holds it; 0 where nothing was counted. q is in (0,1].
func (h *Histogram) Quantile(q float64) time.Duration {
	below, all := uint64(0), h.Count()
	for i, k := range h {
		if below += k; k > 0 && float64(below) >= q*float64(all) {
			return Middle(i)
		}
	}
	return 0
}

// MarshalJSON writes the buckets that are not empty, each as [bucket, count].
func (h Histogram) MarshalJSON() ([]byte, error) {
	pairs := [][2]uint64{}
	for i, k := range h {
		if k > 0 {
			pairs = append(pairs, [2]uint64{uint64(i), k})
		}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads them again. A bucket that there is not is left out: it is of another version.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var pairs [][2]uint64
	if err := json.Unmarshal(b, &pairs); err != nil {
		return err
	}
	*h = Histogram{}
	for _, p := range pairs {
		if p[0] < Buckets {
			h[p[0]] = p[1]
		}
	}
	return nil
}
