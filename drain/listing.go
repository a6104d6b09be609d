package drain

import "time"

// Listing is what is inside at one moment, in bounds: the oldest, and how many there are in all.
type Listing struct {
	Total int           `json:"total"`
	By    map[Class]int `json:"inside_by,omitempty"`
	Items []Item        `json:"items"`          // oldest first
	More  int           `json:"more,omitempty"` // how many are not among them
	// EndsBy is when a class is over at the latest, where all of it is inside of backends that are drained.
	EndsBy map[Class]time.Time `json:"ends_by,omitempty"`
}

// EndBy tells what is listed, and its classes, that a drain which began at a moment empties its gate; nil: each gate.
func (l *Listing) EndBy(gate *Gate, began time.Time, p Policy) {
	if l.EndsBy == nil {
		l.EndsBy = map[Class]time.Time{}
	}
	for class := range l.By {
		if at := began.Add(p.Deadline(class)); at.After(l.EndsBy[class]) {
			l.EndsBy[class] = at
		}
	}
	for i := range l.Items {
		if it := &l.Items[i]; gate == nil || it.Gate == gate {
			it.EndsBy = began.Add(p.Deadline(it.Class))
		}
	}
}

// Count adds to the number of a class.
func (l *Listing) Count(c Class, n int) {
	if l.By == nil {
		l.By = map[Class]int{}
	}
	l.Total += n
	if l.By[c] += n; l.By[c] == 0 {
		delete(l.By, c)
	}
}
