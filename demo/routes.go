package demo

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Limits of what one request may ask of the app. They keep a mistyped number from filling memory, a disk or a day; each
// is far above what the traffic asks for.
const (
	maxBytes  = 1 << 30         // a body, either way
	maxWait   = 5 * time.Minute // /slow, and the interval of /events
	maxSeen   = 1 << 20         // different ids counted by /unique
	maxSeenID = 128             // bytes of one such id
	piece     = 16 << 10        // bytes written at a time by /bytes
)

func (a *App) routes() {
	a.mux.HandleFunc("GET /{$}", a.page)
	a.mux.HandleFunc("GET /api", a.api)
	a.mux.HandleFunc("GET /health", a.health)
	a.mux.HandleFunc("GET /inside", a.insideJSON)
	a.mux.HandleFunc("GET /bytes/{n}", a.bytes)
	a.mux.HandleFunc("POST /digest", a.digest)
	a.mux.HandleFunc("GET /slow", a.slow)
	a.mux.HandleFunc("GET /events", a.events)
	a.mux.HandleFunc("GET /ws", a.websocket)
	a.mux.HandleFunc("GET /echo", a.echo)
	a.mux.HandleFunc("POST /unique", a.unique)
	a.mux.HandleFunc("GET /unique", a.duplicates)
}

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is what a person sees. Its colour follows from the release, so that a flip shows at a glance.
func (a *App) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	pageTemplate.Execute(w, map[string]any{"Release": a.release, "Hue": hue(a.release)})
}

// hue maps a release to a colour. The two names everybody uses look the way they sound.
func hue(release string) int {
	switch release {
	case "blue":
		return 215
	case "green":
		return 145
	}
	h := fnv.New32a()
	io.WriteString(h, release)
	return int(h.Sum32() % 360)
}

func (a *App) api(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Release string `json:"release"`
		Hue     int    `json:"hue"`
		Inside  int    `json:"inside"`
	}{a.release, hue(a.release), a.Inside()})
}

func (a *App) health(w http.ResponseWriter, r *http.Request) {
	status, word := http.StatusOK, "ok"
	if a.unhealthy.Load() {
		status, word = http.StatusServiceUnavailable, "failing"
	}
	writeJSON(w, status, struct {
		Status   string `json:"status"`
		Version  string `json:"version"`
		Database string `json:"database"`
		Uptime   int    `json:"uptime"`
	}{word, a.release, "connected", int(time.Since(a.began).Seconds())})
}

func (a *App) insideJSON(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"inside": a.Inside()})
}

// bytes sends n pseudo-random bytes that follow from seed alone; chunked=1 leaves the length out, and rate (bytes a
// second) spreads them over time.
func (a *App) bytes(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, err1 := strconv.ParseInt(r.PathValue("n"), 10, 64)
	seed, err2 := number(q, "seed", 0)
	rate, err3 := number(q, "rate", 0)
	if err := errors.Join(err1, err2, err3); err != nil || n < 0 || n > maxBytes || rate < 0 {
		http.Error(w, fmt.Sprintf("use /bytes/N?seed=S&rate=R with 0 <= N <= %d and numbers for S and R\n", maxBytes), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if q.Get("chunked") != "1" {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	if r.Method != http.MethodHead {
		sendPattern(w, r, uint64(seed), n, rate)
	}
}

func sendPattern(w http.ResponseWriter, r *http.Request, seed uint64, n, rate int64) {
	flush := http.NewResponseController(w)
	body := Pattern(seed, n)
	began, sent := time.Now(), int64(0)
	size := int64(piece)
	if rate > 0 {
		size = min(size, max(1, rate/20)) // twenty pieces a second look steady
	}
	for sent < n {
		m, err := io.CopyN(w, body, min(size, n-sent))
		sent += m
		if err != nil {
			return
		}
		if rate == 0 {
			continue
		}
		flush.Flush()
		due := began.Add(time.Duration(float64(sent) / float64(rate) * float64(time.Second)))
		if d := time.Until(due); d > 0 && !wait(r.Context(), d) {
			return
		}
	}
}

// digest answers what arrived, whatever framing brought it.
func (a *App) digest(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, http.MaxBytesReader(w, r.Body, maxBytes))
	if err != nil {
		http.Error(w, "the body did not arrive whole: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(digestJSON(sum.Sum(nil), n))
}

// digestJSON is the exact answer of /digest, which the traffic expects byte for byte.
func digestJSON(sum []byte, n int64) []byte {
	return fmt.Appendf(nil, "{\"sha256\":%q,\"length\":%d}\n", hex.EncodeToString(sum), n)
}

func (a *App) slow(w http.ResponseWriter, r *http.Request) {
	ms, err := number(r.URL.Query(), "ms", 150)
	d := time.Duration(ms) * time.Millisecond
	if err != nil || ms < 0 || d > maxWait {
		http.Error(w, fmt.Sprintf("use /slow?ms=N with N up to %d\n", maxWait.Milliseconds()), http.StatusBadRequest)
		return
	}
	if wait(r.Context(), d) {
		fmt.Fprintf(w, "waited %d ms\n", ms)
	}
}

// seen counts how often each id arrived.
type seen struct {
	mu         sync.Mutex
	ids        map[string]int
	duplicates int
}

func (s *seen) add(id string) (count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[string]int{}
	}
	if s.ids[id] == 0 && len(s.ids) >= maxSeen {
		return 0, false
	}
	s.ids[id]++
	if s.ids[id] > 1 {
		s.duplicates++
	}
	return s.ids[id], true
}

// Duplicates returns how many requests to /unique came with an id that had been there before.
func (a *App) Duplicates() int {
	a.seen.mu.Lock()
	defer a.seen.mu.Unlock()
	return a.seen.duplicates
}

func (a *App) unique(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > maxSeenID {
		http.Error(w, fmt.Sprintf("use /unique?id=X with 1 to %d bytes of X\n", maxSeenID), http.StatusBadRequest)
		return
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBytes)); err != nil {
		http.Error(w, "the body did not arrive whole: "+err.Error(), http.StatusBadRequest)
		return
	}
	count, ok := a.seen.add(id)
	if !ok {
		http.Error(w, "too many different ids; start the app again\n", http.StatusInsufficientStorage)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(uniqueJSON(id, count))
}

// uniqueJSON is the exact answer of POST /unique, which the traffic expects byte for byte.
func uniqueJSON(id string, count int) []byte {
	return fmt.Appendf(nil, "{\"id\":%q,\"count\":%d}\n", id, count)
}

func (a *App) duplicates(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"duplicates": a.Duplicates()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func number(q url.Values, name string, otherwise int64) (int64, error) {
	if !q.Has(name) {
		return otherwise, nil
	}
	return strconv.ParseInt(q.Get(name), 10, 64)
}
