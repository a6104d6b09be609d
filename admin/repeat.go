package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// keepKeys is how long a key is remembered: longer than any script tries again.
	keepKeys = 10 * time.Minute
	// mostKeys bounds the memory; at one change a second it is reached only after keepKeys.
	mostKeys = 1000
	// longestKey is generous for the UUIDs and build numbers that keys are.
	longestKey = 255
)

// repeats makes a change once for each Idempotency-Key, however often it is asked for. A caller whose connection broke
// asks again and is told of the change that was made. A refusal is not remembered: it changed nothing, so asking again
// means trying again.
type repeats struct {
	now func() time.Time

	mu    sync.Mutex
	byKey map[string]*repeat
	order []*repeat // oldest first
}

// repeat is one key. op and err are set before made is closed.
type repeat struct {
	key, request string
	at           time.Time
	made         chan struct{}
	op           Operation
	err          error
}

// once returns do's operation, or that of an earlier call with the same key. An empty key is like none.
func (p *repeats) once(ctx context.Context, key, request string, do func() (Operation, error)) (Operation, error) {
	if key == "" {
		return do()
	}
	if len(key) > longestKey {
		return nil, badArgument("the Idempotency-Key is too long", "255 bytes are possible")
	}
	one, mine := p.claim(key, request)
	switch {
	case one.request != request:
		return nil, problem(http.StatusUnprocessableEntity, "idempotency", "that Idempotency-Key was used for another request", "use a new key for each change")
	case mine:
		one.op, one.err = do()
		if one.err != nil {
			p.forget(one)
		}
		close(one.made)
	}
	select {
	case <-one.made:
		return one.op, one.err
	case <-ctx.Done():
		return nil, problem(http.StatusConflict, "conflict", "the first request with that Idempotency-Key has not been answered yet", "ask again")
	}
}

func (p *repeats) claim(key, request string) (one *repeat, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	if one := p.byKey[key]; one != nil {
		return one, false
	}
	if p.byKey == nil {
		p.byKey = map[string]*repeat{}
	}
	one = &repeat{key: key, request: request, at: p.now(), made: make(chan struct{})}
	p.byKey[key] = one
	p.order = append(p.order, one)
	return one, true
}

// expire drops what is too old, and the oldest when there are too many. p.mu is held.
func (p *repeats) expire() {
	for len(p.order) > 0 && (len(p.order) >= mostKeys || p.now().Sub(p.order[0].at) > keepKeys) {
		delete(p.byKey, p.order[0].key)
		p.order = p.order[1:]
	}
}

func (p *repeats) forget(one *repeat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[one.key] == one {
		delete(p.byKey, one.key)
	}
	p.order = slices.DeleteFunc(p.order, func(o *repeat) bool { return o == one })
}

// aboutTheAnswer are the arguments that say how to answer, or from where it was asked, and nothing of the change.
var aboutTheAnswer = []string{"wait", "timeout", "stream", "limit", "max_cut", "by", "commit"}

// fingerprint is what makes two requests the same: all but how to answer and who asks, for a pipeline may try again elsewhere.
func fingerprint(r *http.Request, a arguments) string {
	parts := []string{r.Method, r.URL.EscapedPath(), r.Header.Get("If-Match")}
	for name, value := range a.values {
		if !slices.Contains(aboutTheAnswer, name) {
			parts = append(parts, name+"="+value)
		}
	}
	slices.Sort(parts[3:])
	return strings.Join(parts, "\n")
}
