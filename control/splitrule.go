package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// SplitRule says which requests go to a pool whatever the number of their visitor: those with a field, with a cookie, or
// from an address.
type SplitRule struct {
	Pool   string `json:"pool"`
	Header string `json:"header,omitempty"` // its name
	Cookie string `json:"cookie,omitempty"`
	Value  string `json:"value,omitempty"` // of either, exactly
	From   string `json:"from,omitempty"`  // an address or a range of them
}

// String is "X-Canary: yes → green".
func (r SplitRule) String() string {
	switch {
	case r.Header != "":
		return fmt.Sprintf("%s: %s → %s", r.Header, r.Value, r.Pool)
	case r.Cookie != "":
		return fmt.Sprintf("cookie %s=%s → %s", r.Cookie, r.Value, r.Pool)
	}
	return r.From + " → " + r.Pool
}

// RuleText is a rule as it was written: "X-Canary: yes", "canary=yes", "10.0.0.0/8", each perhaps behind "POOL=".
type RuleText struct{ Kind, Text string }

// The kinds of a RuleText.
const (
	ByHeader = "header"
	ByCookie = "cookie"
	ByFrom   = "allow"
)

// mostRules bounds what each request of a split service is compared with; the number is arbitrary.
const mostRules = 100

// takeRules reads the rules that are wanted in the place of those there are, and drops those of pools that left.
func (sp *Split) takeRules(svc *Service, want SplitWant) error {
	if want.Rules != nil {
		sp.Rules = nil
	}
	var kept []SplitRule
	for _, r := range sp.Rules {
		if r.Pool == sp.Live || sp.has(r.Pool) {
			kept = append(kept, r)
		}
	}
	sp.Rules = kept
	for _, text := range want.Rules {
		r, err := sp.rule(text)
		if err != nil {
			return err
		}
		sp.Rules = append(sp.Rules, r)
	}
	switch {
	case len(sp.Rules) > mostRules:
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("%d rules are more than a split may have: %d", len(sp.Rules), mostRules), Hint: "name ranges of addresses in place of each address"}
	case want.Only && len(sp.Rules) == 0:
		return &Refusal{Kind: "conflict", What: "nothing says who is to go there: the pool has no share, and there is no rule", Hint: "add --header 'X-Canary: yes', --cookie or --allow; or give it a share"}
	}
	return svc.mayRule(sp)
}

// mayRule refuses rules for pools that are in the file and not in the split.
func (svc *Service) mayRule(sp *Split) error {
	for _, r := range sp.Rules {
		if r.Pool != sp.Live && !sp.has(r.Pool) {
			return &Refusal{Kind: "conflict", What: fmt.Sprintf("a rule sends to %s, which has no part in the split", r.Pool), Hint: fmt.Sprintf("name it: sluice split %s %s=0 --only", svc.Name, r.Pool)}
		}
	}
	return nil
}

func (sp *Split) has(pool string) bool {
	for i := range sp.Arms {
		if sp.Arms[i].Pool == pool {
			return true
		}
	}
	return false
}

// rule reads one.
func (sp *Split) rule(t RuleText) (SplitRule, error) {
	pool, text := sp.target(t)
	if pool == "" {
		return SplitRule{}, &Refusal{Kind: "conflict", What: fmt.Sprintf("%q does not say to which of %d pools it sends", t.Text, len(sp.Arms)), Hint: fmt.Sprintf("write it as %s=%s", sp.Arms[0].Pool, text)}
	}
	r := SplitRule{Pool: pool}
	switch t.Kind {
	case ByHeader:
		r.Header, r.Value, _ = strings.Cut(text, ":")
		r.Value = strings.TrimSpace(r.Value)
		if !httpguts.ValidHeaderFieldName(r.Header) || !httpguts.ValidHeaderFieldValue(r.Value) || r.Value == "" {
			return r, badRule("header", t.Text, "--header 'X-Canary: yes'")
		}
		if strings.EqualFold(r.Header, "cookie") {
			return r, badRule("header", t.Text, "--cookie canary=yes")
		}
	case ByCookie:
		r.Cookie, r.Value, _ = strings.Cut(text, "=")
		if !httpguts.ValidHeaderFieldName(r.Cookie) || !httpguts.ValidHeaderFieldValue(r.Value) || strings.ContainsAny(r.Value, "; ") || r.Value == "" {
			return r, badRule("cookie", t.Text, "--cookie canary=yes")
		}
	default:
		p, err := prefix(text)
		if err != nil {
			return r, badRule("address", t.Text, "--allow 10.0.0.0/8")
		}
		r.From = p.String()
	}
	return r, nil
}

// target is the pool that a rule names, or else the one that the split is about, and the rest of the text.
func (sp *Split) target(t RuleText) (pool, rest string) {
	name, rest, ok := strings.Cut(t.Text, "=")
	if ok && (name == sp.Live || sp.has(name)) {
		return name, rest
	}
	if len(sp.Arms) > 1 {
		return "", t.Text
	}
	return sp.Arms[0].Pool, t.Text
}

func badRule(what, text, example string) error {
	return &Refusal{Kind: "conflict", What: fmt.Sprintf("%q is no %s to split by", text, what), Hint: "write it as in " + example}
}

// prefix reads a range of addresses, or one address.
func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// mayShare refuses what is no split of the service, whatever its state.
func (svc *Service) mayShare(want SplitWant) error {
	if len(svc.Pools) == 1 {
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("%s has one pool, %s: there is nothing to split it with", svc.Name, svc.Live), Hint: "give it a second pool in the file, as `pools: {blue: […], green: […]}`; or roll the new release out by `sluice rollout`"}
	}
	sum, beside := 0, 0
	for _, pool := range sortedKeys(want.Shares) {
		if _, err := svc.find(pool); err != nil {
			return err
		}
		if sum += want.Shares[pool]; pool != svc.Live {
			beside++
		}
	}
	rest, named := want.Shares[svc.Live]
	switch {
	case sum > whole:
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("the shares make %s, and there is 100%%", percentText(percent(sum))), Hint: fmt.Sprintf("give the pools beside %s less; it takes the rest", svc.Live)}
	case named && sum < whole:
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("nobody would take %s: %s is to have %s", percentText(percent(whole-sum)), svc.Live, percentText(percent(rest))), Hint: fmt.Sprintf("leave %s out: it is live and takes the rest", svc.Live)}
	case beside == 0 && !named || sum == 0 && !want.Only && len(want.Rules) > 0:
		return &Refusal{Kind: "conflict", What: "no pool is given a share, so there is nobody to rule about", Hint: fmt.Sprintf("write as in sluice split %s %s=5; with --only a pool is for those alone who meet a rule", svc.Name, svc.other())}
	case want.Release != "" && beside > 1:
		return &Refusal{Kind: "conflict", What: fmt.Sprintf("release %s is asked of %d pools", want.Release, beside), Hint: "split by one pool with --release, then by the next"}
	}
	return nil
}

// other is a pool beside the live one.
func (svc *Service) other() string {
	for _, p := range svc.Pools {
		if p.Name != svc.Live {
			return cmp.Or(p.Name, "POOL")
		}
	}
	return "POOL"
}
