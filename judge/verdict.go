package judge

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Word is what a verdict comes down to.
type Word string

const (
	BetterOrEqual Word = "better or equal" // than the old release, within the margins
	Worse         Word = "worse"
	NotEnough     Word = "not enough data" // to say either
)

// Verdict is what a look found, with its figures.
type Verdict struct {
	Word   Word    `json:"word"`
	Why    string  `json:"why"`              // one sentence with figures, without a full stop
	Signal string  `json:"signal,omitempty"` // of Worse: "health", "errors", "resets", "p50", "p95"
	Chance float64 `json:"chance,omitempty"` // of Worse: how likely at most, had it not been worse; 0 where nothing was weighed
	// Excess is the share by which its errors may still be above those of the old release; 1 where nothing is known.
	Excess float64 `json:"excess,omitempty"`
	Old    Figures `json:"old"`
	New    Figures `json:"new"`
}

// Figures are a sample as a person reads it.
type Figures struct {
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`
	Resets   uint64  `json:"resets"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
}

// Figures sums a sample up.
func (s *Sample) Figures() Figures {
	ms := func(q float64) float64 { return math.Round(s.Latency.Quantile(q).Seconds()*1e4) / 10 }
	return Figures{s.Requests, s.Errors, s.Resets, ms(0.5), ms(0.95), ms(0.99)}
}

func (t *Test) figures(p pair) Verdict { return Verdict{Old: p.old.Figures(), New: p.new.Figures()} }

// last says what there is to say at the end of the watch of what is not worse.
func (t *Test) last(p pair, v Verdict) Verdict {
	v.Excess = t.excess(p.new.errors(), t.reference(&p))
	switch {
	case p.new.Requests < uint64(t.rules.MinRequests):
		v.Word, v.Why = NotEnough, t.soFar(&p)
	case t.impaired():
		v.Word, v.Why = NotEnough, fewUp(t.health[1])+"; "+v.errors()
	case !t.known(p.old.errors()) && v.Excess > t.rules.Points:
		v.Word, v.Why = NotEnough, fmt.Sprintf("%s%s", v.errors(), t.unknown(&p))
	default:
		v.Word = BetterOrEqual
		v.Why = fmt.Sprintf("%s: at most %s points more, as far as can be said at %.0f %%%s", v.errors(), points(v.Excess), 100*sure, v.times())
	}
	return v
}

// reference is what the new release is to be no worse than. Where too little is known of the old one that is one without
// errors.
func (t *Test) reference(p *pair) count {
	if old := p.old.errors(); t.known(old) {
		return old
	}
	return count{0, 1e9} // as good as known
}

// soFar is what there is to say without a verdict.
func (t *Test) soFar(p *pair) string {
	if least := t.rules.MinRequests; p.new.Requests < uint64(least) {
		return fmt.Sprintf("%s of the new release so far, and fewer than %s say nothing%s", amount(p.new.Requests, "request"), number(uint64(least)), t.leftOut())
	}
	return shares("errors", p.new.errors(), p.old.errors()) + " so far" + t.leftOut()
}

// leftOut says of requests why they are not among those that are told of.
func (t *Test) leftOut() string {
	if t.void.Requests == 0 {
		return ""
	}
	return fmt.Sprintf("; %s more do not count, as the old release failed its probes at the time", number(t.void.Requests))
}

// unknown is said where the old release served too little to be compared with.
func (t *Test) unknown(p *pair) string {
	if t.known(p.old.errors()) {
		return ""
	}
	return fmt.Sprintf(", and too little is known of the release before: %s", amount(p.old.Requests, "request"))
}

func (v *Verdict) errors() string {
	return shares("errors", count{float64(v.New.Errors), float64(v.New.Requests)}, count{float64(v.Old.Errors), float64(v.Old.Requests)})
}

func (v *Verdict) times() string {
	if v.New.P95 == 0 || v.Old.P95 == 0 {
		return ""
	}
	return fmt.Sprintf("; p95 %s against %s", millis(v.New.P95), millis(v.Old.P95))
}

func noneUp(total int) string {
	if total == 1 {
		return "its backend is down"
	}
	return fmt.Sprintf("none of its %d backends is up", total)
}

func fewUp(h Health) string { return fmt.Sprintf("%d of its %d backends are up", h.Up, h.Total) }

func falls(n int) string {
	return fmt.Sprintf("its backends went down %d times since the watch began", n)
}

// shares is "errors 4.1 % (63 of 1,540) against 0.2 % (31 of 14,900)".
func shares(what string, new, old count) string {
	return what + " " + share(new) + " against " + share(old)
}

func share(c count) string {
	if c.all == 0 {
		return "none of no request"
	}
	return fmt.Sprintf("%s %% (%s of %s)", points(c.share()), number(uint64(c.hits)), number(uint64(c.all)))
}

// points is a share in percent, with as many digits as it takes to see that it is not zero.
func points(share float64) string {
	switch p := 100 * share; {
	case p == 0 || p >= 99.95:
		return strconv.FormatFloat(p, 'f', 0, 64)
	case p < 0.1:
		return strconv.FormatFloat(p, 'g', 1, 64)
	default:
		return strings.TrimSuffix(strconv.FormatFloat(p, 'f', 1, 64), ".0")
	}
}

// slower is "p95 480 ms against 210 ms (1,540 and 14,900 requests)".
func slower(q float64, new, old *Histogram) string {
	return fmt.Sprintf("%s %s against %s (%s and %s requests)", quantileName(q), duration(new.Quantile(q)), duration(old.Quantile(q)), number(new.Count()), number(old.Count()))
}

// unanswered is said of requests whose time is not over.
func (t *Test) unanswered() string {
	n := t.waiting[1].Count()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %s of them still unanswered", number(n))
}

func quantileName(q float64) string { return "p" + strconv.FormatFloat(100*q, 'g', -1, 64) }

func duration(d time.Duration) string { return millis(d.Seconds() * 1000) }

func millis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// byChance is "; 1 in 10 million by chance".
func byChance(p float64) string {
	n := 1 / max(p, 1e-12)
	switch {
	case p <= 1e-9:
		return "; less than 1 in a billion by chance"
	case n >= 1e6:
		return fmt.Sprintf("; 1 in %.0f million by chance", n/1e6)
	}
	size := math.Pow(10, math.Floor(math.Log10(n)))
	return fmt.Sprintf("; 1 in %s by chance", number(uint64(math.Floor(n/size)*size)))
}

func amount(n uint64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return number(n) + " " + of + "s"
}

// number has its thousands set apart.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
