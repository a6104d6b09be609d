package config

import (
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		written, address string
		name             Name
	}{
		{"10.0.0.1:3000", "10.0.0.1:3000", Name{}},
		{`"[::1]:3000"`, "[::1]:3000", Name{}},
		{"localhost:3000", "localhost:3000", Name{}},
		{"LocalHost:3000", "localhost:3000", Name{}},
		{"app.localhost:3000", "app.localhost:3000", Name{}},
		{"unix:///run/app.sock", "unix:///run/app.sock", Name{}},
		{"App:3000", "app:3000", Name{Host: "app", Port: 3000}},
		{"http://app.example.com:80", "app.example.com:80", Name{Host: "app.example.com", Port: 80}},
		{"srv:_http._tcp.App.example.com", "srv:_http._tcp.app.example.com", Name{Host: "_http._tcp.app.example.com", Service: true}},
	} {
		got := one(t, "backends: ["+test.written+"]").Pools[0].Backends[0]
		equal(t, test.written, got.Address, test.address)
		equal(t, test.written, got.Name, test.name)
	}
	to, err := To("app:3000", "")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "--to", to.Services[0].Pools[0].Backends[0].Name, Name{Host: "app", Port: 3000})
	equal(t, "--to asks as a file that says nothing", to.DNS, defaultDNS())
}

func TestDNS(t *testing.T) {
	isolate(t)
	const rest = "\nservices: {web: {backends: app:3000}}"
	equal(t, "left out", mustParse(t, rest).DNS, DNS{Least: time.Second, Most: 10 * time.Second, Timeout: 2 * time.Second, Family: "auto"})
	equal(t, "in full", mustParse(t, `dns: {servers: [127.0.0.11, "[::1]:5353", "::1", 1.1.1.1:5353], least: 2s, most: 1m, timeout: 500ms, family: both}`+rest).DNS, DNS{
		Servers: []string{"127.0.0.11:53", "[::1]:5353", "[::1]:53", "1.1.1.1:5353"},
		Least:   2 * time.Second, Most: time.Minute, Timeout: 500 * time.Millisecond, Family: "both",
	})
	equal(t, "one server needs no list", mustParse(t, "dns: {servers: 127.0.0.11}"+rest).DNS.Servers, []string{"127.0.0.11:53"})
	equal(t, "most below the default of least", mustParse(t, "dns: {most: 200ms}"+rest).DNS.Least, 200*time.Millisecond)
}
