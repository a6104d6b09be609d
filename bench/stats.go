package main

import (
	"fmt"
	"slices"
)

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

// ratio is Sluice's figure as a multiple of another's.
type ratio struct {
	Against  string  `json:"against"`
	Medians  float64 `json:"medians"`   // of one median to the other; this is what a goal is judged by
	PerRound spread  `json:"per_round"` // of the ratios within each round
}

// writtenInC are the peers of which the best is what Sluice is compared with. HAProxy that is told to splice stands beside
// them in the table, and is not the measure.
var writtenInC = []string{"nginx", "haproxy"}

// ratioOf compares sluice with the best of the peers given. It returns false where sluice, or everyone to compare it
// with, was not measured.
func (f figure) ratioOf(rounds []round, peers []string) (ratio, bool) {
	own := collect(rounds, "sluice", f.of)
	var best ratio
	var against []float64
	for _, peer := range peers {
		values := collect(rounds, peer, f.of)
		if len(values) > 0 && (against == nil || median(values) < median(against)) {
			best.Against, against = peer, values
		}
	}
	if against == nil || len(own) == 0 {
		return ratio{}, false
	}
	best.Medians = median(own) / median(against)
	best.PerRound = spreadOf(divide(own, against))
	return best, true
}

// growthOf is a peer's figure at the greatest size as a multiple of that at the smallest.
func (f figure) growthOf(rounds []round, peer string, sizes []int) (ratio, bool) {
	least := collect(ofSize(rounds, sizes[0]), peer, f.of)
	most := collect(ofSize(rounds, sizes[len(sizes)-1]), peer, f.of)
	if median(least) <= 0 || median(most) <= 0 { // not measured, or the machine was too busy for what is subtracted to mean anything
		return ratio{}, false
	}
	return ratio{Against: fmt.Sprint(sizes[0]), Medians: median(most) / median(least), PerRound: spreadOf(divide(most, least))}, true
}

// divide pairs the rounds: both lists are in their order, one value for each.
func divide(above, below []float64) []float64 {
	var ratios []float64
	for i := range min(len(above), len(below)) {
		ratios = append(ratios, above[i]/below[i])
	}
	return ratios
}

func ofSize(rounds []round, size int) []round {
	return slices.DeleteFunc(slices.Clone(rounds), func(r round) bool { return r.Size != size })
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
