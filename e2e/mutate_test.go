package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mutant is one mutation of wires. The same seed and number make the same one again.
type mutant struct {
	wire []byte
	cuts []int // where one write ends and the next begins
}

// mutators change wires in the ways in which readers have been fooled. each takes one wire and may look at another.
var mutators = []func(r *rand.Rand, wire, other []byte) []byte{
	flipByte, deleteToken, doubleToken, stealToken, splice, pipeline, changeCase, insertBytes, tweakNumber, swapLines, doubleLine, deleteBytes,
}

// wires are what is mutated. Half of the mutations begin with a good one: a few changes to it often leave it good.
type wires struct{ good, all [][]byte }

func (w *wires) add(wire string, good bool) {
	w.all = append(w.all, []byte(wire))
	if good {
		w.good = append(w.good, []byte(wire))
	}
}

func (w *wires) pick(r *rand.Rand) []byte {
	if r.IntN(2) == 0 {
		return w.good[r.IntN(len(w.good))]
	}
	return w.all[r.IntN(len(w.all))]
}

// mutate makes one number of the mutations.
func (w *wires) mutate(seed, n uint64) mutant {
	r := rand.New(rand.NewPCG(seed, n))
	wire := bytes.Clone(w.pick(r))
	for range 1 + r.IntN(3) {
		other := w.pick(r)
		wire = mutators[r.IntN(len(mutators))](r, wire, other)
	}
	return mutant{wire: wire, cuts: cuts(r, len(wire))}
}

// cuts are none for most, a few for some, and one behind each byte for a few short ones.
func cuts(r *rand.Rand, length int) (at []int) {
	switch n := r.IntN(20); {
	case length < 2 || n < 10:
	case n == 10 && length < 300:
		for i := 1; i < length; i++ {
			at = append(at, i)
		}
	default:
		for range 1 + r.IntN(3) {
			at = append(at, 1+r.IntN(length-1))
		}
		slices.Sort(at)
	}
	return at
}

