package proxy

import (
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Memory keeps the process from taking more memory than it may. While it holds too much, new requests are answered with
// 503, and those inside finish. A request costs it a look at one bool.
type Memory struct {
	full  atomic.Bool
	limit atomic.Int64
	held  atomic.Int64 // as last looked at
	shed  atomic.Int64 // requests answered with 503 for want of memory
}

var errMemory = &Error{Status: 503, Fault: ByOperator, Type: proxyInternalResponse, What: "Sluice holds as much memory as it may"}

const (
	// memoryEvery is how often memory is looked at: no traffic fills what is left above the limit in so short a time.
	memoryEvery = 250 * time.Millisecond
	// collectEvery is how often what is not in use is given back while there is too much. Without it a proxy that refuses
	// everything would do too little for its collector to run.
	collectEvery = time.Second
)

// Watch looks at the memory of the process until stop is closed; it is its caller's goroutine. tell is called when the limit
// is passed, and when there is room again.
func (m *Memory) Watch(stop <-chan struct{}, limit int64, tell func(full bool, held int64)) {
	m.limit.Store(limit)
	look, collect := time.NewTicker(memoryEvery), time.NewTicker(collectEvery)
	defer look.Stop()
	defer collect.Stop()
	held := heldMemory()
	for {
		select {
		case <-stop:
			return
		case <-collect.C:
			if m.full.Load() {
				debug.FreeOSMemory()
			}
			continue
		case <-look.C:
		}
		if now := held(); m.judge(now) {
			tell(m.full.Load(), now)
		}
	}
}

// judge reports whether anything changed. There is room again a tenth below the limit, so that it does not change with
// each request that comes and goes.
func (m *Memory) judge(held int64) (changed bool) {
	m.held.Store(held)
	limit := m.limit.Load()
	if m.full.Load() {
		return held < limit-limit/10 && m.full.CompareAndSwap(true, false)
	}
	return held > limit && m.full.CompareAndSwap(false, true)
}

// heldMemory returns a function that tells what the Go runtime has of the kernel and has not given back. What the kernel
// itself holds for sockets and pipes is not in it.
func heldMemory() func() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	return func() int64 {
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
	}
}

// MemoryUse is what is known of the memory, at one moment.
type MemoryUse struct {
	Held, Limit int64 // bytes; a Limit of 0: it is not looked at
	Full        bool  // new requests are refused
	Shed        int64 // how many were
}

// Use returns what was seen last.
func (m *Memory) Use() MemoryUse {
	return MemoryUse{Held: m.held.Load(), Limit: m.limit.Load(), Full: m.full.Load(), Shed: m.shed.Load()}
}

// refuse is for a request that comes while there is no room. Its connection is to end: it holds memory too.
func (m *Memory) refuse(ex *Exchange) *Error {
	m.shed.Add(1)
	ex.Close = true
	return errMemory
}
