package control

import (
	"slices"
	"time"
)

// usedKey is the Cause.Key of a change that was made. It is saved with the change, so that a caller whose answer was lost with the
// process that made the change does not make it twice: a rollback asked for again would otherwise go forward.
type usedKey struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

const (
	// keysKept is how long a key is remembered: longer than any script tries again.
	keysKept = 10 * time.Minute
	// mostKeys bounds what is saved. More changes than these in ten minutes are of no person; the number is arbitrary.
	mostKeys = 64
)

// made reports that the change of this key is in the State.
func (s State) made(key string, at time.Time) bool {
	return key != "" && slices.ContainsFunc(s.Keys, func(u usedKey) bool { return u.Key == key && at.Sub(u.At) < keysKept })
}

// using is the State with the key of a change in it, and without those that are over.
func (s State) using(key string, at time.Time) State {
	if key == "" {
		return s
	}
	var keys []usedKey
	for _, u := range s.Keys {
		if at.Sub(u.At) < keysKept {
			keys = append(keys, u)
		}
	}
	keys = append(keys, usedKey{key, at})
	s.Keys = keys[max(0, len(keys)-mostKeys):]
	return s
}
