package front

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/closing.md anew")

// TestClosingIsDocumented keeps docs/closing.md and what is tested the same.
func TestClosingIsDocumented(t *testing.T) {
	const path = "../docs/closing.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was := string(b)
	now := was
	for _, table := range []struct {
		mark  string
		cells []cell
	}{{"client", ofTheClient}, {"backend", ofTheBackend}, {"http2 client", ofHTTP2}, {"http2 backend", ofHTTP2Backend}} {
		begin, end := "<!-- "+table.mark+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(now, begin)
		_, after, ended := strings.Cut(rest, end)
		if !ok || !ended {
			t.Fatalf("no place for the table %q", table.mark)
		}
		now = before + begin + tableOf(table.cells) + end + after
	}
	if now == was {
		return
	}
	if !*rewrite {
		t.Fatal("docs/closing.md is not what is tested: run `go test ./front -run Documented -rewrite`, and read the diff")
	}
	if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tableOf writes cells as a table, each phase once.
func tableOf(cells []cell) string {
	var b strings.Builder
	b.WriteString("| phase | event | the client sees | the backend sees | sent again | log | RFC |\n|---|---|---|---|---|---|---|\n")
	last := ""
	for _, c := range cells {
		phase := c.phase
		if phase == last {
			phase = ""
		}
		last = c.phase
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", phase, c.event, c.client, c.backend, c.again, c.log, c.rfc)
	}
	return b.String()
}
