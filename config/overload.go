package config

import (
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Retry says how often a request may be sent again, where that can do no harm.
type Retry struct {
	Attempts int // how often it is sent at most, the first time included; 1: never again
	Budget   int // how many requests may be done twice, in percent of those that succeed
}

// Queue says how many requests wait while each backend is at its max_connections.
type Queue struct {
	Requests int           // at most; 0: none waits
	Wait     time.Duration // for each
}

// Memory says how much memory the process may hold before it refuses requests. Both zero: any.
type Memory struct {
	Percent int // of the least of the machine's memory, GOMEMLIMIT, and the control group's limit
	Bytes   int // in place of it
}

// leastMemory is what Sluice itself needs, and some requests.
const leastMemory = 32 << 20

// memory reads a share, bytes, or off.
func (v value) memory(m *Memory) {
	text, ok := v.text()
	switch {
	case !ok:
	case text == "off":
		*m = Memory{}
	case strings.HasSuffix(text, "%"):
		v.percent(&m.Percent, 1, 100)
	default:
		v.size(&m.Bytes, leastMemory, largestBody)
	}
}

const (
	// mostAttempts is as many failed backends as a request remembers. More attempts would only add to the load.
	mostAttempts = 4
	// queued is how many wait where only a time is given: few enough that they are served within it by anything that
	// answers a hundred requests a second.
	queued = 100
	// mostQueued keeps the work of leaving a queue small, and catches a slip.
	mostQueued = 100_000
)

// defaultRetry has four attempts, so that two dead servers of a pool are passed by, and a fifth of the traffic, which an
// app that is full already can still bear.
func defaultRetry() Retry { return Retry{Attempts: mostAttempts, Budget: 20} }

func (v value) retry(r *Retry) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == "off" {
		r.Attempts = 1
		return
	}
	v.object("write retry: {budget: 20%, attempts: 4}, or retry: off", fields{
		"budget":   func(v value) { v.percent(&r.Budget, 0, 100) },
		"attempts": wholeField(&r.Attempts, 1, mostAttempts),
	})
}

// queue reads a mapping, or the time alone.
func (v value) queue(q *Queue) {
	read := Queue{Requests: queued, Wait: time.Second}
	if v.node.Kind != yaml.MappingNode {
		if v.node.Kind == yaml.ScalarNode && v.node.Value == "off" {
			*q = Queue{}
			return
		}
		v.duration(&read.Wait, time.Millisecond, longestWait)
	} else {
		v.object("write queue: {requests: 100, wait: 1s}", fields{
			"requests": wholeField(&read.Requests, 0, mostQueued),
			"wait":     durationField(&read.Wait, time.Millisecond, longestWait),
		})
	}
	*q = read
}

// percent reads a share, with its sign: 20 alone may mean anything.
func (v value) percent(to *int, low, high int) {
	text, ok := v.text()
	if !ok {
		return
	}
	number, signed := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	fix := "write a share from " + strconv.Itoa(low) + "% to " + strconv.Itoa(high) + "%"
	switch {
	case err != nil:
		v.refuse(fix, "%s is %s, which is not a share", v.title(), show(text))
	case !signed:
		v.refuse("write "+number+"%", "%s is %s without a sign", v.title(), show(text))
	case n < low || n > high:
		v.refuse(fix, "%s is %s, which is out of range", v.title(), show(text))
	default:
		*to = n
	}
}
