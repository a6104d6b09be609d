package upstream

// Others reports whether the pool has a backend that is not among those tried.
func (p *Pool) Others(tried *Tried) bool {
	for _, b := range p.backends {
		if !tried.has(b.Endpoint) {
			return true
		}
	}
	return false
}
