package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"sluice/front"
)

func TestInherit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var asked []string
	socket := func(fd int, name string) *os.File {
		asked = append(asked, name)
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	rows := []struct {
		name           string
		env            map[string]string
		names          string
		warns, refused string
	}{
		{"nothing", map[string]string{}, "", "", ""},
		{"two", map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "http:https"}, "http https", "", ""},
		{"without names", map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "7"}, "3 4", "", ""},
		{"for another", map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "8"}, "", "with exec", ""},
		{"no number", map[string]string{"LISTEN_FDS": "many", "LISTEN_PID": "7"}, "", "", `LISTEN_FDS is "many"`},
		{"too many", map[string]string{"LISTEN_FDS": "65", "LISTEN_PID": "7"}, "", "", "up to 64"},
		{"negative", map[string]string{"LISTEN_FDS": "-1", "LISTEN_PID": "7"}, "", "", "up to 64"},
	}
	for _, row := range rows {
		asked = nil
		in, warning, err := inherit(func(name string) string { return row.env[name] }, 7, socket)
		if got := strings.Join(asked, " "); got != row.names || (in != nil) != (row.names != "") || in.Has(l.Addr().String()) != (row.names != "") {
			t.Errorf("%s: %q", row.name, got)
		}
		if !strings.Contains(warning, row.warns) || (warning == "") != (row.warns == "") {
			t.Errorf("%s: %q", row.name, warning)
		}
		if (err == nil) != (row.refused == "") || err != nil && !strings.Contains(err.Error(), row.refused) {
			t.Errorf("%s: %v", row.name, err)
		}
		if in != nil {
			in.Close()
		}
	}
}

// TestInheritNothingUsable: what a socket unit passes by mistake is said, with the line to write.
func TestInheritNothingUsable(t *testing.T) {
	env := map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web"}
	_, _, err := inherit(func(name string) string { return env[name] }, 7, func(int, string) *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
	var passed *front.InheritError
	if !errors.As(err, &passed) || passed.Name != "web" || !strings.Contains(err.Error(), "ListenStream=") {
		t.Error(err)
	}
}
