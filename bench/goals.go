package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// verdict is a work's figure beside its goal.
type verdict struct {
	says  string  // what the figure is, in words
	got   float64 // rounded as it is printed: a goal is not missed by what nobody can see
	goal  float64
	least bool // the goal is the least; else the most
}

func (v verdict) met() bool {
	if v.least {
		return v.got >= v.goal
	}
	return v.got <= v.goal
}

func (v verdict) word() string {
	if v.met() {
		return "met"
	}
	return "missed"
}

func (v verdict) String() string { return fmt.Sprintf("%s\ngoal %.2f: %s", v.says, v.goal, v.word()) }

func hundredths(f float64) float64 { return math.Round(f*100) / 100 }

func (r ratio) words(above, below string) string {
	return fmt.Sprintf("%s / %s: %.2f by medians; by round %.2f (%.2f to %.2f)", above, below, r.Medians, r.PerRound.Median, r.PerRound.Min, r.PerRound.Max)
}

// judge returns false where what the goal is about was not measured.
func (res result) judge() (verdict, bool) {
	switch own := collect(res.Rounds, "sluice", res.figure.of); {
	case len(own) == 0:
		return verdict{}, false
	case res.figure.kind == alone:
		return verdict{says: fmt.Sprintf("sluice: %.2f %s", median(own), res.Unit), got: hundredths(median(own)), goal: res.Goal}, true
	case res.figure.kind == flat:
		r, ok := res.figure.growthOf(res.Rounds, "sluice", res.Sizes)
		return verdict{says: r.words(fmt.Sprintf("sluice at %d", res.Sizes[len(res.Sizes)-1]), "at "+r.Against), got: hundredths(r.Medians), goal: res.Goal}, ok
	}
	r, ok := res.figure.ratioOf(res.Rounds, writtenInC)
	return verdict{says: r.words("sluice", r.Against), got: hundredths(r.Medians), goal: res.Goal}, ok
}

// against is how many times cheaper sluice is than a proxy written in Go.
func (res result) against(peer string) (verdict, bool) {
	r, ok := res.figure.ratioOf(res.Rounds, []string{peer})
	if !ok || res.figure.unit != cost.unit {
		return verdict{}, false
	}
	return verdict{says: r.words("sluice", peer), got: hundredths(1 / r.Medians), goal: goTimes, least: true}, true
}

// printGoals is the one table of a run: each work with everybody's median and the goal.
func (r report) printGoals(out io.Writer) {
	names := r.peerNames()
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "work\t")
	for _, name := range names {
		fmt.Fprintf(table, "%s\t", name)
	}
	fmt.Fprintln(table, "unit\tgot\tgoal\t\t")
	for _, res := range r.Works {
		fmt.Fprintf(table, "%s\t", res.Work)
		for _, name := range names {
			fmt.Fprintf(table, "%s\t", res.cell(name))
		}
		fmt.Fprintf(table, "%s\t", res.Unit)
		res.printVerdict(table)
	}
	table.Flush()
	r.printGoPeers(out, names)
}

// cell is a peer's median; of a work with sizes, that at the first and at the last one.
func (res result) cell(peer string) string {
	values := func(rounds []round) []float64 { return collect(rounds, peer, res.figure.of) }
	switch {
	case len(values(res.Rounds)) == 0:
		return ""
	case len(res.Sizes) == 0:
		return fmt.Sprintf("%.2f", median(values(res.Rounds)))
	}
	return fmt.Sprintf("%.2f > %.2f", median(values(ofSize(res.Rounds, res.Sizes[0]))), median(values(ofSize(res.Rounds, res.Sizes[len(res.Sizes)-1]))))
}

func (res result) printVerdict(out io.Writer) {
	v, ok := res.judge()
	if !ok {
		fmt.Fprintln(out, "\t\t\t")
		return
	}
	fmt.Fprintf(out, "%.2f\t%.2f\t%s\t\n", v.got, v.goal, v.word())
}

func (r report) printGoPeers(out io.Writer, names []string) {
	for _, res := range r.Works {
		for _, name := range names {
			p, _ := findPeer(nil, name)
			if v, ok := res.against(name); ok && p.goPeer {
				fmt.Fprintf(out, "%s: sluice is %.2f times cheaper than %s; goal %d: %s\n", res.Work, v.got, name, goTimes, v.word())
			}
		}
	}
}

// peerNames are all peers of the run, each once.
func (r report) peerNames() (names []string) {
	for _, res := range r.Works {
		for _, name := range res.peerNames() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return order(a) - order(b) })
	return names
}

// order is a peer's place in the tables.
func order(name string) int {
	return slices.IndexFunc(peers(nil), func(p server) bool { return p.name == name })
}
