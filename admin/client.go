package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/drain"
)

// Client asks a running Sluice. All methods may be called concurrently. Errors are a *Problem when Sluice refused, a
// *NoAnswerError when nobody answered, and a *LostError when the connection ended before the answer was complete.
type Client struct {
	address string // as the user wrote it
	base    string
	token   string
	http    http.Client
}

const (
	// dialWait is long for a socket of the same machine, and short for a person.
	dialWait = 3 * time.Second
	// answerWait is how long Sluice may think before the first byte of an answer. A flip may wait some seconds for
	// health checks before it refuses; nothing takes longer, but a flip that was asked to.
	answerWait = 30 * time.Second
	// silence is how long a streamed answer may say nothing; it has a line every quarter of a second.
	silence = 10 * time.Second
	// answerBytes bounds an answer; the status of a thousand backends is about half a megabyte.
	answerBytes = 64 << 20
)

// NewClient asks at address: unix:///path, or host:port with a token. An empty address is the default socket.
func NewClient(address, token string) (*Client, error) {
	if address == "" {
		address = config.DefaultAdmin()
	}
	network, dial, err := config.ParseAdmin(strings.TrimPrefix(address, "http://"))
	if err != nil {
		return nil, err
	}
	c := &Client{address: address, base: "http://sluice", token: token}
	if network == "tcp" {
		c.base = "http://" + dial
	}
	dialer := net.Dialer{Timeout: dialWait}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, dial)
		},
		ResponseHeaderTimeout: answerWait,
		DisableCompression:    true,
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Address is where the client asks, as it was written.
func (c *Client) Address() string { return c.address }

// NoAnswerError says that no Sluice answers.
type NoAnswerError struct {
	Address string
	Err     error
}

func (e *NoAnswerError) Error() string {
	if errors.Is(e.Err, os.ErrPermission) {
		return fmt.Sprintf("not allowed to open %s: run the command as the user that runs Sluice", e.Address)
	}
	return fmt.Sprintf("no Sluice answers at %s: start one with `sluice run --config FILE`, or name its socket with --admin", e.Address)
}

func (e *NoAnswerError) Unwrap() error { return e.Err }

// LostError says that the answer did not come to its end, so that it is not known what became of the call.
type LostError struct {
	Address string
	Err     error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the connection to %s ended before the answer: %v; look at `sluice status` and `sluice history`", e.Address, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Status asks for everything.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	var s control.Status
	return s, c.get(ctx, "/v1/status", nil, &s)
}

// Inside lists what is inside of a service, or of all for "".
func (c *Client) Inside(ctx context.Context, want control.InsideWant) (drain.Listing, error) {
	query, path := url.Values{}, "/v1/inside"
	if want.Service != "" {
		path = servicePath(want.Service, "inside")
	}
	for name, value := range map[string]string{"pool": want.Pool, "backend": want.Backend} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if want.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(want.Limit, mostInside)))
	}
	if want.Draining {
		query.Set("draining", "true")
	}
	var l drain.Listing
	return l, c.get(ctx, path, query, &l)
}

// Want is how a change is asked for.
type Want struct {
	Release  string         // of flip and rollback; "": any
	Patience time.Duration  // of flip: how long the pool may take to be up and of the release
	Bake     *time.Duration // of flip: how long the release is watched; 0: not at all; nil: as the file says
	Force    bool           // of flip and rollback: also where the schema does not fit; needs a Note
	Pool     string         // of drain, ready and maint; "": whichever has the backend
	By       string         // "": the user of this process
	Note     string         // for the history
	Commit   string         // what is deployed, for the history
	Wait     bool           // until it is done
	Timeout  time.Duration  // but no longer; zero: Sluice's own limit
	IfMatch  uint64         // the generation that was seen; zero: any
	Key      string         // Idempotency-Key; "": none
	MaxCut   *int           // more than this that was cut is a Problem of the outcome; nil: any number is fine
	Items    int            // how many of what is inside a Progress lists; zero: Sluice's own number
	// Rollout is the rollout that this is a step of, and MinAvailable how many backends that take requests must be left; of drain,
	// ready and maint.
	Rollout      string
	MinAvailable *int
	// Progress is told, while waiting, how far it is. nil: nobody asks.
	Progress func(Progress)
}

// because adds who asks and why.
func (w Want) because(query url.Values) {
	for name, value := range map[string]string{"by": w.By, "note": w.Note, "commit": w.Commit} {
		if value != "" {
			query.Set(name, value)
		}
	}
}

// Outcome is what came of a change.
type Outcome struct {
	Receipt control.Receipt
	Over    bool // it has ended; otherwise nobody waited, or the limit was reached
	// Problem says that more was cut than was allowed, or that the release is worse. The change was made all the same.
	Problem *Problem
}

// Flip makes pool the live one.
func (c *Client) Flip(ctx context.Context, service, pool string, want Want) (Outcome, error) {
	query := url.Values{"pool": {pool}}
	if want.Force {
		query.Set("force", "true")
	}
	if want.Release != "" {
		query.Set("release", want.Release)
	}
	if want.Bake != nil {
		query.Set("bake", want.Bake.String())
	}
	if want.Patience > 0 {
		query.Set("patience", want.Patience.String())
		c = c.patient(want.Patience)
		defer c.Close()
	}
	return c.change(ctx, servicePath(service, "flip"), query, want)
}

