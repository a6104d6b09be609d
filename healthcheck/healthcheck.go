// Package healthcheck decides, from a run of probes, whether a server is well and which release it runs.
//
// Some parts stand beside each other: a Prober asks a server once and says what came back, Verdict.Next is the pure
// step from one opinion to the next, a Checker asks again and again and reports, and a Pacer keeps many checkers from asking at once. The package refuses to know
// pools, routing and administration: that a backend was drained by an operator is a fact of its own, and no result
// found here can change it. It logs nothing and keeps no connection between two checks.
package healthcheck

import (
	"fmt"
	"time"
)

// State is what the checks have found about a server. It says nothing about what the operator wants of it.
type State uint8

const (
	Unknown State = iota // no pass yet, and too few fails to be sure; left by one pass, or by Spec.Fall fails
	Up                   // left after Spec.Fall fails in a row
	Down                 // left after Spec.Rise passes in a row
	numStates
)

var stateNames = [numStates]string{"unknown", "up", "down"}

func (s State) String() string {
	if s < numStates {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes the state as "unknown", "up" or "down". Any other value is an error.
func (s State) MarshalText() ([]byte, error) {
	if s >= numStates {
		return nil, fmt.Errorf("healthcheck: %s is no health state", s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads what MarshalText wrote. Other text is an error and leaves the state as it was.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("healthcheck: no state %.20q; write unknown, up or down", text)
}

// StatusRange is an inclusive range of HTTP status codes; one code has Low equal to High.
type StatusRange struct{ Low, High int }

func (r StatusRange) String() string {
	if r.Low == r.High {
		return fmt.Sprint(r.Low)
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// Type is the protocol of a check.
type Type uint8

const (
	OverHTTP Type = iota // one GET
	OverTCP              // a connection is all that is asked for
	OverGRPC             // grpc.health.v1.Health/Check
	OfFolder             // the folder at Address is there
)

// New returns a prober of the spec's type. now stamps the results.
func New(spec Spec, now func() time.Time) Prober {
	switch spec.Type {
	case OfFolder:
		return &folderProber{spec.Address, now}
	case OverTCP:
		return newProber(spec, now, "TCP", acceptAny)
	case OverGRPC:
		spec = spec.normal()
		return newProber(spec, now, "gRPC", newGRPC(spec).ask)
	}
	return NewHTTP(spec, now)
}

// Spec says how one server is checked. It is copied and never changed; its JSON map must not be changed by the caller
// after it was handed over.
type Spec struct {
	Type             Type
	Off              bool           // no checks: the server counts as up
	Network, Address string         // where to dial: "tcp" and "127.0.0.1:3000", or "unix" and a path
	Host             string         // Host field of the request; empty: the address, or "localhost" for a unix socket
	Path             string         // of HTTP: request target, with its query; empty: "/"
	Service          string         // of GRPC: which service is asked about; empty: the server as a whole
	AskedDrain       bool           // the server may ask for its own drain in an answer
	Spread           bool           // the first pause is a random part of Interval
	Interval         time.Duration  // from the end of one check to the next; zero: 2s
	FastInterval     time.Duration  // the same while the opinion is about to change; zero: Interval
	Timeout          time.Duration  // for one whole check, dial to last byte; zero: 1s
	Rise, Fall       int            // passes in a row to come up, fails in a row to go down; below one: one
	Status           []StatusRange  // codes that pass; none: 200-299
	JSON             map[string]any // what the JSON body must hold at least; keys may be dotted paths; empty: any body passes
	Schema           bool           // the JSON body may say which schema the server finds and works with
	Release          string         // JSON field, may be dotted, that names the release; empty: none is read
}

// normal returns the spec with every zero replaced by its default.
func (s Spec) normal() Spec {
	if s.Interval <= 0 {
		s.Interval = 2 * time.Second
	}
	if s.FastInterval <= 0 {
		s.FastInterval = s.Interval
	}
	if s.Timeout <= 0 {
		s.Timeout = time.Second
	}
	if len(s.Status) == 0 {
		s.Status = []StatusRange{{200, 299}}
	}
	s.Rise, s.Fall = max(s.Rise, 1), max(s.Fall, 1)
	return s
}
