// Package config reads the YAML into checked, immutable values, and holds every default. What it returns is whole: each
// default is filled in, each address is in one form, and no two parts contradict each other. It refuses to know what the
// values are used for: it opens no socket, resolves no name, and never sees a running Sluice.
package config

import (
	"net/netip"
	"time"
)

// Config is a whole configuration. Nobody changes it, or anything it reaches, after it was returned.
type Config struct {
	File      string // where it was read; empty: made from arguments
	Digest    string // SHA-256 of the bytes, in hex: the same digest is the same file
	Listen    []Listener
	Admin     Admin
	State     string // the folder where decisions are kept
	AccessLog string // "stdout", "off", or the path of a file
	TLS       TLS
	Trusted   []netip.Prefix // peers whose forwarding fields are believed; none: nobody's
	Limits    Limits
	Timeouts  Timeouts
	Shutdown  Shutdown
	DNS       DNS
	Services  []Service // as ordered in the file; never empty, as Listen

	files []neededFile
}

// Listener is one address that clients connect to.
type Listener struct {
	Scheme  string // "http" or "https"
	Network string // "tcp"
	Address string // host:port as net.Listen takes it; port 0 leaves the choice to the kernel
}

// Admin is where the operator's API is.
type Admin struct {
	Network string // "unix" or "tcp"
	Address string // a socket's path, or host:port
	Token   string // what a caller has to present; with "tcp" a loaded Config always has one
}

// TLS says where the certificates of the https listeners come from.
type TLS struct {
	Certificates []Certificate
	ACME         *ACME // nil: none are ordered
}

// Certificate is a pair of PEM files.
type Certificate struct {
	Cert string // the chain, the server's own certificate first
	Key  string
}

// ACME says how certificates are ordered.
type ACME struct {
	Email   string // where the authority writes to; may be empty
	CA      string // URL of the authority's directory
	Storage string // the folder that keeps account and certificates
}

// Limits bounds what a peer may make the proxy hold.
type Limits struct {
	HeadBytes        int // bytes of a request line or status line with its fields
	Fields           int // field lines in a head
	TargetBytes      int // bytes of a request target
	FieldBytes       int // bytes of one field line in a request head
	TrailerBytes     int // bytes of a trailer section
	InterimResponses int // 1xx responses passed on before the final one
	BodyBytes        int // bytes of a request body, for services that say nothing else; 0: no limit
	BodyRate         int // bytes that a request body brings in a second at least, see Timeouts.BodyGrace; 0: any
	IntakeBytes      int // memory for bodies that are taken in before a backend is claimed, of the process
	Memory           Memory
	Requests         int // on one client connection; 0: no limit
	Connections      int // client connections of the process; 0: two fifths of what the limit on open files allows
}

// Timeouts bounds what is waited for.
type Timeouts struct {
	Connect      time.Duration // a connection to a backend
	Head         time.Duration // a whole request head, from its first byte
	First        time.Duration // the first byte of a new connection
	Idle         time.Duration // the next request on a client's connection
	Body         time.Duration // the next bytes of a body, in either direction
	BodyGrace    time.Duration // how long a request body may stay behind Limits.BodyRate
	Response     time.Duration // a response head, from when the request was sent
	BackendIdle  time.Duration // how long an unused connection to a backend is kept
	Write        time.Duration // progress when writing to a client
	Tunnel       time.Duration // silence in both directions of an upgraded connection; 0: no limit
	TLSHandshake time.Duration // a client's TLS handshake
	Age          time.Duration // of a client's connection, give or take a tenth; 0: no limit
}

// Shutdown says how Sluice leaves.
type Shutdown struct {
	Grace   time.Duration // how long unused client connections stay open, so that a request on its way finds one
	Timeout time.Duration // after this what is still running is cut
}

