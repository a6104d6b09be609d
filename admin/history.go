package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"sluice/control"
)

// Both sides of the history: the call, and the client that makes it.

// History is what GET /v1/history answers with: the oldest entry first.
type History struct {
	Entries []control.Entry `json:"entries"`
	Chain   *control.Chain  `json:"chain,omitempty"` // where it was asked for
}

const (
	entriesByDefault = 50
	// mostEntries bounds an answer to about a megabyte.
	mostEntries = 1000
)

func (s *Server) history(w http.ResponseWriter, _ *http.Request, a arguments) error {
	limit, err := a.count("limit", entriesByDefault, mostEntries)
	if err != nil {
		return err
	}
	service, err := a.text("service", longestName)
	if err != nil {
		return err
	}
	chain, err := s.chain(a)
	if err != nil {
		return err
	}
	entries, err := s.opts.Controller.History(service, limit)
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []control.Entry{}
	}
	s.answer(w, http.StatusOK, History{entries, chain})
	return nil
}

// IsHash reports whether text is a hash as the history has them.
func IsHash(text string) bool { return hash.MatchString(text) }

var hash = regexp.MustCompile("^[0-9a-f]{64}$")

// chain verifies the history where that is asked for. A head to look for asks for it too.
func (s *Server) chain(a arguments) (*control.Chain, error) {
	verify, err := a.flag("verify")
	if err != nil {
		return nil, err
	}
	head := a.values["head"]
	if head != "" && !IsHash(head) {
		return nil, badArgument(fmt.Sprintf("head is %.80q", head), "give the whole hash, of 64 hexadecimal digits, as verify=true tells it")
	}
	if !verify && head == "" {
		return nil, nil
	}
	chain, err := s.opts.Controller.Verify(head)
	return &chain, err
}

// History asks for the last entries, oldest first. service may be empty, and limit zero for the default.
func (c *Client) History(ctx context.Context, service string, limit int) (History, error) {
	query := url.Values{}
	if service != "" {
		query.Set("service", service)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var h History
	return h, c.get(ctx, "/v1/history", query, &h)
}

// Verify asks whether the whole history is unbroken, and where in it the hash is that was noted, which may be empty.
func (c *Client) Verify(ctx context.Context, noted string) (control.Chain, error) {
	query := url.Values{"verify": {"true"}, "limit": {"1"}}
	if noted != "" {
		query.Set("head", noted)
	}
	var h History
	if err := c.get(ctx, "/v1/history", query, &h); err != nil || h.Chain == nil {
		return control.Chain{}, err
	}
	return *h.Chain, nil
}
