package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is all that a run found out; --json writes it as it is.
type report struct {
	Machine machine  `json:"machine"`
	Works   []result `json:"works"`
	Calls   []calls  `json:"calls,omitempty"`
}

// result is what one work showed.
type result struct {
	Work    string            `json:"work"`
	About   string            `json:"about"`
	Place   string            `json:"place"`
	Unit    string            `json:"unit"`
	Goal    float64           `json:"goal,omitempty"`
	Sizes   []int             `json:"sizes,omitempty"`
	Configs map[string]string `json:"configs"` // by peer, and "backend"
	Rounds  []round           `json:"rounds"`
	figure  figure
}

func resultOf(w work) result {
	return result{Work: w.name, About: w.about, Unit: w.figure.unit, Goal: w.goal, Sizes: w.sizes, Configs: map[string]string{}, figure: w.figure}
}

func (m machine) print(out io.Writer) {
	fmt.Fprintf(out, "machine: %s, %d cores, Linux %s, %s\n", m.CPU, m.Cores, m.Kernel, m.Date)
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		fmt.Fprintf(out, "  %s: %s\n", name, m.Versions[name])
	}
	if m.Siblings != "" {
		fmt.Fprintf(out, "  warning: cores %s are threads of one physical core, so that the load slows the proxy; compare ratios only\n", m.Siblings)
	}
}

// printConfigs prints all that the peers were given, where it is short enough to be read.
func (res result) printConfigs(out io.Writer) {
	const most = 120 // lines
	for _, name := range slices.Sorted(maps.Keys(res.Configs)) {
		lines := strings.Split(strings.TrimRight(res.Configs[name], "\n"), "\n")
		if cut := len(lines) - most; cut > 0 {
			lines = append(lines[:most], fmt.Sprintf("... and %d lines more", cut))
		}
		fmt.Fprintf(out, "\nconfiguration of %s:\n    %s\n", name, strings.Join(lines, "\n    "))
	}
}

func (res result) print(out io.Writer) {
	fmt.Fprintf(out, "\nwork %s: %s\n%s\n\n", res.Work, res.About, res.Place)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(res.Sizes) > 0 {
		res.printSizes(table)
	} else {
		res.printPeers(table)
	}
	table.Flush()
	fmt.Fprintln(out)
	for _, note := range res.notes() {
		fmt.Fprintln(out, note)
	}
	for _, warning := range res.warnings() {
		fmt.Fprintln(out, "warning:", warning)
	}
}

func (res result) printPeers(table io.Writer) {
	fmt.Fprintf(table, "\t%s\tmin\tmax\trequests/s\tp50 ms\tp99 ms\tcore idle\t\n", res.Unit)
	for _, peer := range res.peerNames() {
		values := spreadOf(collect(res.Rounds, peer, res.figure.of))
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.2f\t", peer, values.Median, values.Min, values.Max)
		if res.medianOf(peer, func(r round) float64 { return float64(r.Load.Requests) }) == 0 {
			fmt.Fprintln(table, "\t\t\t\t") // there was no load
			continue
		}
		fmt.Fprintf(table, "%.0f\t%.2f\t%.2f\t%.0f%%\t\n",
			res.medianOf(peer, func(r round) float64 { return r.Load.perSecond() }),
			res.medianOf(peer, func(r round) float64 { return r.Load.P50.Seconds() * 1000 }),
			res.medianOf(peer, func(r round) float64 { return r.Load.P99.Seconds() * 1000 }),
			res.medianOf(peer, func(r round) float64 { return r.Idle * 100 }))
	}
}

// printSizes has a line for each peer and size: the figure, without and with what the proxy does without any load, and how
// each stands to that of the first size.
func (res result) printSizes(table io.Writer) {
	fmt.Fprintf(table, "\tsize\t%s\tmin\tmax\tof the first\twith checks\tof the first\trequests/s\tchecks: ms CPU/s\t\n", res.Unit)
	for _, peer := range res.peerNames() {
		var first, firstWhole float64
		for _, size := range res.Sizes {
			at := result{Rounds: ofSize(res.Rounds, size), figure: res.figure}
			values := spreadOf(collect(at.Rounds, peer, res.figure.of))
			whole := at.medianOf(peer, round.perRequest)
			if first == 0 {
				first, firstWhole = values.Median, whole
			}
			fmt.Fprintf(table, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.1f\t\n", peer, size, values.Median, values.Min, values.Max, values.Median/first,
				whole, whole/firstWhole, at.medianOf(peer, func(r round) float64 { return r.Load.perSecond() }),
				at.medianOf(peer, func(r round) float64 { return r.Quiet * 1000 }))
		}
	}
}

func (res result) medianOf(peer string, value func(round) float64) float64 {
	return median(collect(res.Rounds, peer, value))
}

// notes say what the table has no column for.
func (res result) notes() (list []string) {
	if v, ok := res.judge(); ok {
		list = append(list, v.String())
	} else if res.figure.kind == againstPeers {
		list = append(list, "no ratio: sluice and nginx or haproxy must both be measured")
	}
	for _, peer := range res.peerNames() {
		if took := res.medianOf(peer, func(r round) float64 { return float64(r.Settled) }); took > 0 {
			list = append(list, fmt.Sprintf("%s: the memory had settled after %.0f s", peer, time.Duration(took).Seconds()))
		}
	}
	if len(res.Rounds) > 0 && res.Rounds[0].Rate > 0 {
		list = append(list, fmt.Sprintf("at %.0f requests per second", res.Rounds[0].Rate))
	}
	for _, peer := range res.peerNames() {
		if lag := res.medianOf(peer, func(r round) float64 { return r.Load.Lag.Seconds() * 1000 }); lag > 0 && len(res.Sizes) == 0 {
			list = append(list, fmt.Sprintf("%s: 1%% of the requests were sent over %.2f ms late, which is in its latency and not its fault", peer, lag))
		}
	}
	return list
}

// peerNames are the peers measured, in the order of the first round.
func (res result) peerNames() []string {
	var names []string
	for _, r := range res.Rounds {
		if !slices.Contains(names, r.Peer) {
			names = append(names, r.Peer)
		}
	}
	return names
}

// warnings say what disturbed rounds that were kept all the same.
func (res result) warnings() []string {
	var steal, other float64
	for _, r := range res.Rounds {
		steal, other = max(steal, r.Steal), max(other, r.Other)
	}
	var found []string
	if steal > stealLimit {
		found = append(found, fmt.Sprintf("up to %.0f%% of a round's time was stolen by other guests of the host; trust the ratio by round, or measure on a quieter host", steal*100))
	}
	if other > otherLimit {
		found = append(found, fmt.Sprintf("up to %.0f%% of a round's time on the proxy's cores went to other programs; stop them and measure again", other*100))
	}
	return found
}

// finish writes the file asked for and judges by --max-ratio every work that has a ratio.
func (r report) finish(o options) error {
	if o.json != "" {
		if err := r.write(o.json); err != nil {
			return err
		}
	}
	if o.maxRatio == 0 {
		return nil
	}
	for _, res := range r.Works {
		if res.figure.kind != againstPeers {
			continue
		}
		if got, ok := res.figure.ratioOf(res.Rounds, writtenInC); !ok || got.Medians > o.maxRatio {
			return fmt.Errorf("work %s: sluice needs %.2f times the %s of %s, and --max-ratio allows %.2f", res.Work, got.Medians, res.Unit, got.Against, o.maxRatio)
		}
	}
	return nil
}

func (r report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