// Service is what some hosts and paths route to.
type Service struct {
	Name    string
	Hosts   []string // lower case; "*.example.com" is any one label before example.com; none: any host
	Path    string   // a prefix that ends at a segment: "/api" takes "/api" and "/api/x", not "/apis"
	Live    string   // the pool that starts live
	Pools   []Pool   // as ordered in the file; never empty
	Balance string   // "least_requests", "round_robin" or "hash"
	Hash    Hash     // with Balance "hash"
	Sticky  *Sticky  // nil: a client goes where the balance takes it
	MaxBody int      // bytes of a request body; 0: no limit
	Health  Health
	Drain   Drain
	Retry   Retry
	Queue   Queue // requests that wait while each backend is at its MaxConnections
	Hold    Hold
	// WhenDown is WhenDownFail, WhenDownHold or WhenDownOpen.
	WhenDown string
	Eject    Eject
	Bake     Bake
	// SlowStart is how long the share of a backend rises that begins to take requests; 0: it has all of it at once.
	SlowStart time.Duration
	Files     Files    // of pools with a Root
	Assets    []string // patterns of paths whose content never changes under one name
	FailOpen  int      // percent of the ready backends; with fewer of them up, the checks are not believed. 0: they always are
	Preview   *Preview // of the pool that is not live, or of the one it names; nil: there is none
	Rollback  Rollback // the way back after a flip
	Section   Section  // what the file says of it
	Line      int      // where the file has it; 0 without a file

	file string // which it was read from
}

// Pool is a named set of backends.
type Pool struct {
	Name           string
	Backends       []Backend // never empty, and one at least has a weight
	Release        string    // which each of its backends has to report; empty: any
	Root           string    // folder of a static release, which is its one backend; empty: its backends are servers
	MaxConnections int       // per backend, for those that say nothing else; 0: no limit
	Preview        *Preview  // of this pool, live or not; nil: there is none
}

// Backend is one address in a pool.
type Backend struct {
	Address        string // its name to people: "10.0.0.1:3000" or "unix:///run/api.sock"
	Network        string // "tcp" or "unix"; NetworkRoot: it is a folder
	Dial           string // what is dialled: "10.0.0.1:3000" or "/run/api.sock"
	Name           Name   // what is looked up, and then dialled in place of Dial; zero: the address is one already
	Weight         int    // its share beside the others of its pool; 0: it takes nothing
	MaxConnections int    // requests inside at most; 0: no limit
	HealthPort     int    // the port that is checked in place of its own; 0: its own
}

// Health says how the backends of a service are checked.
type Health struct {
	Off          bool          // no checks: each backend counts as up. All else is zero then
	Type         string        // "http", "tcp" or "grpc"
	Path         string        // of http: what is asked for, with its query
	Host         string        // Host field of a check, or authority of grpc; empty: the address that is asked
	Service      string        // of grpc: which service is asked about; empty: the server as a whole
	Port         int           // which is checked in place of each backend's own; 0: its own. Backends have it filled in
	Interval     time.Duration // from the end of one check to the next
	Timeout      time.Duration // for one whole check
	FastInterval time.Duration // in place of Interval while the opinion is about to change; never longer
	Rise, Fall   int           // passes in a row to come up, fails in a row to go down
	Expect       Expect
	Release      string // of http: the JSON field, may be dotted, that names the release; empty: none is read
	OnChange     string // of a live backend that reports another release: "quarantine", "until_ready" or "accept"
	AppDrain     bool   // a backend may ask for its own drain
	Schema       bool   // of http: the JSON body may say which schema the backend finds and works with
}

// Expect is what a check has to find.
type Expect struct {
	Status []StatusRange  // of http; never empty then
	JSON   map[string]any // what the body must hold at least, keys may be dotted; nil: any body passes
}

// StatusRange is an inclusive range of status codes; one code has Low equal to High.
type StatusRange struct{ Low, High int }

// Drain says how long what is inside a backend that leaves may still take. Zero means: cut at once.
type Drain struct {
	Timeout   time.Duration // requests and uploads
	Stream    time.Duration // responses without an end in sight
	WebSocket time.Duration // WebSockets and other tunnels
}
