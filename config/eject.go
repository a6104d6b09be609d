package config

import (
	"math"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// Eject says when a backend is taken out because of how it serves requests, and for how long. It is never for good.
type Eject struct {
	Connect int           // connections in a row that cannot be made; 0: none takes it out
	Errors  int           // failures in a row; 0: none takes it out
	Answers []StatusRange // answers that count as failures beside those that did not come
	Latency float64       // how many times the median of its siblings its own may be; 0: any
	Above   time.Duration // and no median below this is too slow
	Window  time.Duration // what medians are of
	Most    int           // percent of the backends that are ready and up; never the last one of them
	Time    time.Duration // how long it is out the first time; twice as long each further time
	Longest time.Duration // and no longer than this
}

// defaultEject: a connection that cannot be made is certain, and the request that met it goes elsewhere without a loss. A
// failed answer is not: it may be the request's doing, and who sends enough of such requests could take out half of the
// servers. Nor is slowness, where servers do not all have the same to do. So these two are asked for.
func defaultEject() Eject {
	return Eject{
		Connect: 3, Answers: []StatusRange{{502, 504}}, Above: 100 * time.Millisecond, Window: 10 * time.Second,
		Most: 50, Time: 10 * time.Second, Longest: 5 * time.Minute,
	}
}

const ejectFix = "write eject: {connect: 3, errors: 5, most: 50%}, or eject: off"

func (v value) eject(to *Eject) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == offWord {
		to.Connect, to.Errors, to.Latency = 0, 0, 0
		return
	}
	var longest *value
	ok := v.object(ejectFix, fields{
		"connect": func(v value) { v.offOr(func() { to.Connect = 0 }, wholeField(&to.Connect, 1, maxRun)) },
		"errors":  func(v value) { v.offOr(func() { to.Errors = 0 }, wholeField(&to.Errors, 1, maxRun)) },
		"answers": func(v value) { v.offOr(func() { to.Answers = nil }, func(v value) { v.failures(&to.Answers) }) },
		"latency": func(v value) { v.offOr(func() { to.Latency = 0 }, func(v value) { v.times(&to.Latency) }) },
		"above":   durationField(&to.Above, 0, longestWait),
		"window":  durationField(&to.Window, time.Second, longestWait),
		"most":    percentField(&to.Most),
		"time":    durationField(&to.Time, leastEjection, longestWait),
		"longest": func(v value) { longest = &v; v.duration(&to.Longest, leastEjection, longestWait) },
	})
	switch {
	case !ok || to.Longest >= to.Time:
	case longest == nil:
		to.Longest = to.Time
	default:
		longest.refuse("raise longest or lower time", "`longest` is shorter than `time`, which is %s", showDuration(to.Time))
	}
}

const (
	offWord = "off"
	maxRun  = 1000
	// leastEjection keeps a backend that fails at each return from being tried all the time.
	leastEjection = 100 * time.Millisecond
)

// offOr reads the word off, or what else the key may have.
func (v value) offOr(isOff func(), read func(value)) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == offWord {
		isOff()
		return
	}
	read(v)
}

// failures reads the statuses of failures; that of a success is a slip.
func (v value) failures(to *[]StatusRange) {
	var all []StatusRange
	v.statuses(&all)
	for _, r := range all {
		if r.Low < 400 {
			v.refuse("write 502, 5xx, 500-504, or a list of these", "`answers` has %d, which is no failure", r.Low)
			return
		}
	}
	if len(all) > 0 {
		*to = all
	}
}

// times reads how many times as much something may be. Below two, one half of the servers is too slow for the other.
func (v value) times(to *float64) {
	v.number(to, 2, 1000, "write a number as 4 or 2.5, or off", "write a number from 2 to 1000, or off")
}

// number reads one that may have a fraction. fix says how to write one, and inRange which ones are taken.
func (v value) number(to *float64, least, most float64, fix, inRange string) {
	text, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(n):
		v.refuse(fix, "%s is %s, which is not a number", v.title(), show(text))
	case n < least || n > most:
		v.refuse(inRange, "%s is %s, which is out of range", v.title(), show(text))
	default:
		*to = n
	}
}

func percentField(to *int) func(value) {
	return func(v value) { v.percent(to, 1, 100) }
}

// failOpen reads a share, or off for none.
func (v value) failOpen(to *int) { v.offOr(func() { *to = 0 }, percentField(to)) }

// slowStart reads a span, or off for none.
func (v value) slowStart(to *time.Duration) {
	v.offOr(func() { *to = 0 }, durationField(to, 0, longestWait))
}
