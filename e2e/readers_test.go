package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/attacks"
)

// A reader is a server of another make that writes a line for each request it read, well-formed or not: the request's id
// first, "-" where it saw none.
type reader struct {
	name  string
	start func(t *testing.T, address string, log *lockedBuffer)
}

var readers = []reader{
	{"node", startNodeReader},
	{"python", startPythonReader("HTTP/1.0")},
	{"python with kept connections", startPythonReader("HTTP/1.1")},
	{"go", startGoReader},
	{"nginx", startNginxReader},
	{"apache", startApacheReader},
}

// TestNoReaderSeesMore sends the table of attacks, and mutations of it, to servers that read in other ways: a request that
// one of them read and Sluice did not count was smuggled past it.
func TestNoReaderSeesMore(t *testing.T) {
	seed, count := mutationSeed(t), mutations(t, 10_000)/10 // for each of them
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			var log lockedBuffer
			address := freePort(t)
			r.start(t, address, &log)
			s := newSluice(t, fmt.Sprintf("timeouts: {backend_idle: 20s}\nservices:\n  web:\n    backends: [%s]\n    health: off\n", address)).start()
			w := requestWires()
			each(uint64(len(w.all)), func(n uint64) { (&mutant{wire: w.all[n]}).exchange(s.listen, clientAddress(n)) })
			each(count, func(n uint64) {
				m := w.mutate(seed, n)
				m.exchange(s.listen, clientAddress(n))
			})
			s.compareCounts(address, &log)
		})
	}
}

func requestWires() *wires {
	w := new(wires)
	for i := range attacks.Requests {
		r := &attacks.Requests[i]
		w.add(r.Wire, r.Status == 0 && !r.Cut)
	}
	for _, large := range largeBodies() {
		w.add(large, true)
	}
	return w
}

// largeBodies are more than is taken in before a backend is claimed: what goes wrong in them goes wrong when a part has been
// passed on already.
func largeBodies() []string {
	block := strings.Repeat("b", 0x6000)
	chunk := "6000\r\n" + block + "\r\n"
	head := func(field string) string { return "POST /large HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n" }
	return []string{
		head("Content-Length: 98304") + strings.Repeat(block, 4),
		head("Transfer-Encoding: chunked") + strings.Repeat(chunk, 4) + "0\r\n\r\n",
		head("Transfer-Encoding: chunked") + strings.Repeat(chunk, 4) + "5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n" + "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n",
		head("Expect: 100-continue\r\nContent-Length: 98304") + strings.Repeat(block, 4) + "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n",
	}
}

// compareCounts waits until the reader has read all that Sluice sent, and then holds both accounts side by side. A reader
// that refuses a request may not know its id: it is told by the sum. One that failed, as when the client left while
// Sluice was still connecting, need not have been read.
func (s *sluice) compareCounts(address string, log *lockedBuffer) {
	s.t.Helper()
	counter := fmt.Sprintf("sluice_backend_requests_total{backend=%q,pool=\"default\",service=\"web\"}", address)
	sent := -1
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now := int(s.metric(counter))
		if now == sent && s.metric("sluice_connections") == 0 && strings.Count(log.String(), "\n") == sent {
			break
		}
		if now != sent {
			sent, end = now, time.Now().Add(time.Second)
		}
	}
	s.must("stop")
	s.waitExit(15 * time.Second)
	lines, refused := strings.Count(log.String(), "\n"), 0
	for line := range strings.Lines(log.String()) {
		if strings.HasPrefix(line, "- ") {
			refused++
		}
	}
	s.t.Logf("%d requests were sent and %d read, %d of them refused by the reader", sent, lines, refused)
	read := readIDs(log.String())
	ours, failed := s.sentIDs()
	if lines > sent || lines < sent-failed || more(read, ours) {
		s.t.Errorf("Sluice sent %d requests, and %d were read:\n%s", sent, lines, differences(read, ours))
	}
}

// more reports a request that was read more often than it was sent.
func more(read, sent map[string]int) bool {
	for id, n := range read {
		if id != "-" && n > sent[id] {
			return true
		}
	}
	return false
}

// readIDs counts how often each request was read.
func readIDs(log string) map[string]int {
	ids := map[string]int{}
	for line := range strings.Lines(log) {
		id, _, _ := strings.Cut(line, " ")
		ids[id]++
	}
	return ids
}

// sentIDs counts how often the access log says that each request was sent, and how many of them failed.
func (s *sluice) sentIDs() (ids map[string]int, failed int) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "access.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	ids = map[string]int{}
	for line := range bytes.Lines(data) {
		var entry struct {
			ID      string `json:"request_id"`
			Backend string
			Retries int
			Error   string
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		if entry.Backend != "" {
			ids[entry.ID] += 1 + entry.Retries
		}
		if entry.Backend != "" && entry.Error != "" {
			failed++
		}
	}
	return ids, failed
}

func differences(read, sent map[string]int) string {
	var b strings.Builder
	for id, n := range read {
		if n != sent[id] {
			fmt.Fprintf(&b, "%s: sent %d times, read %d times\n", id, sent[id], n)
		}
	}
	for id, n := range sent {
		if read[id] == 0 {
			fmt.Fprintf(&b, "%s: sent %d times, never read with its id\n", id, n)
		}
	}
	return b.String()
}