// patient returns a client that waits longer for the first byte of an answer.
func (c *Client) patient(more time.Duration) *Client {
	other := *c
	transport := c.http.Transport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout += more
	other.http.Transport = transport
	return &other
}

// Rollback flips to the pool before.
func (c *Client) Rollback(ctx context.Context, service string, want Want) (Outcome, error) {
	query := url.Values{}
	if want.Force {
		query.Set("force", "true")
	}
	if want.Release != "" {
		query.Set("release", want.Release)
	}
	return c.change(ctx, servicePath(service, "rollback"), query, want)
}

// SetAdmin drains a backend, readies it, or takes it into maintenance.
func (c *Client) SetAdmin(ctx context.Context, service, backend string, admin control.Admin, want Want) (Outcome, error) {
	query := url.Values{}
	if want.Pool != "" {
		query.Set("pool", want.Pool)
	}
	if want.Rollout != "" {
		query.Set("rollout", want.Rollout)
	}
	if want.Release != "" {
		query.Set("release", want.Release)
	}
	if want.MinAvailable != nil {
		query.Set("min_available", strconv.Itoa(*want.MinAvailable))
	}
	return c.change(ctx, servicePath(service, "backends/"+url.PathEscape(backend)+"/"+string(admin)), query, want)
}

// Stop asks Sluice to finish what is inside and to end.
func (c *Client) Stop(ctx context.Context, want Want) (Outcome, error) {
	return c.change(ctx, "/v1/stop", url.Values{}, want)
}

// Gone reports whether nobody listens at the address any more.
func (c *Client) Gone(ctx context.Context) bool {
	nc, err := c.http.Transport.(*http.Transport).DialContext(ctx, "", "")
	if err == nil {
		nc.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

func servicePath(service, rest string) string {
	return "/v1/services/" + url.PathEscape(service) + "/" + rest
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	res, err := c.ask(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(into); err != nil {
		return &LostError{c.address, err}
	}
	return nil
}

func (c *Client) change(ctx context.Context, path string, query url.Values, want Want) (Outcome, error) {
	return c.follow(ctx, http.MethodPost, path, query, want)
}

// follow makes a call and waits for the end of its operation, where that is wanted.
func (c *Client) follow(ctx context.Context, method, path string, query url.Values, want Want) (Outcome, error) {
	want.because(query)
	if want.Timeout > 0 {
		query.Set("timeout", want.Timeout.String())
	}
	if want.Wait {
		query.Set("stream", "true")
	}
	if want.MaxCut != nil {
		query.Set("max_cut", strconv.Itoa(*want.MaxCut))
	}
	if want.Wait && want.Items > 0 {
		query.Set("limit", strconv.Itoa(min(want.Items, mostItems)))
	}
	header := http.Header{}
	if want.IfMatch > 0 {
		header.Set("If-Match", fmt.Sprintf("%q", strconv.FormatUint(want.IfMatch, 10)))
	}
	if want.Key != "" {
		header.Set("Idempotency-Key", want.Key)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := c.ask(ctx, method, path, query, header)
	if err != nil {
		return Outcome{}, err
	}
	defer res.Body.Close()
	if want.Wait {
		return c.readLines(res.Body, want.Progress, cancel)
	}
	o := Outcome{Over: res.StatusCode == http.StatusOK}
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(&o.Receipt); err != nil {
		return o, &LostError{c.address, err}
	}
	return o, nil
}

// errSilent ends a streamed answer that says nothing any more.
var errSilent = errors.New("it has said nothing for too long")

func (c *Client) readLines(body io.Reader, tell func(Progress), cancel context.CancelCauseFunc) (Outcome, error) {
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	in := bufio.NewScanner(io.LimitReader(body, answerBytes))
	in.Buffer(nil, answerBytes) // a receipt names each request that was cut
	for in.Scan() {
		watch.Reset(silence)
		var line Line
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return Outcome{}, &LostError{c.address, err}
		}
		if line.Receipt != nil {
			return Outcome{Receipt: *line.Receipt, Over: line.Over, Problem: line.Problem}, nil
		}
		if line.Progress != nil && tell != nil {
			tell(*line.Progress)
		}
	}
	err := in.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return Outcome{}, &LostError{c.address, err}
}

// ask sends a request and returns the answer if it is a good one.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, header http.Header) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.problem(res)
}

// failure tells "nobody is there" from "somebody was there and went".
func (c *Client) failure(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &NoAnswerError{c.address, err}
	}
	return &LostError{c.address, err}
}

func (c *Client) problem(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, bodyBytes))
	if err != nil {
		return &LostError{c.address, err}
	}
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Type == "" {
		return fmt.Errorf("%s answered %s, which is not how Sluice speaks; name Sluice's own socket with --admin: %s", c.address, res.Status, bytes.TrimSpace(body[:min(len(body), 200)]))
	}
	return p
}
