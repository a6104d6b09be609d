package http1

import (
	"flag"
	"math/rand/v2"
	"testing"

	"sluice/internal/attacks"
)

var mutations = flag.Int("mutations", 5000, "how many mutations of the attack table to try, for each role")

// Mutations of the table are held to all that the fuzzer holds its inputs to. They go where it seldom comes.
func TestMutationsOfTheTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, uint64(*mutations)))
	for range *mutations {
		row, other := attacks.Requests[rnd.IntN(len(attacks.Requests))], attacks.Requests[rnd.IntN(len(attacks.Requests))]
		if len(row.Wire) > largestSeed || len(other.Wire) > largestSeed {
			continue
		}
		data := []byte(attacks.Mutate(rnd, row.Wire, other.Wire))
		sameInPieces(t, data, 1+rnd.IntN(20), request)
		requestsByTheLetter(t, data)
		if diff, _, _ := differRequest(data); diff != "" {
			t.Errorf("%s\n%q", diff, data)
		}
	}
}

func TestMutationsOfResponses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, uint64(*mutations)))
	for range *mutations {
		row, other := attacks.Responses[rnd.IntN(len(attacks.Responses))], attacks.Responses[rnd.IntN(len(attacks.Responses))]
		if len(row.Wire) > largestSeed || len(other.Wire) > largestSeed {
			continue
		}
		data := []byte(attacks.Mutate(rnd, row.Wire, other.Wire))
		read := response
		if row.HEAD {
			read = toHEAD
		}
		sameInPieces(t, data, 1+rnd.IntN(20), read)
		responsesByTheLetter(t, data, row.HEAD)
		if diff, _, _ := differResponse(data, row.HEAD); diff != "" {
			t.Errorf("%s\n%q", diff, data)
		}
	}
}
