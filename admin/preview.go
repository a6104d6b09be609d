package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"sluice/control"
)

// Both sides of passes to previews: the call, and the client that makes it.

func (s *Server) preview(w http.ResponseWriter, r *http.Request, a arguments) error {
	pool, err := a.text("pool", longestName)
	if err != nil {
		return err
	}
	length, err := a.duration("for")
	if err == nil && length > control.LongestPreview {
		err = badArgument(fmt.Sprintf("for is %s", length), fmt.Sprintf("write %s or less", control.LongestPreview))
	}
	if err != nil {
		return err
	}
	why, err := cause(r, a, "preview")
	if err != nil {
		return err
	}
	pass, err := s.opts.Controller.Preview(a.path[0], control.PreviewWant{Pool: pool, For: length}, why)
	if err == nil {
		s.answer(w, http.StatusOK, pass)
	}
	return err
}

// Preview asks how a pool of a service can be seen, and for a pass to it.
func (c *Client) Preview(ctx context.Context, service string, p control.PreviewWant, want Want) (pass control.PreviewPass, err error) {
	query := url.Values{}
	want.because(query)
	if p.Pool != "" {
		query.Set("pool", p.Pool)
	}
	if p.For > 0 {
		query.Set("for", p.For.String())
	}
	res, err := c.ask(ctx, http.MethodPost, servicePath(service, "preview"), query, nil)
	if err != nil {
		return pass, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(&pass); err != nil {
		return pass, &LostError{c.address, err}
	}
	return pass, nil
}
