package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	seed, count := mutationSeed(t), mutations(t, 1000)
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
	return w
}

// compareCounts waits until the reader has read all that Sluice sent, and then holds both accounts side by side.
func (s *sluice) compareCounts(address string, log *lockedBuffer) {
	s.t.Helper()
	sent := 0
	s.await("the reader has read all that was sent, and nothing is on its way", func() bool {
		before := sent
		sent = int(s.metric(fmt.Sprintf("sluice_backend_requests_total{backend=%q,pool=\"default\",service=\"web\"}", address)))
		return sent == before && s.metric("sluice_connections") == 0 && strings.Count(log.String(), "\n") >= sent
	})
	s.must("stop")
	s.waitExit(15e9)
	read, ours := readIDs(log.String()), s.sentIDs()
	lines := strings.Count(log.String(), "\n")
	s.t.Logf("sent %d requests, read %d", sent, lines)
	if lines != sent {
		s.t.Errorf("Sluice sent %d requests, and %d were read", sent, lines)
	}
	if !maps.Equal(read, ours) {
		s.t.Errorf("the requests that were read are not those that were sent:\n%s", differences(read, ours))
	}
	for line := range strings.Lines(log.String()) {
		if strings.HasPrefix(line, "- ") {
			s.t.Errorf("read: %s", line)
		}
	}
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

// sentIDs counts how often the access log says that each request was sent.
func (s *sluice) sentIDs() map[string]int {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "access.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	ids := map[string]int{}
	for line := range bytes.Lines(data) {
		var entry struct {
			ID      string `json:"request_id"`
			Backend string
			Retries int
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		if entry.Backend != "" {
			ids[entry.ID] += 1 + entry.Retries
		}
	}
	return ids
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
			fmt.Fprintf(&b, "%s: sent %d times, read never\n", id, n)
		}
	}
	return b.String()
}
