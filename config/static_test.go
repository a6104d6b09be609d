package config

import (
	"path/filepath"
	"testing"
)

func TestFolderPools(t *testing.T) {
	isolate(t)
	s := one(t, "pools: {blue: {root: /var/www/blue/}, green: {root: releases/green, max_connections: 7, release: v2}, app: [x:1]}",
		"live: green", "assets: [/assets/*, \"*.woff2\"]",
		"files: {index: [index.html, home.html], fallback: /app/index.html, cache: {/b: no-store, \"/assets/*\": \"public, max-age=60\"}}")
	beside, err := filepath.Abs("releases/green") // the file has no folder of its own: it lies in the working folder
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "blue", s.Pools[0], Pool{Name: "blue", Root: "/var/www/blue", Backends: []Backend{
		{Address: "/var/www/blue", Network: "root", Dial: "/var/www/blue", Weight: 1},
	}})
	equal(t, "green", s.Pools[1], Pool{Name: "green", Root: beside, MaxConnections: 7, Release: "v2", Backends: []Backend{
		{Address: beside, Network: "root", Dial: beside, Weight: 1, MaxConnections: 7},
	}})
	equal(t, "a pool of servers beside them", s.Pools[2].Backends[0].Network, "tcp")
	equal(t, "files", s.Files, Files{
		Index: []string{"index.html", "home.html"}, Fallback: "/app/index.html", Cache: []Cache{{"/b", "no-store"}, {"/assets/*", "public, max-age=60"}},
	})
	equal(t, "assets", s.Assets, []string{"/assets/*", "*.woff2"})
}

func TestFolderDefaults(t *testing.T) {
	isolate(t)
	s := one(t, "pools: {site: {root: /srv/site}}", "health: {port: 9000}")
	equal(t, "files", s.Files, Files{Index: []string{"index.html"}})
	equal(t, "a folder has no port to be checked", s.Pools[0].Backends[0].HealthPort, 0)
	equal(t, "a folder says its release without health", one(t, "pools: {site: {root: /srv/site, release: v1}}", "health: off").Pools[0].Release, "v1")
}

// TestFolderBesideTheFile: a relative path starts at the folder of the file, whatever folder Sluice was started in.
func TestFolderBesideTheFile(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "sluice.yaml")
	write(t, path, "services: {web: {pools: {site: {root: ./www}}}}")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "root", c.Services[0].Pools[0].Root, filepath.Join(dir, "www"))
}

// TestAssetsOfApps need no folder, but a pool before.
func TestAssetsOfApps(t *testing.T) {
	isolate(t)
	equal(t, "two pools of servers", one(t, "pools: {blue: x:1, green: y:1}", "assets: /assets/*").Assets, []string{"/assets/*"})
	equal(t, "servers and a folder", one(t, "pools: {blue: x:1, green: {root: /srv}}", "assets: /assets/*").Assets, []string{"/assets/*"})
}
