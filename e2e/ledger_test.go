package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// insider is one request that stays inside until the test or a drain ends it.
type insider struct {
	class, id string
	conn      net.Conn
	text      chan []byte // all that came until the end
}

// enter sends what begins a request, and reads on by itself.
func (s *sluice) enter(class, head, body string) *insider {
	s.t.Helper()
	c, err := net.Dial("tcp", s.listen)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	in := &insider{class: class, id: "the-" + class, conn: c, text: make(chan []byte, 1)}
	head = strings.ReplaceAll(head, "\n", "\r\n") + "\r\nHost: shop.example\r\nX-Request-Id: " + in.id + "\r\n\r\n"
	if _, err := io.WriteString(c, head+body); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		all, _ := io.ReadAll(c)
		in.text <- all
	}()
	return in
}

// listed is one item of the ledger as the API tells it.
type listed struct {
	ID, Class, Method, Host, Path, Client, Service, Route, Pool, Backend string
	Age                                                                  int64      `json:"age_ms"`
	In                                                                   int64      `json:"bytes_in"`
	Out                                                                  int64      `json:"bytes_out"`
	Recent                                                               int64      `json:"bytes_10s"`
	EndsBy                                                               *time.Time `json:"ends_by"`
}

type listing struct {
	Total int
	By    map[string]int `json:"inside_by"`
	More  int
	Items []listed
	Ends  map[string]time.Time `json:"ends_by"`
}

func (s *sluice) inside(query string) (l listing) {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice/v1/services/web/inside" + query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&l); err != nil {
		s.t.Fatal(err)
	}
	return l
}

const halfUpload = 100_000

// fill puts one of each class inside.
func (s *sluice) fill() map[string]*insider {
	s.t.Helper()
	all := map[string]*insider{
		"request":   s.enter("request", "GET /slow?ms=4500&secret=1 HTTP/1.1", ""),
		"upload":    s.enter("upload", "POST /digest HTTP/1.1\nContent-Length: 200000", strings.Repeat("x", halfUpload)),
		"stream":    s.enter("stream", "GET /events?ms=100 HTTP/1.1", ""),
		"websocket": s.enter("websocket", "GET /ws HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", ""),
		"tunnel":    s.enter("tunnel", "GET /echo HTTP/1.1\nConnection: Upgrade\nUpgrade: echo", ""),
	}
	s.await("all are inside, and of their class", func() bool {
		l := s.inside("")
		return l.Total == 5 && len(l.By) == 5
	})
	io.WriteString(all["tunnel"].conn, "hello")
	s.await("the bytes of a tunnel are counted while it is open", func() bool {
		for _, it := range s.inside("").Items {
			if it.Class == "tunnel" {
				return it.In == 5 && it.Out == 5 && it.Recent == 10
			}
		}
		return false
	})
	return all
}

// commandLine is a command that runs beside the test.
type commandLine struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
	ended    chan int
}

func (s *sluice) begin(args ...string) *commandLine {
	s.t.Helper()
	c := &commandLine{cmd: exec.Command(binary, append(args, "--admin", "unix://"+s.socket())...), ended: make(chan int, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.cmd.Process.Kill() })
	go func() {
		err := c.cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			c.ended <- -1
			return
		}
		c.ended <- c.cmd.ProcessState.ExitCode()
	}()
	return c
}

func (c *commandLine) code(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.ended:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end\n%s%s", c.out.String(), c.err.String())
		return -1
	}
}

type receipt struct {
	ID    string
	Done  bool
	Drain struct {
		count
		Classes map[string]count
		CutList []listed `json:"cut_list"`
	}
	Problem *struct{ Type, Detail, Hint string }
}

type count struct{ Found, Finished, Cut, Retried, Left int }

