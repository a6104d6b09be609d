package names

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a Lookup that answers as it is told, and notes when it was asked.
type script struct {
	mu     sync.Mutex
	answer Answer
	err    error
	takes  time.Duration
	began  time.Time
	asked  []time.Duration
}

func (s *script) resolve(context.Context, Name) (Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Since(s.began))
	takes, answer, err := s.takes, s.answer, s.err
	s.mu.Unlock()
	time.Sleep(takes)
	return answer, err
}

func (s *script) set(err error, ttl time.Duration, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.answer = err, Answer{TTL: ttl}
	for _, a := range addresses {
		s.answer.Addresses = append(s.answer.Addresses, Address{At: netip.MustParseAddrPort(a), Weight: 1})
	}
	s.began, s.asked = time.Now(), nil
}

func (s *script) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// watched runs a watch over a script in a bubble, from 1 s to 10 s and without jitter, and counts the changes.
func watched(t *testing.T, f func(s *script, w *Watch, changes func() int)) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.set(nil, 5*time.Second, "10.0.0.1:80")
		w := NewWatch(Name{Host: "app", Port: 80}, s.resolve, time.Second, 10*time.Second, time.Now, func() float64 { return 0 })
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		n := 0
		go w.Run(ctx, func(_ Finding, changed bool) {
			mu.Lock()
			defer mu.Unlock()
			if changed {
				n++
			}
		})
		synctest.Wait()
		f(s, w, func() int { mu.Lock(); defer mu.Unlock(); return n })
		cancel()
		synctest.Wait()
	})
}

const second = time.Second

func TestLifetimes(t *testing.T) {
	for _, tt := range []struct {
		why  string
		ttl  time.Duration
		want []time.Duration // of the first lookups after the first answer
	}{
		{"by the TTL", 4 * second, []time.Duration{4 * second, 8 * second}},
		{"TTL 0", 0, []time.Duration{1 * second, 2 * second}},
		{"a huge TTL", 1 << 31 * second, []time.Duration{10 * second, 20 * second}},
	} {
		watched(t, func(s *script, w *Watch, changes func() int) {
			s.set(nil, tt.ttl, "10.0.0.1:80")
			w.Hurry()
			time.Sleep(hurryGap) // the gap after the lookup before
			synctest.Wait()
			s.set(nil, tt.ttl, "10.0.0.1:80")
			time.Sleep(tt.want[1])
			synctest.Wait()
			if got := s.times(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: asked at %v, want %v", tt.why, got, tt.want)
			}
			if changes() != 1 {
				t.Errorf("%s: %d changes by one answer", tt.why, changes())
			}
		})
	}
}

func TestFailuresKeepWhatIsKnown(t *testing.T) {
	watched(t, func(s *script, w *Watch, changes func() int) {
		time.Sleep(4 * second) // the answer ends a second from here
		s.set(&Failure{What: "SERVFAIL"}, 0)
		time.Sleep(40 * second)
		synctest.Wait()
		if got, want := s.times(), []time.Duration{1 * second, 2 * second, 4 * second, 8 * second, 16 * second, 26 * second, 36 * second}; !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v: twice as long each time, up to the most", got, want)
		}
		f := w.Latest()
		if len(f.Answer.Addresses) != 1 || f.Failure != "SERVFAIL" || f.Absent || f.Failures != 7 || f.Lookups != 8 || changes() != 2 {
			t.Errorf("%+v, %d changes", f, changes())
		}
		if ago := time.Since(f.Since); ago != 39*second {
			t.Errorf("failing for %s", ago)
		}
		s.set(&Failure{What: "NXDOMAIN", Absent: true}, 0)
		time.Sleep(11 * second)
		synctest.Wait()
		if f = w.Latest(); !f.Absent || len(f.Answer.Addresses) != 1 || changes() != 3 {
			t.Errorf("denied: %+v, %d changes", f, changes())
		}
		s.set(nil, 5*second, "10.0.0.1:80")
		time.Sleep(11 * second)
		synctest.Wait()
		if f = w.Latest(); f.Failure != "" || f.Absent || changes() != 4 {
			t.Errorf("answered again: %+v, %d changes", f, changes())
		}
		s.set(nil, 5*second, "10.0.0.1:80", "10.0.0.2:80")
		time.Sleep(11 * second)
		synctest.Wait()
		if f = w.Latest(); len(f.Answer.Addresses) != 2 || changes() != 5 {
			t.Errorf("one more: %+v, %d changes", f, changes())
		}
	})
}

func TestNothingIsKnownAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.set(errors.New("no route"), 0)
		w := NewWatch(Name{Host: "app", Port: 80}, s.resolve, second, 10*second, time.Now, func() float64 { return 0.9 })
		ctx, cancel := context.WithCancel(t.Context())
		told := 0
		go w.Run(ctx, func(f Finding, changed bool) {
			if changed {
				told++
			}
		})
		time.Sleep(5 * second)
		synctest.Wait()
		if got, want := s.times(), []time.Duration{0, 1090 * time.Millisecond, 3270 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v, with a tenth of jitter", got, want)
		}
		if f := w.Latest(); told != 1 || f.Failure != "no route" || f.Answer.Addresses != nil || f.Next.Sub(f.Asked) != 4360*time.Millisecond {
			t.Errorf("%+v, told %d times", f, told)
		}
		cancel()
		synctest.Wait()
	})
}

// TestHurry: wishes are met soon, many are one, and one that comes during a lookup is met by another one.
func TestHurry(t *testing.T) {
	watched(t, func(s *script, w *Watch, _ func() int) {
		time.Sleep(2 * second)
		s.set(nil, 5*second, "10.0.0.2:80")
		n := w.Hurry()
		synctest.Wait()
		if f := w.Latest(); f.Lookups != n || f.Answer.Addresses[0].At.String() != "10.0.0.2:80" {
			t.Errorf("after a wish: %+v", f)
		}
		for range 1000 {
			n = w.Hurry()
		}
		time.Sleep(second)
		synctest.Wait()
		if got := s.times(); !slices.Equal(got, []time.Duration{0, hurryGap}) || w.Latest().Lookups != n {
			t.Errorf("after a thousand wishes: asked at %v", got)
		}
		s.takes = second
		w.Hurry()
		time.Sleep(second / 2)
		s.set(nil, 5*second, "10.0.0.3:80")
		n = w.Hurry()
		time.Sleep(second / 2)
		synctest.Wait()
		if f := w.Latest(); f.Lookups >= n || f.Answer.Addresses[0].At.String() != "10.0.0.2:80" {
			t.Errorf("the lookup under way met a wish that came after its question: %+v, %d", f, n)
		}
		time.Sleep(2 * second)
		synctest.Wait()
		if f := w.Latest(); f.Lookups < n || f.Answer.Addresses[0].At.String() != "10.0.0.3:80" {
			t.Errorf("the wish was not met: %+v, %d", f, n)
		}
	})
}
