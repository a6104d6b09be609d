package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	defaultListen    = ":8080"
	defaultAccessLog = "stdout"
	defaultCA        = "https://acme-v02.api.letsencrypt.org/directory"
	defaultPath      = "/"
	defaultPool      = "default" // the name of the one pool of a service that names none
	defaultBalance   = leastRequests
	defaultWeight    = 1
	defaultRelease   = "version"
	checkedPath      = "/health" // what is asked for when health is set and names no path
)

// The limit on a head is the largest buffer of the engine. The others are far above what browsers and common servers
// send, and low enough that a connection cannot hold much.
func defaultLimits() Limits {
	return Limits{
		BodyRate:  256, // a tenth of what the poorest mobile link carries
		HeadBytes: 64 << 10, Fields: 200, TargetBytes: 16 << 10, FieldBytes: 16 << 10, TrailerBytes: 16 << 10, InterimResponses: 10,
		Memory:      Memory{Percent: 80}, // the rest is for what the kernel holds of sockets, and for the next quarter of a second
		IntakeBytes: 64 << 20,            // a thousand slow bodies in full; more are rather an attack, and do not fill a small machine
	}
}

func defaultTimeouts() Timeouts {
	return Timeouts{
		Connect: 2 * time.Second, Head: 10 * time.Second, First: 30 * time.Second, Idle: 75 * time.Second, Body: time.Minute,
		BodyGrace: 30 * time.Second, Response: time.Minute, BackendIdle: time.Minute, Write: time.Minute, TLSHandshake: 10 * time.Second, Age: time.Hour,
	}
}

func defaultShutdown() Shutdown { return Shutdown{Grace: 2 * time.Second, Timeout: 30 * time.Second} }

func defaultDrain() Drain {
	return Drain{Timeout: 30 * time.Second, Stream: 10 * time.Second, WebSocket: 10 * time.Second}
}

// defaultHealth is for a service that says nothing about health. Its app may not know of health checks at all: an answer
// from it, even "not found", shows that it runs.
func defaultHealth() Health {
	h := givenHealth()
	h.Path, h.Expect.Status = defaultPath, []StatusRange{{200, 499}}
	return h
}

// givenHealth is what the keys of `health:` are read over.
func givenHealth() Health {
	h := Health{
		Type: checkHTTP, OnChange: quarantine, AppDrain: true, Schema: true,
		Path: checkedPath, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3,
		Expect: Expect{Status: []StatusRange{{200, 200}}}, Release: defaultRelease,
	}
	h.FastInterval = fastInterval(h.Interval)
	return h
}

// fastInterval is a quarter of the usual one, yet does not hammer a server that is in trouble already.
func fastInterval(interval time.Duration) time.Duration {
	return min(interval, max(interval/4, 100*time.Millisecond))
}

// DefaultAdmin returns where the operator's API is when nothing else is said, as a "unix:///path" URL. Both ends use it,
// so that commands find the proxy of the same user.
func DefaultAdmin() string { return unixScheme + "//" + adminSocket(os.Geteuid(), os.Getenv) }

func adminSocket(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/run/sluice/admin.sock"
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice", "admin.sock")
	}
	return filepath.Join(userTemp(uid), "admin.sock")
}

// DefaultState returns the folder for decisions when nothing else is said.
func DefaultState() string { return stateFolder(os.Geteuid(), os.Getenv) }

func stateFolder(uid int, getenv func(string) string) string {
	// "All paths set in these environment variables must be absolute. If an implementation encounters a relative path in
	// any of these variables it should consider the path invalid and ignore it." (XDG Base Directory Specification)
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice")
	}
	if uid == 0 {
		return "/var/lib/sluice"
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "sluice")
	}
	return filepath.Join(userTemp(uid), "state")
}

// userTemp carries the user's number, so that two users of one machine do not meet in it.
func userTemp(uid int) string { return filepath.Join(os.TempDir(), fmt.Sprintf("sluice-%d", uid)) }