// TestTheLedger drains a backend with one of each class inside: each is listed rightly while it lasts, the receipt tells
// what became of each, and --max-cut fails exactly when something was cut.
func TestTheLedger(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, strings.Replace(twoPools(blue.address, green.address), quickDrains, "    drain: {timeout: 20s, stream: 3s, websocket: 4s}\n", 1)).start()
	s.awaitRelease("v1")
	all := s.fill()
	s.checkListed(all, blue)

	drain := s.begin("drain", "web", blue.address, "--max-cut", "0", "--json")
	s.await("the drain has begun", func() bool { return s.inside("?draining=true").Total == 5 })
	for _, it := range s.inside("").Items {
		most := map[string]time.Duration{"stream": 3 * time.Second, "websocket": 4 * time.Second, "tunnel": 4 * time.Second}[it.Class]
		if most == 0 {
			most = 20 * time.Second
		}
		if it.EndsBy == nil || time.Until(*it.EndsBy) > most || time.Until(*it.EndsBy) < most-3*time.Second {
			t.Errorf("%s is over by %v, want within %s", it.Class, it.EndsBy, most)
		}
	}
	if ends := s.inside("?limit=1").Ends; len(ends) != 5 || ends["stream"].After(ends["websocket"]) || ends["tunnel"].After(ends["upload"]) {
		t.Errorf("the classes are over by %v", ends)
	}
	text := s.must("status", "web")
	for _, want := range []string{"websocket 1", "LEFT", "the-tunnel", "POST shop.example/digest"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not tell %q:\n%s", want, text)
		}
	}
	lines := s.follow("/v1/operations/2?stream=true&limit=2")
	io.WriteString(all["upload"].conn, strings.Repeat("x", halfUpload))

	if code := drain.code(t); code != 1 {
		t.Errorf("--max-cut 0 with three cut: exit %d\n%s%s", code, drain.out.String(), drain.err.String())
	}
	var r receipt
	if err := json.Unmarshal(drain.out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, drain.out.String())
	}
	s.checkReceipt(r)
	if r.Problem == nil || !strings.HasSuffix(r.Problem.Type, ":cut") || !strings.Contains(r.Problem.Detail, "3 of 5 were cut") || !strings.Contains(r.Problem.Detail, "stands") {
		t.Errorf("%+v", r.Problem)
	}
	checkLines(t, lines)
	checkEnds(t, all)
	s.checkHistory()

	s.must("ready", "web", blue.address, "--wait")
	slow := s.enter("request", "GET /slow?ms=600 HTTP/1.1", "")
	s.await("it is inside", func() bool { return s.inside("").Total == 1 })
	if out := s.must("drain", "web", blue.address, "--wait", "--max-cut", "0"); !strings.Contains(out, "1 finished, 0 cut") {
		t.Errorf("%s", out)
	}
	slow.conn.Close()
}

func (s *sluice) checkListed(all map[string]*insider, blue *app) {
	s.t.Helper()
	paths := map[string]string{"request": "/slow", "upload": "/digest", "stream": "/events", "websocket": "/ws", "tunnel": "/echo"}
	for _, it := range s.inside("").Items {
		in := all[it.Class]
		if in == nil || it.ID != in.id || it.Path != paths[it.Class] || it.Host != "shop.example" || it.Client != "127.0.0.1" ||
			it.Service != "web" || it.Route != "/" || it.Pool != "blue" || it.Backend != blue.address || it.Age <= 0 || it.EndsBy != nil {
			s.t.Errorf("%+v", it)
		}
		if it.Class == "upload" && it.In != halfUpload || it.Class == "stream" && it.Out == 0 {
			s.t.Errorf("%s: %d in, %d out", it.Class, it.In, it.Out)
		}
	}
	if l := s.inside("?limit=2"); l.Total != 5 || len(l.Items) != 2 || l.More != 3 {
		s.t.Errorf("bounded: %+v", l)
	}
	if l := s.inside("?pool=green"); l.Total != 0 {
		s.t.Errorf("of the other pool: %+v", l)
	}
}

