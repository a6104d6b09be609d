package control

// QueueStatus is what waits because each backend is at its max_connections, and what became of all that did.
type QueueStatus struct {
	Waiting int   `json:"waiting"`      // now
	Queued  int64 `json:"queued"`       // since the process began
	Full    int64 `json:"refused_full"` // refused because as many waited as may
	Long    int64 `json:"refused_wait"` // refused because they had waited as long as they may
}

// queue is nil for a service in which nothing waits.
func (v *view) queue(svc *Service) *QueueStatus {
	if svc.File.Queue.Requests == 0 {
		return nil
	}
	s := v.built.services[svc.Name].service
	return &QueueStatus{s.Line.Waiting(), s.Queued.Load(), s.QueueFull.Load(), s.QueueLong.Load()}
}

// MemoryStatus is what the process holds of memory, in bytes. Above the limit new requests are refused.
type MemoryStatus struct {
	Held  int64 `json:"held"`
	Limit int64 `json:"limit"`
	Full  bool  `json:"full"`
	Shed  int64 `json:"shed"` // requests refused so, since the process began
}

// memory is nil where nobody looks at it.
func (c *Controller) memory() *MemoryStatus {
	use := c.opts.Proxy.Memory.Use()
	if use.Limit == 0 {
		return nil
	}
	return &MemoryStatus{use.Held, use.Limit, use.Full, use.Shed}
}
