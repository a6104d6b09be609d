package config

import (
	"time"

	"gopkg.in/yaml.v3"
)

// Hold says what the waiting room of a service takes, and how it lets go.
type Hold struct {
	On       bool          // requests wait through gaps that the operator made; the other fields hold for a pause in any case
	Age      time.Duration // for which a request waits at most
	Requests int           // that wait at most; then the oldest makes room
	Bytes    int           // of heads and bodies that wait at most; the same
	Ramp     int           // requests let go in the first second, more or less; doubles with each second
}

// What becomes of a request when every backend of the live pool is down.
const (
	WhenDownFail = "fail" // 503 at once
	WhenDownHold = "hold" // it waits
	WhenDownOpen = "open" // it goes to one of those that are down
)

const (
	holdFix = "write hold: 30s, hold: off, or hold: {age: 30s, requests: 1000, bytes: 64MiB, ramp: 100}"
	// longestHold is more than any client or load balancer waits for an answer.
	longestHold = time.Hour
	// mostHeld is far above what one machine has connections for, as are the bytes. Both only catch a slip.
	mostHeld      = 1_000_000
	mostHeldBytes = 1 << 40
)

// defaultHold is off, but a pause needs caps too. Thirty seconds are half of what browsers and balancers wait for an
// answer as a rule, a thousand requests cost some 13 MiB beside their bytes, and a hundred in the first second are few
// enough for a server that has just started.
func defaultHold() Hold {
	return Hold{Age: 30 * time.Second, Requests: 1000, Bytes: 64 << 20, Ramp: 100}
}

// hold reads the age alone, `off`, or a mapping.
func (v value) hold(h *Hold) {
	*h = defaultHold()
	h.On = true
	switch {
	case v.node.Kind == yaml.MappingNode:
		v.object(holdFix, fields{
			"age":      durationField(&h.Age, time.Second, longestHold),
			"requests": wholeField(&h.Requests, 1, mostHeld),
			"bytes":    sizeField(&h.Bytes, 128<<10, mostHeldBytes), // the largest head has to fit, and what is taken in of a body
			"ramp":     wholeField(&h.Ramp, 1, mostHeld),
		})
	case v.node.Value == "off":
		h.On = false
	default:
		v.duration(&h.Age, time.Second, longestHold)
	}
}