// send writes it in its pieces. Each is a segment of its own: they go out without delay.
func (m *mutant) send(nc net.Conn) error {
	from := 0
	for _, to := range append(m.cuts[:len(m.cuts):len(m.cuts)], len(m.wire)) {
		if _, err := nc.Write(m.wire[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// tokens are the borders at which something else begins: words, numbers, separators, line ends.
func tokens(wire []byte) (borders []int) {
	kind := func(c byte) byte {
		switch {
		case c >= '0' && c <= '9':
			return '0'
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
			return 'a'
		}
		return c
	}
	borders = append(borders, 0)
	for i := 1; i < len(wire); i++ {
		if kind(wire[i]) != kind(wire[i-1]) {
			borders = append(borders, i)
		}
	}
	return append(borders, len(wire))
}

// token picks one.
func token(r *rand.Rand, wire []byte) (from, to int) {
	b := tokens(wire)
	i := r.IntN(len(b))
	return b[max(i-1, 0)], b[i]
}

func border(r *rand.Rand, wire []byte) int {
	b := tokens(wire)
	return b[r.IntN(len(b))]
}

func flipByte(r *rand.Rand, wire, _ []byte) []byte {
	if len(wire) == 0 {
		return wire
	}
	i := r.IntN(len(wire))
	if r.IntN(2) == 0 {
		wire[i] ^= 1 << r.IntN(8)
	} else {
		wire[i] = byte(r.IntN(256))
	}
	return wire
}

func deleteToken(r *rand.Rand, wire, _ []byte) []byte {
	from, to := token(r, wire)
	return slices.Delete(wire, from, to)
}

func doubleToken(r *rand.Rand, wire, _ []byte) []byte {
	from, to := token(r, wire)
	return slices.Insert(wire, to, bytes.Clone(wire[from:to])...)
}

func stealToken(r *rand.Rand, wire, other []byte) []byte {
	from, to := token(r, other)
	return slices.Insert(wire, border(r, wire), other[from:to]...)
}

func splice(r *rand.Rand, wire, other []byte) []byte {
	return append(wire[:border(r, wire)], other[border(r, other):]...)
}

func pipeline(_ *rand.Rand, wire, other []byte) []byte { return append(wire, other...) }

func changeCase(r *rand.Rand, wire, _ []byte) []byte {
	from, to := token(r, wire)
	for i := from; i < to; i++ {
		if c := wire[i] | 0x20; c >= 'a' && c <= 'z' && r.IntN(2) == 0 {
			wire[i] ^= 0x20
		}
	}
	return wire
}

// fooling are bytes that some reader takes for nothing, or for an end.
var fooling = []string{"\r", "\n", "\r\n", "\x00", " ", "\t", "\v", "\f", "\r\n ", "\r\n\t", "\x85", "\xa0", ",", ";", ":", "+", "-", "0x", "\"", "\\",
	"\r\n\r\n", "chunked", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "Host: b\r\n", "0\r\n\r\n", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"}

func insertBytes(r *rand.Rand, wire, _ []byte) []byte {
	at := border(r, wire)
	if r.IntN(4) == 0 {
		at = r.IntN(len(wire) + 1)
	}
	return slices.Insert(wire, at, []byte(fooling[r.IntN(len(fooling))])...)
}

func deleteBytes(r *rand.Rand, wire, _ []byte) []byte {
	if len(wire) < 2 {
		return wire
	}
	from := r.IntN(len(wire) - 1)
	return slices.Delete(wire, from, min(len(wire), from+1+r.IntN(3)))
}

// tweakNumber changes a number a little, or how it is written.
func tweakNumber(r *rand.Rand, wire, _ []byte) []byte {
	var at [][2]int
	for b := tokens(wire); len(b) > 1 && b[0] < len(wire); b = b[1:] {
		if c := wire[b[0]]; c >= '0' && c <= '9' && b[1]-b[0] < 18 {
			at = append(at, [2]int{b[0], b[1]})
		}
	}
	if len(at) == 0 {
		return wire
	}
	where := at[r.IntN(len(at))]
	n, _ := strconv.ParseInt(string(wire[where[0]:where[1]]), 10, 64)
	forms := []string{fmt.Sprint(n + 1), fmt.Sprint(n - 1), fmt.Sprint(n * 10), fmt.Sprintf("0%d", n), fmt.Sprintf("%x", n), fmt.Sprintf("0x%x", n), fmt.Sprintf("+%d", n),
		fmt.Sprintf("%d.0", n), fmt.Sprintf("%d,%d", n, n), fmt.Sprintf("%d ", n), "18446744073709551616", "4294967296", "0", "00000000000000000000", "10000000000000001", "ffffffffffffffff"}
	return slices.Replace(wire, where[0], where[1], []byte(forms[r.IntN(len(forms))])...)
}

func lineAt(r *rand.Rand, wire []byte) (from, to int) {
	at := r.IntN(len(wire) + 1)
	from = bytes.LastIndexByte(wire[:at], '\n') + 1
	if i := bytes.IndexByte(wire[at:], '\n'); i >= 0 {
		return from, at + i + 1
	}
	return from, len(wire)
}

func swapLines(r *rand.Rand, wire, _ []byte) []byte {
	from, to := lineAt(r, wire)
	line := bytes.Clone(wire[from:to])
	wire = slices.Delete(wire, from, to)
	at, _ := lineAt(r, wire)
	return slices.Insert(wire, at, line...)
}

func doubleLine(r *rand.Rand, wire, _ []byte) []byte {
	from, to := lineAt(r, wire)
	line := bytes.Clone(wire[from:to])
	at, _ := lineAt(r, wire)
	return slices.Insert(wire, at, line...)
}

// mutations is how many are made: few among other tests, and as many as SLUICE_MUTATIONS says.
func mutations(t *testing.T, few int) uint64 {
	text := os.Getenv("SLUICE_MUTATIONS")
	if text == "" {
		return uint64(few)
	}
	n, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		t.Fatalf("SLUICE_MUTATIONS: %v", err)
	}
	return n
}

// mutationSeed is the same in each run, another one in each soak, and that of SLUICE_MUTATION_SEED where it is set.
func mutationSeed(t *testing.T) uint64 {
	seed := uint64(1)
	if os.Getenv("SLUICE_SOAK") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("SLUICE_MUTATION_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SLUICE_MUTATION_SEED: %v", err)
		}
	}
	t.Logf("seed %d; SLUICE_MUTATION_SEED=%d makes the same mutations again", seed, seed)
	return seed
}

// exchange sends one mutation from an address of its own, ends its side, and reads what comes until the server ends its.
func (m *mutant) exchange(server, client string) (answers []byte, err error) {
	from, err := net.ResolveTCPAddr("tcp", client+":0")
	if err != nil {
		return nil, err
	}
	nc, err := (&net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}).Dial("tcp", server)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if m.send(nc) == nil {
		nc.(*net.TCPConn).CloseWrite()
	}
	return io.ReadAll(nc)
}

// clientAddress is a loopback address for each mutation, so that whatever comes of it, however late, is told apart.
func clientAddress(n uint64) string {
	return fmt.Sprintf("127.%d.%d.%d", 16+(n>>16)%200, n>>8&255, n&255)
}

// each calls f with each number below n, on a few goroutines.
func each(n uint64, f func(n uint64)) {
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
