package main

import "slices"

// spread is how a figure fell out over the rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	return spread{Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

// median of an even number of values is the middle of the two in the middle; of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// ratio is Sluice's CPU per request as a multiple of the better peer's.
type ratio struct {
	Against  string  `json:"against"`   // the peer with the lower median of nginx and HAProxy
	Medians  float64 `json:"medians"`   // of one median to the other; this is what a goal is judged by
	PerRound spread  `json:"per_round"` // of the ratios within each round
}

// ratioOf returns false where sluice, or everyone to compare it with, was not measured.
func ratioOf(rounds []round) (ratio, bool) {
	own := perRequestOf(rounds, "sluice")
	if len(own) == 0 {
		return ratio{}, false
	}
	var best ratio
	var against []float64
	for _, peer := range []string{"nginx", "haproxy"} {
		values := perRequestOf(rounds, peer)
		if len(values) > 0 && (against == nil || median(values) < median(against)) {
			best.Against, against = peer, values
		}
	}
	if against == nil {
		return ratio{}, false
	}
	best.Medians = median(own) / median(against)
	best.PerRound = spreadOf(divide(own, against))
	return best, true
}

// divide pairs the rounds: both lists are in their order, one value for each.
func divide(above, below []float64) []float64 {
	var ratios []float64
	for i := range min(len(above), len(below)) {
		ratios = append(ratios, above[i]/below[i])
	}
	return ratios
}

func perRequestOf(rounds []round, peer string) []float64 {
	return collect(rounds, peer, round.perRequest)
}

// collect is one value of every round of a peer.
func collect(rounds []round, peer string, value func(round) float64) []float64 {
	var values []float64
	for _, r := range rounds {
		if r.Peer == peer {
			values = append(values, value(r))
		}
	}
	return values
}
