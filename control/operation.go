package control

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/drain"
)

// Operation is a change whose consequences take their time. The change itself has been made when there is one.
type Operation struct {
	done   chan struct{}
	told   chan struct{}                 // closed when the change itself was told of: its outcome comes after it
	inside func(limit int) drain.Listing // set before the operation is handed out; nil: it waits for no gate
	found  bool                          // nobody asked for it: it has no place in the history
	bake   *bakeWait                     // whose verdict it waits for too; nil: none. Set before the operation is handed out, as is baking
	baking func() *BakeStatus            // how that bake stands

	mu      sync.Mutex
	receipt Receipt
	ended   bool
}

// Done returns a channel that is closed when the operation is over: for a flip, rollback, drain and maint when what was
// taken out of traffic is empty, for ready when the backend is up and in rotation. Receipt.Done is false after it when
// that did not come to be: something could not be ended, another command took its place, or the Controller was closed.
func (op *Operation) Done() <-chan struct{} { return op.done }

// Receipt returns the receipt as it is now, with what is still inside while the operation is not over.
func (op *Operation) Receipt() Receipt {
	op.mu.Lock()
	r := op.receipt
	op.mu.Unlock()
	l := op.Inside(mostInside)
	r.Inside, r.InsideTotal = l.Items, l.Total
	r.Bake = op.Bake()
	return r
}

// Bake is how the bake stands that the operation waits for; nil: it waits for none.
func (op *Operation) Bake() *BakeStatus {
	if op.baking == nil {
		return nil
	}
	return op.baking()
}

// mostInside bounds the list in the receipt of an operation that goes on.
const mostInside = 1000

// Inside lists the oldest of what the operation waits for; nothing once it is over.
func (op *Operation) Inside(limit int) drain.Listing {
	op.mu.Lock()
	ended := op.ended
	op.mu.Unlock()
	if ended || op.inside == nil {
		return drain.Listing{}
	}
	return op.inside(limit)
}

// outcome is the receipt as it will be. Nobody is told of it before the history has it.
func (op *Operation) outcome(change func(*Receipt)) Receipt {
	op.mu.Lock()
	r := op.receipt
	op.mu.Unlock()
	change(&r)
	return r
}

func (op *Operation) put(r Receipt) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.receipt = r
}

// end is called once.
func (op *Operation) end() {
	op.mu.Lock()
	op.ended = true
	op.mu.Unlock()
	close(op.done)
}

// newOperation is called before the change is made. Its id is the generation it leads to, which the history names too;
// one that changes nothing has a name that no generation has.
func (c *Controller) newOperation(o order, before, after State) *Operation {
	op := &Operation{done: make(chan struct{}), told: make(chan struct{})}
	op.receipt = Receipt{
		ID: strconv.FormatUint(after.Generation, 10), Generation: after.Generation,
		Verb: o.cause.Verb, Began: o.began, Cause: o.cause,
	}
	if before.Generation == after.Generation {
		op.receipt.ID = c.operations.nameless(after.Generation)
	}
	if o.fill != nil {
		o.fill(&op.receipt, before, after)
	} else {
		op.receipt.Service = onlyChanged(before, after)
	}
	return op
}

// onlyChanged names the service that a change was about, or nothing when it was about more than one.
func onlyChanged(before, after State) string {
	var changed string
	for name, svc := range after.Services {
		if before.Services[name] == svc {
			continue
		}
		if changed != "" {
			return ""
		}
		changed = name
	}
	return changed
}

// kept is how many operations are remembered for whoever asks for one by its id. The number is arbitrary.
const kept = 256

// operations are the latest operations by id.
type operations struct {
	mu     sync.Mutex
	byID   map[string]*Operation
	oldest []string
	count  uint64
}

func (o *operations) nameless(generation uint64) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count++
	return fmt.Sprintf("%d-%d", generation, o.count)
}

func (o *operations) add(op *Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil {
		o.byID = map[string]*Operation{}
	}
	o.byID[op.receipt.ID] = op
	o.oldest = append(o.oldest, op.receipt.ID)
	if len(o.oldest) > kept {
		delete(o.byID, o.oldest[0])
		o.oldest = o.oldest[1:]
	}
}

// Operation returns one of the latest operations by the id of its receipt, or nil. A flip that bakes has one after a restart too.
func (c *Controller) Operation(id string) *Operation {
	if op := c.operations.get(id); op != nil {
		return op
	}
	for name, svc := range c.State().Services {
		if svc.Bake != nil && svc.Bake.ID == id {
			if op, err := c.Bake(name); err == nil && op.receipt.ID == id {
				return op
			}
		}
	}
	return nil
}

func (o *operations) get(id string) *Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byID[id]
}

// what says what was asked: "flip web: blue → green".
func (r Receipt) what() string {
	var b strings.Builder
	b.WriteString(r.Verb)
	if r.Service != "" {
		b.WriteString(" " + r.Service)
	}
	if r.Backend != "" {
		b.WriteString(" " + r.Backend)
	}
	if r.Name != "" {
		b.WriteString(" (of " + r.Name + ")")
	}
	switch {
	case r.Unchanged:
		b.WriteString(": already " + r.state())
	case r.From != "" || r.To != "":
		b.WriteString(": " + r.From + " → " + r.To)
	}
	if r.Until != nil {
		fmt.Fprintf(&b, " for %s", r.Until.Sub(r.Began).Round(time.Second))
	}
	if r.Held > 0 {
		fmt.Fprintf(&b, ", %d waited", r.Held)
	}
	if r.Release != "" {
		b.WriteString(" (release " + r.Release + ")")
	}
	if len(r.Options) > 0 {
		b.WriteString(" with its options: " + optionsText(r.Options))
	}
	if r.Bakes > 0 && len(r.Shares) > 1 {
		fmt.Fprintf(&b, ", judged for %s", time.Duration(r.Bakes*float64(time.Second)))
	} else if r.Bakes > 0 {
		fmt.Fprintf(&b, " to bake for %s", time.Duration(r.Bakes*float64(time.Second)))
	}
	if r.Unjudged != "" {
		b.WriteString("; ends the bake of " + r.Unjudged + " before its verdict")
	}
	if r.Warning != "" {
		b.WriteString("; " + r.Warning)
	}
	return b.String()
}

// state is what there is now, as a person says it: "green", "ready", "in drain".
func (r Receipt) state() string {
	if r.Backend != "" && r.To != string(Ready) {
		return "in " + r.To
	}
	return r.To
}

// String is the receipt in one line: "flip web: blue → green (release v2) switched in 0.8 ms; inside 3: 3 finished, 0 cut
// in 1.204s".
func (r Receipt) String() string {
	s := r.what()
	if !r.Unchanged {
		s += fmt.Sprintf(" switched in %.1f ms", r.Switched)
	}
	switch {
	case r.Drain != nil:
		s += "; " + r.Drain.String()
	case r.Why != "":
		s += "; " + r.Why
	case !r.Done && len(r.Inside) > 0:
		s += fmt.Sprintf("; %d still inside", max(r.InsideTotal, len(r.Inside)))
	case !r.Done && r.Until == nil: // a pause is in force at once, and may last
		s += "; not done yet"
	}
	return s
}
