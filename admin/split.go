package admin

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/control"
)

// Both sides of split: the call, and the client that makes it.

// poolPrefix is before the name of a pool that could be taken for another argument.
const poolPrefix = "pools."

func (s *Server) splitCall(known []string) route {
	known = append([]string{"release", "patience", "force", "only", "no_rules", "judge", "rollout", control.ByHeader, control.ByCookie, control.ByFrom}, known...)
	t := call("POST /v1/services/{service}/split", known, nil)
	t.open = true
	t.serve = func(w http.ResponseWriter, r *http.Request, a arguments) error { return s.split(w, r, a, known) }
	return t
}

func (s *Server) split(w http.ResponseWriter, r *http.Request, a arguments, known []string) error {
	want, err := splitWant(r, a, known)
	if err != nil {
		return err
	}
	if want.Patience > 0 {
		http.NewResponseController(w).SetReadDeadline(time.Time{}) // its passing would end a wait that takes longer than reading may
	}
	return s.change(w, r, a, "split", func(ctx context.Context, cause control.Cause) (Operation, error) {
		return s.opts.Controller.Split(ctx, a.path[0], want, cause)
	})
}

func splitWant(r *http.Request, a arguments, known []string) (want control.SplitWant, err error) {
	flip, err := flipWant(r, a)
	if err != nil {
		return want, err
	}
	want = control.SplitWant{Release: flip.Release, IfMatch: flip.IfMatch, Force: flip.Force, Patience: flip.Patience}
	if want.Only, err = a.flag("only"); err != nil {
		return want, err
	}
	if want.Shares, err = a.shares(known); err != nil {
		return want, err
	}
	if want.Judge.For, err = a.lengthOrOff("judge"); err != nil {
		return want, err
	}
	want.Rules, err = a.rules()
	return want, err
}

// shares are the arguments that name pools.
func (a arguments) shares(known []string) (map[string]int, error) {
	shares := map[string]int{}
	for name, text := range a.values {
		pool, prefixed := strings.CutPrefix(name, poolPrefix)
		if !prefixed && slices.Contains(known, name) {
			continue
		}
		share, ok := readPercent(text)
		if !ok {
			return nil, badArgument(fmt.Sprintf("%s is %q, and the share of a pool is a number from 0 to 100 with at most two decimals", name, text),
				"write green=5; besides pools, "+knownHint(known))
		}
		if _, twice := shares[pool]; twice {
			return nil, badArgument(fmt.Sprintf("%s is given twice", pool), "give it once")
		}
		shares[pool] = share
	}
	if len(shares) == 0 {
		return nil, badArgument("no pool is given a share", `write ?green=5, or {"pools": {"green": 5}}`)
	}
	return shares, nil
}

// readPercent reads "5", "0.25" or "5%" as hundredths of a percent.
func readPercent(text string) (share int, ok bool) {
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return 0, false
	}
	share = int(math.Round(f * 100))
	return share, math.Abs(f*100-float64(share)) < 1e-6
}

// rules are nil where none is given, so that those there are stay.
func (a arguments) rules() (all []control.RuleText, err error) {
	for _, kind := range []string{control.ByHeader, control.ByCookie, control.ByFrom} {
		text := a.values[kind]
		if kind == control.ByFrom {
			text = strings.ReplaceAll(text, ",", "\n")
		}
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, control.RuleText{Kind: kind, Text: line})
			}
		}
	}
	none, err := a.flag("no_rules")
	switch {
	case none && len(all) > 0:
		return nil, badArgument("no_rules is given, and rules are", "leave one of them out")
	case none:
		all = []control.RuleText{}
	}
	return all, err
}

// mergePools takes the shares that stand in an object of their own.
func (a *arguments) mergePools(shares map[string]any) error {
	named := map[string]any{}
	for pool, share := range shares {
		named[poolPrefix+pool] = share
	}
	return a.merge(named)
}

func (f fixed) Split(ctx context.Context, service string, want control.SplitWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Split(ctx, service, want, cause))
}

// Split is how a client wants a service to be split.
type Split struct {
	Pools   map[string]string // the share of each in percent, as it was written
	Only    bool              // pools without a share are for those alone who meet a rule
	NoRules bool              // in the place of those there are
	Judge   *time.Duration    // how long the pool is judged for a verdict; 0: not at all; nil: as Sluice has it
	Headers []string          // "X-Canary: yes", perhaps behind "POOL="
	Cookies []string
	Allow   []string
}

// Split gives shares of a service's new visitors to pools beside the live one.
func (c *Client) Split(ctx context.Context, service string, split Split, want Want) (Outcome, error) {
	query := url.Values{}
	for pool, share := range split.Pools {
		query.Set(poolPrefix+pool, share)
	}
	for name, lines := range map[string][]string{control.ByHeader: split.Headers, control.ByCookie: split.Cookies, control.ByFrom: split.Allow} {
		if len(lines) > 0 {
			query.Set(name, strings.Join(lines, "\n"))
		}
	}
	for name, on := range map[string]bool{"only": split.Only, "no_rules": split.NoRules, "force": want.Force} {
		if on {
			query.Set(name, "true")
		}
	}
	if split.Judge != nil {
		query.Set("judge", split.Judge.String())
	}
	if want.Rollout != "" {
		query.Set("rollout", want.Rollout)
	}
	if want.Release != "" {
		query.Set("release", want.Release)
	}
	if want.Patience > 0 {
		query.Set("patience", want.Patience.String())
		c = c.patient(want.Patience)
		defer c.Close()
	}
	return c.change(ctx, servicePath(service, "split"), query, want)
}
