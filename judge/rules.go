package judge

import "time"

// Rules say what is worse, and how sure a verdict has to be.
type Rules struct {
	MinRequests int     // of the new release; fewer are no verdict, but see Broken
	Broken      int     // so many errors are, if they are at least half of the requests; 0: however many
	FalseAlarms float64 // how often at most a release that is not worse may be called worse in one whole watch

	// A share of errors is worse when it is above that of the old release by more than Points and by more than Factor.
	Points float64 // 0.005 is half a percentage point
	Factor float64
	// A quantile of the time to the first byte is worse when it is above that of the old release by more than both.
	SlowerFactor float64
	SlowerBy     time.Duration
	Quantiles    []float64 // which are compared
	WarmUp       int       // looks at the beginning in which times do not count: caches are cold then

	Falls int // so many times that its backends went down are worse; 0: however many
}

// Defaults are for a service of which nothing is known.
func Defaults() Rules {
	return Rules{
		MinRequests: 50, Broken: 8, FalseAlarms: 0.01,
		Points: 0.005, Factor: 1.25,
		SlowerFactor: 1.25, SlowerBy: 10 * time.Millisecond, Quantiles: []float64{0.5, 0.95}, WarmUp: 5,
		Falls: 3,
	}
}

// What FalseAlarms is divided into: errors are what it is about, and slowness is what varies most for other reasons.
const (
	forErrors  = 0.5
	forTrips   = 0.2
	forLatency = 0.3 // shared by the quantiles
)

const (
	// fewestErrors are needed for a verdict however unlikely fewer are: what is unlikely happens to somebody.
	fewestErrors = 5
	// presumed is what a release of which too little is known has at most for errors. The number is arbitrary; without it a
	// release that answers nothing would be as good as one that nobody asked.
	presumed = 0.25
	// sure is how sure a statement about what is not worse has to be.
	sure = 0.95
	// statement is the evidence for that, as a logarithm.
	statement = 2.995732273553991
)

// most is the share of errors that is not worse than one of the old release.
func (r *Rules) most(old float64) float64 { return min(1, old+max(r.Points, old*(r.Factor-1))) }

// slowest is the time that is not worse than one of the old release.
func (r *Rules) slowest(old time.Duration) time.Duration {
	return old + max(r.SlowerBy, time.Duration(float64(old)*(r.SlowerFactor-1)))
}