func (s *sluice) checkReceipt(r receipt) {
	s.t.Helper()
	d := r.Drain
	if !r.Done || (d.count != count{Found: 5, Finished: 2, Cut: 3}) {
		s.t.Errorf("%+v", d)
	}
	for class, finished := range map[string]int{"request": 1, "upload": 1, "stream": 0, "websocket": 0, "tunnel": 0} {
		if c := d.Classes[class]; (c != count{Found: 1, Finished: finished, Cut: 1 - finished}) {
			s.t.Errorf("%s: %+v", class, c)
		}
	}
	cut := map[string]bool{}
	for _, it := range d.CutList {
		cut[it.ID] = true
	}
	if len(cut) != 3 || !cut["the-stream"] || !cut["the-websocket"] || !cut["the-tunnel"] {
		s.t.Errorf("cut by id: %v", cut)
	}
}

// follow reads a streamed answer beside the test.
func (s *sluice) follow(path string) <-chan []string {
	all := make(chan []string, 1)
	res, err := s.admin.Get("http://sluice" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer res.Body.Close()
		var lines []string
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			lines = append(lines, in.Text())
		}
		all <- lines
	}()
	return all
}

func checkLines(t *testing.T, stream <-chan []string) {
	t.Helper()
	lines := <-stream
	if len(lines) < 3 {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines {
		var one struct {
			Progress *struct {
				Inside, More int
				Items        []listed
			}
			Receipt *receipt
			Over    bool
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		if last := i == len(lines)-1; (one.Receipt != nil) != last || last && (!one.Over || !one.Receipt.Done) {
			t.Errorf("line %d: %s", i, line)
		}
		if p := one.Progress; i == 0 && (p == nil || p.Inside != 5 || len(p.Items) != 2 || p.More != 3) {
			t.Errorf("%s", line)
		}
	}
}

func checkEnds(t *testing.T, all map[string]*insider) {
	t.Helper()
	for _, keeps := range []string{"request", "upload", "stream"} { // their connections go on; the client ends them
		all[keeps].conn.(*net.TCPConn).CloseWrite()
	}
	for class, in := range all {
		select {
		case text := <-in.text:
			if want := map[string]string{"request": "HTTP/1.1 200", "upload": "HTTP/1.1 200", "stream": "\n\n\r\n0\r\n\r\n", "websocket": "\x88\x02\x03\xe9"}[class]; !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s: %q", class, text)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s is still open", class)
		}
	}
}

func (s *sluice) checkHistory() {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice/v1/history?limit=1")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var h struct{ Entries []struct{ Outcome receipt } }
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil || len(h.Entries) != 1 {
		s.t.Fatalf("%v %+v", err, h)
	}
	s.checkReceipt(h.Entries[0].Outcome)
}

// TestReceiptTellsWhatARetrySaved kills a backend in the middle of its drain: a GET goes on elsewhere, which is no cut.
func TestReceiptTellsWhatARetrySaved(t *testing.T) {
	apps := []*app{startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v1", "127.0.0.1:0")}
	s := newSluice(t, onePool(apps...)).start()
	s.awaitRelease("v1")
	s.await("both are up", func() bool {
		return s.backendHealth(apps[0].address) == "up" && s.backendHealth(apps[1].address) == "up"
	})
	var both []*insider
	for i := range 2 {
		both = append(both, s.enter("request", "GET /slow?ms=1500 HTTP/1.1\nConnection: close", ""))
		s.await("it is inside", func() bool { return s.inside("").Total == i+1 })
	}
	if n := s.inside("?backend=" + apps[0].address).Total; n != 1 {
		t.Fatalf("%d inside of the first, want one of each", n)
	}
	drain := s.begin("drain", "web", apps[0].address, "--max-cut", "0", "--json")
	s.await("the drain has begun", func() bool { return s.inside("?draining").Total == 1 })
	apps[0].kill()
	code := drain.code(t)
	var r receipt
	if err := json.Unmarshal(drain.out.Bytes(), &r); err != nil || code != 0 || (r.Drain.count != count{Found: 1, Retried: 1}) {
		t.Errorf("exit %d, %v: %s%s", code, err, drain.out.String(), drain.err.String())
	}
	for _, in := range both {
		if text := <-in.text; !bytes.HasPrefix(text, []byte("HTTP/1.1 200")) {
			t.Errorf("%q", text)
		}
	}
}
