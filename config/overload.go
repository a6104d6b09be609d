package config

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Retry says how often a request may be sent again, where that can do no harm.
type Retry struct {
	Attempts int // how often it is sent at most, the first time included; 1: never again
	Budget   int // how many requests may be done twice, in percent of those that succeed
}

const (
	// mostAttempts is as many failed backends as a request remembers. More attempts would only add to the load.
	mostAttempts = 4
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
