package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

// cutBound is the value of --max-cut; it may be left out.
type cutBound struct{ n *int }

// String is empty where nothing was given.
func (b *cutBound) String() string {
	if b.n == nil {
		return ""
	}
	return strconv.Itoa(*b.n)
}

// Set takes a number from 0.
func (b *cutBound) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("write how many may be cut: 0 or more")
	}
	b.n = &n
	return nil
}

// Type is what the help calls it.
func (b *cutBound) Type() string { return "number" }

func (f *changeFlags) addMaxCut(cmd *cobra.Command) {
	cmd.Flags().Var(&f.maxCut, "max-cut", "wait, and exit with 1 when more than this `NUMBER` was cut; the change stands all the same")
}

// mustWait refuses a bound that nobody would look at.
func (f *changeFlags) mustWait(noWait bool) error {
	if noWait && f.maxCut.n != nil {
		return usageError{errors.New("--max-cut is known only at the end, and --no-wait does not wait for it: leave one of them out")}
	}
	return nil
}

// judged is a receipt with what is wrong with it.
type judged struct {
	control.Receipt
	Problem *admin.Problem `json:"problem,omitempty"`
}
