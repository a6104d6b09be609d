package attacks_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/internal/strictread"
)

func TestTheTablesAreLargeAndNamed(t *testing.T) {
	if n := len(attacks.Requests); n < 300 {
		t.Errorf("%d requests", n)
	}
	if n := len(attacks.Responses); n < 150 {
		t.Errorf("%d responses", n)
	}
	names := map[string]bool{}
	for _, r := range attacks.Requests {
		checkRow(t, names, "request "+r.Name, r.Rule)
	}
	for _, r := range attacks.Responses {
		checkRow(t, names, "response "+r.Name, r.Rule)
	}
}

var ruled = regexp.MustCompile(`^RFC \d{4} §\d`)

func checkRow(t *testing.T, names map[string]bool, name, rule string) {
	t.Helper()
	if names[name] {
		t.Errorf("%s is there twice", name)
	}
	if names[name] = true; !ruled.MatchString(rule) {
		t.Errorf("%s has no rule: %q", name, rule)
	}
}

// explained is a rule with words of its own: Sluice is stricter there than the letter.
func explained(rule string) bool {
	return len(regexp.MustCompile(`^RFC \d{4} §[\d.]+( item \d)?`).ReplaceAllString(rule, "")) > 0
}

// The letter of the RFC is the outer bound: what the table accepts it accepts, and what it accepts beyond the table is
// refused for a limit, or for a reason that the table gives.
func TestRequestsAgainstTheLetter(t *testing.T) {
	for _, row := range attacks.Requests {
		count, err := readRequests(row.Wire)
		whole := err == nil && row.Status == 0 && !row.Cut
		switch {
		case whole && count == row.Count():
		case row.Cut && errors.Is(err, strictread.ErrIncomplete) && count == row.Count():
		case row.Status != 0 && refusal(err) && count == row.Count():
		case row.Status != 0 && (row.Status != 400 || explained(row.Rule) || outOfReach(row)):
		default:
			t.Errorf("%s, status %d: the letter reads %d, %v", row.Name, row.Status, count, err)
		}
	}
}

func refusal(err error) bool {
	var e *strictread.Error
	return errors.As(err, &e)
}

// outOfReach are rows that Sluice refuses sooner than their first line ends, or by the rules for paths.
func outOfReach(row attacks.Request) bool {
	return strings.HasPrefix(row.Name, "path_") || strings.HasPrefix(row.Name, "limit_") || strings.HasSuffix(row.Name, "dot_segment")
}

func readRequests(wire string) (count int, err error) {
	for b := []byte(wire); len(b) > 0; count++ {
		if _, b, err = strictread.ReadRequest(b); err != nil {
			return count, err
		}
	}
	return count, nil
}

func TestResponsesAgainstTheLetter(t *testing.T) {
	for _, row := range attacks.Responses {
		count, rest, err := readResponses(row)
		switch {
		case !row.Refused && err == nil && count == row.Count() && (rest == "" || !row.Reuse):
		case row.Refused && err != nil && count == row.Count():
		case row.Refused && (explained(row.Rule) || strings.HasPrefix(row.Name, "limit_")):
		default:
			t.Errorf("%s: the letter reads %d, rest %q, %v", row.Name, count, rest, err)
		}
	}
}

// readResponses reads up to the final response.
func readResponses(row attacks.Response) (count int, rest string, err error) {
	method := "GET"
	if row.HEAD {
		method = "HEAD"
	}
	for b := []byte(row.Wire); ; {
		var r *strictread.Response
		if r, b, err = strictread.ReadResponse(b, method); err != nil {
			return count, "", err
		}
		if count++; r.Status >= 200 || r.Status == 101 {
			return count, string(b), nil
		}
	}
}
