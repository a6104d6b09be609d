package drain

// Listing is what is inside at one moment, in bounds: the oldest, and how many there are in all.
type Listing struct {
	Total int           `json:"total"`
	By    map[Class]int `json:"inside_by,omitempty"`
	Items []Item        `json:"items"`          // oldest first
	More  int           `json:"more,omitempty"` // how many are not among them
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
