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
)

// report is all that a run found out; --json writes it as it is.
type report struct {
	Machine machine  `json:"machine"`
	Works   []result `json:"works"`
}

// result is what one work showed.
type result struct {
	Work    string            `json:"work"`
	About   string            `json:"about"`
	Place   string            `json:"place"`
	Goal    float64           `json:"goal,omitempty"`
	Configs map[string]string `json:"configs"` // by peer, and "backend"
	Rounds  []round           `json:"rounds"`
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

func (res result) print(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(res.Configs)) {
		fmt.Fprintf(out, "\nconfiguration of %s:\n%s\n", name, indent(res.Configs[name]))
	}
	fmt.Fprintf(out, "\nwork %s: %s\n%s\n\n", res.Work, res.About, res.Place)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tus CPU/request\tmin\tmax\trequests/s\tp50 ms\tp99 ms\tcore idle\t")
	for _, peer := range res.peerNames() {
		res.printPeer(table, peer)
	}
	table.Flush()
	fmt.Fprintln(out)
	res.printRatio(out)
	for _, warning := range res.warnings() {
		fmt.Fprintln(out, "warning:", warning)
	}
}

func (res result) printPeer(out io.Writer, peer string) {
	cpu := spreadOf(perRequestOf(res.Rounds, peer))
	of := func(value func(round) float64) float64 { return median(collect(res.Rounds, peer, value)) }
	fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t%.0f%%\t\n", peer, cpu.Median, cpu.Min, cpu.Max,
		of(func(r round) float64 { return r.Load.perSecond() }),
		of(func(r round) float64 { return r.Load.P50.Seconds() * 1000 }),
		of(func(r round) float64 { return r.Load.P99.Seconds() * 1000 }),
		of(func(r round) float64 { return r.Idle * 100 }))
}

func (res result) printRatio(out io.Writer) {
	r, ok := ratioOf(res.Rounds)
	if !ok {
		fmt.Fprintln(out, "no ratio: sluice and nginx or haproxy must both be measured")
		return
	}
	fmt.Fprintf(out, "sluice / %s: %.2f by medians; by round %.2f (%.2f to %.2f)\n",
		r.Against, r.Medians, r.PerRound.Median, r.PerRound.Min, r.PerRound.Max)
	switch {
	case res.Goal == 0:
	case r.Medians <= res.Goal:
		fmt.Fprintf(out, "goal %.2f: met\n", res.Goal)
	default:
		fmt.Fprintf(out, "goal %.2f: missed\n", res.Goal)
	}
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

// finish writes the file asked for and judges every work by --max-ratio.
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
		if got, ok := ratioOf(res.Rounds); !ok || got.Medians > o.maxRatio {
			return fmt.Errorf("work %s: sluice needs %.2f times the CPU of %s, and --max-ratio allows %.2f", res.Work, got.Medians, got.Against, o.maxRatio)
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

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
