package judge

// Sample is how a release has served until a moment. All of it only grows.
type Sample struct {
	Requests uint64    `json:"requests"` // that ended, but for those whose end says nothing of the release
	Errors   uint64    `json:"errors"`   // of these: answered 5xx, or not as a whole
	Resets   uint64    `json:"resets"`   // round trips that failed and were made good by another; no request of their own
	Latency  Histogram `json:"latency"`  // to the first byte, of answers that are no errors and not to uploads
}

// Minus is what came since an earlier sample. Where the earlier one has more, counting has begun anew in between, and
// nothing came that is known of.
func (s Sample) Minus(before Sample) Sample {
	d := Sample{
		Requests: less(s.Requests, before.Requests), Errors: less(s.Errors, before.Errors), Resets: less(s.Resets, before.Resets),
	}
	for i := range s.Latency {
		d.Latency[i] = less(s.Latency[i], before.Latency[i])
	}
	return d
}

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// Plus is both together.
func (s Sample) Plus(o Sample) Sample {
	s.Requests, s.Errors, s.Resets = s.Requests+o.Requests, s.Errors+o.Errors, s.Resets+o.Resets
	for i := range s.Latency {
		s.Latency[i] += o.Latency[i]
	}
	return s
}

// Health is how the backends of a release are.
type Health struct {
	Up    int // that may take requests
	Total int // that the operator wants to take them
	Falls int // how often any of them went down since the watch began
}
