package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"sluice/control"
)

// Problem is why a call was not carried out, as a document. Nothing was changed, except where there is a Receipt.
//
// RFC 9457 §3: "A problem details object can have the following members: type, status, title, detail, instance", and may
// be extended; hint and generation are our extensions.
type Problem struct {
	Type       string `json:"type"`           // "urn:sluice:problem:KIND"; for programs
	Title      string `json:"title"`          // the same for each problem of a type
	Status     int    `json:"status"`         // the HTTP status
	Detail     string `json:"detail"`         // what happened this time
	Hint       string `json:"hint,omitempty"` // the next step
	Generation uint64 `json:"generation"`     // of the state that refused

	// Receipt is there when the change was made all the same: of the kinds "cut", "worse" and "superseded" alone.
	Receipt *control.Receipt `json:"receipt,omitempty"`
	// Blockers are why a release cannot be retired.
	Blockers []control.Blocker `json:"blockers,omitempty"`
}

const problemType = "urn:sluice:problem:"

var titles = map[string]string{
	"argument":    "An argument is missing, unknown or malformed",
	"unknown":     "There is no such thing",
	"path":        "There is no such call",
	"method":      "The call wants another method",
	"media":       "The body must be JSON",
	"large":       "The body is too large",
	"origin":      "Not for web pages",
	"host":        "Not a name of this API",
	"token":       "Not authorized",
	"idempotency": "The key was used for another request",
	"unhealthy":   "The pool is not healthy",
	"release":     "Another release is there",
	"schema":      "The release does not work with the schema",
	"retired":     "The release is retired",
	"blocked":     "The release may still be served",
	"uncertain":   "Nobody can say whether the release may still be served",
	"conflict":    "The state does not allow it",
	"generation":  "The state has changed meanwhile",
	"storage":     "The change could not be saved",
	"capacity":    "Too few backends would be left",
	"stopping":    "Sluice is on its way out",
	"timeout":     "The change was not made in time",
	"internal":    "Sluice failed",
	"cut":         "More was cut than allowed",
	"worse":       "The new release is worse",
	"superseded":  "Another change came before the verdict",
}

// Error is the detail and the next step.
func (p *Problem) Error() string {
	if p.Hint == "" {
		return p.Detail
	}
	return p.Detail + "; " + p.Hint
}

// Kind is the last part of Type.
func (p *Problem) Kind() string {
	if len(p.Type) < len(problemType) {
		return p.Type
	}
	return p.Type[len(problemType):]
}

func problem(status int, kind, detail, hint string) *Problem {
	return &Problem{Type: problemType + kind, Title: titles[kind], Status: status, Detail: detail, Hint: hint}
}

func badArgument(detail, hint string) *Problem {
	return problem(http.StatusBadRequest, "argument", detail, hint)
}

// statuses maps control's kinds of refusal.
var statuses = map[string]int{
	"unknown":    http.StatusNotFound,
	"unhealthy":  http.StatusConflict,
	"release":    http.StatusConflict,
	"schema":     http.StatusConflict,
	"retired":    http.StatusConflict,
	"blocked":    http.StatusConflict,
	"uncertain":  http.StatusConflict,
	"conflict":   http.StatusConflict,
	"generation": http.StatusPreconditionFailed,
	"capacity":   http.StatusConflict,
	"storage":    http.StatusInsufficientStorage,
	"stopping":   http.StatusServiceUnavailable,
}

// problemOf turns any error into a document.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var refusal *control.Refusal
	if errors.As(err, &refusal) && statuses[refusal.Kind] != 0 {
		p := problem(statuses[refusal.Kind], refusal.Kind, refusal.What, refusal.Hint)
		p.Blockers = refusal.Blockers
		return p
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return problem(http.StatusServiceUnavailable, "timeout", "the wait ended before the change could be made; nothing was changed", "look at `sluice status`, then ask again")
	}
	return problem(http.StatusInternalServerError, "internal", err.Error(), "look at the event log, and at `sluice status`")
}

// refuse writes the document.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	p := *problemOf(err)
	p.Generation = s.opts.Controller.Generation()
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	s.write(w, p.Status, "application/problem+json", p)
}

// answer writes a JSON document.
func (s *Server) answer(w http.ResponseWriter, status int, doc any) {
	s.write(w, status, "application/json", doc)
}

func (s *Server) write(w http.ResponseWriter, status int, media string, doc any) {
	body, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		http.Error(w, "cannot write the answer as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	s.stampHeader(h)
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
