package control

import "time"

// whenDue is a goroutine that ends what has a length: pauses, or the keeping of those who are pinned. end ends what is due,
// and says how long it is to the next, if there is one; it is called again then, and after each change.
func (c *Controller) whenDue(end func() (wait time.Duration, any bool)) {
	defer c.running.Done()
	for {
		news := c.news.wait()
		wait, any := end()
		timer := time.NewTimer(wait)
		if !any {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-news:
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}
