package main

import (
	"fmt"
	"io"

	"sluice/control"
)

// names writes what is known of each name, loudly where it is nothing.
func (v statusView) names(w io.Writer, s *control.ServiceStatus) {
	for _, p := range s.Pools {
		for _, n := range p.Names {
			fmt.Fprintf(w, "  name      %s  %s\n", n.Name, v.nameText(n))
		}
	}
}

func (v statusView) nameText(n control.NameStatus) string {
	addresses := fmt.Sprintf("%d addresses", n.Addresses)
	if n.Addresses == 1 {
		addresses = "1 address"
	}
	switch {
	case n.Asked.IsZero():
		return v.yellow("not resolved yet")
	case !n.Answered && n.Addresses == 0:
		return v.red("no address for " + age(v.now, n.Since) + ": " + n.Reason)
	case !n.Answered:
		return v.red(addresses + " as last known; not resolved for " + age(v.now, n.Since) + ": " + n.Reason)
	case n.More > 0:
		return v.yellow(fmt.Sprintf("%s, and %d more that are left out", addresses, n.More))
	}
	return fmt.Sprintf("%s, from %s, asked %s ago", addresses, n.From, age(v.now, n.Asked))
}

// backendText is the address, with the name it came from.
func backendText(b control.BackendStatus) string {
	if b.Name == "" {
		return b.Address
	}
	if b.Gone {
		return b.Address + " (" + b.Name + ", gone: until another is up)"
	}
	return b.Address + " (" + b.Name + ")"
}
