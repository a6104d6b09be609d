package config

import "testing"

// TestPreview holds each way to write one.
func TestPreview(t *testing.T) {
	isolate(t)
	const pools = "pools: {blue: x:1, green: y:1}"
	door := func(scheme, address, name string) Door { return Door{Listener{scheme, "tcp", address}, name} }
	for text, want := range map[string]Preview{
		"preview: :8081":                                          {Ports: []Door{door("http", ":8081", ":8081")}},
		"preview: 127.0.0.1:8081":                                 {Ports: []Door{door("http", "127.0.0.1:8081", "127.0.0.1:8081")}},
		"preview: http://[::1]:8081":                              {Ports: []Door{door("http", "[::1]:8081", "[::1]:8081")}},
		"preview: Green.example.com":                              {Hosts: []string{"green.example.com"}},
		"preview: \"[::1]\"":                                      {Hosts: []string{"[::1]"}},
		"preview: [green.example.com, \":8081\"]":                 {Hosts: []string{"green.example.com"}, Ports: []Door{door("http", ":8081", ":8081")}},
		"preview: {host: green.example.com, port: \":8081\"}":     {Hosts: []string{"green.example.com"}, Ports: []Door{door("http", ":8081", ":8081")}},
		"preview: {host: [a.test, b.test], pool: green}":          {Hosts: []string{"a.test", "b.test"}, Pool: "green"},
		"preview: {cookie: true}":                                 {Cookie: true},
		"preview: {cookie: false, port: [127.0.0.1:0, \":0\"]}":   {Ports: []Door{door("http", "127.0.0.1:0", "127.0.0.1:0#0"), door("http", ":0", ":0#1")}},
		"preview: {cookie: true, pool: blue, port: localhost:81}": {Cookie: true, Pool: "blue", Ports: []Door{door("http", "localhost:81", "localhost:81")}},
	} {
		equal(t, text, *one(t, pools, text).Preview, want)
	}
	equal(t, "none", one(t, pools).Preview == nil, true)
	svc := one(t, "pools: {blue: {backends: x:1, preview: b.test}, green: {backends: y:1, preview: {port: \":8081\"}}, red: z:1}", "preview: {cookie: true}")
	equal(t, "of a pool", *svc.Pools[0].Preview, Preview{Pool: "blue", Hosts: []string{"b.test"}})
	equal(t, "of the other", *svc.Pools[1].Preview, Preview{Pool: "green", Ports: []Door{door("http", ":8081", ":8081")}})
	equal(t, "all", len(svc.Previews()), 3)
}

// TestPreviewsTogether: services share a host and a port by their paths, and a star beside it takes nothing away.
func TestPreviewsTogether(t *testing.T) {
	isolate(t)
	c := mustParse(t, `listen: 127.0.0.1:8080
services:
  web: {hosts: "*.example.com", pools: {blue: x:1, green: y:1}, preview: [green.example.com, ":8081"]}
  api: {hosts: "*.example.com", path: /api, pools: {one: x:2, two: y:2}, preview: [green.example.com, ":8081"], live: two}
`)
	equal(t, "doors", c.Doors(), []Door{{Listener{"http", "tcp", ":8081"}, ":8081"}})
	equal(t, "routes", c.PreviewRoutes(), []Route{
		{"green.example.com", "/", "web", "green"}, {"http://:8081", "/", "web", "green"},
		{"green.example.com", "/api", "api", "one"}, {"http://:8081", "/api", "api", "one"},
	})
}
