package judge

// spread is how what happened was spread over the looks at a release. What comes by chance alone is spread as evenly as
// chance has it; what has one cause comes at once, and proves less than as many that have each their own.
type spread struct {
	looks  int
	active int // looks that saw any
	sum    count
	last   count
	worst  count // two looks that follow each other
	stretches
}

func (s *spread) add(c count, perStretch int) {
	s.looks++
	s.stretches.add(c, s.looks%perStretch == 0)
	if c.all <= 0 {
		return
	}
	s.active++
	s.sum = s.sum.plus(c)
	if two := s.last.plus(c); two.hits > s.worst.hits || s.active == 1 {
		s.worst = two
	}
	s.last = c
}

// perStretch is how many requests a stretch has on average.
func (s *spread) perStretch() float64 { return s.sum.all / float64(max(1, s.looks)) * stretch }

// stretch is how many looks are taken together to see how much a share varies. It is to be longer than what trouble lasts
// that comes and goes by itself. The number is arbitrary.
const stretch = 15

// stretches are the counts by stretch of time.
type stretches struct {
	open           count
	n              float64 // of those that are over and saw any
	all            count   // in these
	squares, sizes float64 // of hits, each by how many it is of; of how many
}

func (s *stretches) add(c count, over bool) {
	s.open = s.open.plus(c)
	if !over {
		return
	}
	if c := s.open; c.all > 0 {
		s.n++
		s.all = s.all.plus(c)
		s.squares += c.hits * c.hits / c.all
		s.sizes += c.all * c.all
	}
	s.open = count{}
}

// fewestStretches say nothing of how it is spread.
const fewestStretches = 8

// excess is how much more the share varies than by chance, for each request of a stretch: the variance by that of a
// binomial distribution (Pearson's dispersion) is 1 and this for each request.
func (s *stretches) excess() float64 {
	p := s.all.share()
	if s.n < fewestStretches || p <= 0 || p >= 1 {
		return 0
	}
	dispersion := (s.squares - s.all.hits*p) / ((s.n - 1) * p * (1 - p))
	return max(0, dispersion-1) / (s.sizes / s.all.all)
}

// arm is one release, seen from look to look.
type arm struct {
	perStretch    int // looks
	before        Sample
	errors, trips spread
	slower        [Buckets]spread // than where each bucket begins
}

// add is told how the release has served until now. Its times count when timed says so.
func (a *arm) add(s Sample, timed bool) {
	d := s.Minus(a.before)
	a.before = s
	a.errors.add(d.errors(), a.perStretch)
	a.trips.add(d.trips(), a.perStretch)
	if !timed {
		return
	}
	all := float64(d.Latency.Count())
	slower := all
	for b := range a.slower {
		a.slower[b].add(count{slower, all}, a.perStretch)
		slower -= float64(d.Latency[b])
	}
}

func (s *Sample) errors() count { return count{float64(s.Errors), float64(s.Requests)} }

// trips are the round trips that the requests took.
func (s *Sample) trips() count {
	return count{float64(s.Errors + s.Resets), float64(s.Requests + s.Resets)}
}

// Bursts say how much more a release's errors and times varied before a watch than by chance; zero is no more.
type Bursts struct {
	Errors  float64 `json:"errors"`
	Latency float64 `json:"latency"`
}
