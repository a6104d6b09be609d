package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sluice/control"
	"sluice/drain"
)

const (
	// insideByDefault and mostInside bound an answer about what is inside; the latter is some megabytes.
	insideByDefault = 100
	mostInside      = 10_000
)

// InsideLine is one line of a streamed listing: the counts first, then an item each.
type InsideLine struct {
	Total  *int                      `json:"total,omitempty"`
	By     map[drain.Class]int       `json:"inside_by,omitempty"`
	More   int                       `json:"more,omitempty"`
	EndsBy map[drain.Class]time.Time `json:"ends_by,omitempty"`
	Item   *drain.Item               `json:"item,omitempty"`
}

// inside lists what is inside of a service, or of all: as one document, or line by line.
func (s *Server) inside(w http.ResponseWriter, r *http.Request, a arguments) error {
	want, err := insideWant(a)
	if err != nil {
		return err
	}
	listing, err := s.opts.Controller.Inside(want)
	if err != nil {
		return err
	}
	if listing.Items == nil {
		listing.Items = []drain.Item{}
	}
	if strings.Contains(r.Header.Get("Accept"), ndjson) {
		s.insideLines(w, listing)
		return nil
	}
	s.answer(w, http.StatusOK, listing)
	return nil
}

func insideWant(a arguments) (want control.InsideWant, err error) {
	if len(a.path) > 0 {
		want.Service = a.path[0]
	}
	if want.Limit, err = a.count("limit", insideByDefault, mostInside); err != nil {
		return want, err
	}
	if want.Draining, err = a.flag("draining"); err != nil {
		return want, err
	}
	if want.Pool, err = a.text("pool", longestName); err != nil {
		return want, err
	}
	want.Backend, err = a.text("backend", longestName)
	return want, err
}

// insideLines ends early when the caller has gone.
func (s *Server) insideLines(w http.ResponseWriter, l drain.Listing) {
	w.Header().Set("Content-Type", ndjson)
	s.stampHeader(w.Header())
	out := lineWriter{http.NewResponseController(w), json.NewEncoder(w)}
	if out.write(InsideLine{Total: &l.Total, By: l.By, EndsBy: l.EndsBy, More: l.More}) != nil {
		return
	}
	for i := range l.Items {
		if out.Encode(InsideLine{Item: &l.Items[i]}) != nil {
			return
		}
	}
}
