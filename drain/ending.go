package drain

// Outcome is how a piece of work left its gate.
type Outcome uint8

const (
	Finished Outcome = iota // it came to its end, or whoever asked for it left
	Retried                 // it failed here, and was sent on to another backend
	Failed                  // it failed here, and that was the end of it
	WasCut                  // a drain ended it
)

// Ending is the end of one piece of work inside of a closed gate.
type Ending struct {
	Key     any // as that of its Item
	Class   Class
	Outcome Outcome
	Item    *Item // of what was cut; nil otherwise
}

// Ended says how a piece of work ends. It is called before Leave, and heard only once the gate is closed: what ends
// before a drain is no part of it. So an ending always belongs to work that the drain has found.
func (g *Gate) Ended(e Ending) {
	if !g.Closed() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endings = append(g.endings, e)
}

// ended returns a copy of what was said so far.
func (g *Gate) ended() []Ending {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Ending(nil), g.endings...)
}
