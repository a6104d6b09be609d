package control

import (
	"time"

	"sluice/drain"
	"sluice/healthcheck"
)

// Admin is what the operator wants of a backend. It is a fact of its own: health never changes it.
type Admin string

const (
	Ready Admin = "ready" // takes new requests when it is up
	Drain Admin = "drain" // takes none, is still checked, finishes what is inside
	Maint Admin = "maint" // the same, and is not checked
)

// Cause says who changed what, by which way and why. Every change carries one; log, history and status show it.
type Cause struct {
	By   string `json:"by"`             // "operator", "file", "signal"; or the name given with --by
	Via  string `json:"via"`            // "api", "start", "signal"
	Verb string `json:"verb"`           // "flip", "rollback", "split", "drain", "ready", "maint", "start", "stop"
	Note string `json:"note,omitempty"` // given with --note
	// Commit is what was deployed, as the caller says.
	Commit string `json:"commit,omitempty"`
	// Key stands for the Idempotency-Key and for what was asked with it.
	Key string `json:"key,omitempty"`
	// Peer is the user whose process asked, as the kernel says; By is what the caller says. Empty where it did not come by a
	// unix socket.
	Peer string `json:"peer,omitempty"`
	// Rollout is the id of the rollout that the change is a step of.
	Rollout string `json:"rollout,omitempty"`
}

// Status is all that there is to see, at one moment. It is what GET /v1/status answers with.
type Status struct {
	Generation uint64          `json:"generation"`
	Version    string          `json:"version"`
	PID        int             `json:"pid"`
	Started    time.Time       `json:"started"`
	Draining   bool            `json:"draining"` // Sluice itself is on its way out
	ConfigFile string          `json:"config_file,omitempty"`
	StateDir   string          `json:"state_dir"`
	Damage     string          `json:"damage,omitempty"` // what was wrong with the saved state, loudly
	Memory     *MemoryStatus   `json:"memory,omitempty"`
	Services   []ServiceStatus `json:"services"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name     string         `json:"name"`
	Hosts    []string       `json:"hosts,omitempty"`
	Path     string         `json:"path"`
	Live     string         `json:"live"`
	Release  string         `json:"release,omitempty"`  // what the live pool's up backends report; "v1+v2" when mixed
	Previous string         `json:"previous,omitempty"` // what rollback would flip to
	Rollback RollbackStatus `json:"rollback"`
	Since    time.Time      `json:"since"` // of the last flip, or of the start
	Cause    Cause          `json:"cause"`
	Inside   int            `json:"inside"`
	Pools    []PoolStatus   `json:"pools"`
	Drift    []Drift        `json:"drift,omitempty"`
	Traffic  Traffic        `json:"traffic"`
	Hold     HoldStatus     `json:"hold"`
	Sticky   *StickyStatus  `json:"sticky,omitempty"`
	Split    *SplitStatus   `json:"split,omitempty"` // left out: all new visitors go to the live pool
	Queue    *QueueStatus   `json:"queue,omitempty"`
	Preview  *PreviewStatus `json:"preview,omitempty"` // nil: none of its pools can be seen before it is live
	Retired  []string       `json:"retired,omitempty"` // the latest releases that never serve again, oldest first
	// Schema is the newest that any backend said of the database; nil: none does.
	Schema *SchemaStatus `json:"schema,omitempty"`
	// Bake is the bake that goes on, or the latest one if the live pool is the same since its end; nil: there is none.
	Bake    *BakeStatus    `json:"bake,omitempty"`
	Rollout *RolloutStatus `json:"rollout,omitempty"` // the latest; nil: it was never rolled
}

// HoldStatus is what waits for a backend, and what became of all that waited since the process began.
type HoldStatus struct {
	State    string     `json:"state"` // "serving", "paused", "waiting" for a backend, "releasing" what waited, "failing" as nobody is up
	Paused   *Pause     `json:"paused,omitempty"`
	Why      string     `json:"why,omitempty"` // of "waiting" and "failing": what is with the backends
	Held     int        `json:"held"`          // waits now
	Bytes    int64      `json:"bytes"`         // of that
	Oldest   *time.Time `json:"oldest,omitempty"`
	OldestMS int64      `json:"oldest_ms,omitempty"` // how long the oldest has waited
	Entered  int64      `json:"entered"`
	Released int64      `json:"released"`
	Left     int64      `json:"left"` // given up by their clients
	Shed     int64      `json:"shed"` // answered 503
	ShedBy   ShedBy     `json:"shed_by"`
}

// ShedBy says which cap it was.
type ShedBy struct {
	Age      int64 `json:"age"`
	Requests int64 `json:"requests"`
	Bytes    int64 `json:"bytes"`
}

// StickyStatus is what became of pins since the process began.
type StickyStatus struct {
	Cookie  string `json:"cookie"`
	Kept    int64  `json:"kept"`    // followed
	Set     int64  `json:"set"`     // given to a client without one
	Moved   int64  `json:"moved"`   // to another backend, as the pinned one could not be taken
	Unset   int64  `json:"unset"`   // due on an answer that caches share, and left out
	Forged  int64  `json:"forged"`  // not signed by us for this service, and ignored
	Expired int64  `json:"expired"` // past their time, and ignored
}

// RollbackStatus says whether `rollback` would work now, and to what.
type RollbackStatus struct {
	Ready   bool   `json:"ready"`
	Pool    string `json:"pool,omitempty"`
	Release string `json:"release,omitempty"`
	Why     string `json:"why"`              // "2/2 healthy, schema ok", or why not
	Schema  string `json:"schema,omitempty"` // "ok" or "refused"; empty: the pool says nothing of it
	// State is "ready", "not_ready", or "expired": it would be made, but its window is over, so that the servers may be stopped.
	State   string     `json:"state"`
	Expires *time.Time `json:"expires,omitempty"` // when the window is over, or was; left out: with the next flip
	Options []string   `json:"options,omitempty"` // which would come back too, as the file says something else by now
	Missing string     `json:"missing,omitempty"` // which could not, and why
}

// PoolStatus is one pool.
type PoolStatus struct {
	Name     string          `json:"name"`
	Live     bool            `json:"live"`
	Armed    bool            `json:"armed"` // idle, checked and warm: ready for a flip or a rollback
	Release  string          `json:"release,omitempty"`
	Eligible int             `json:"eligible"`            // backends that are up and ready, and not ejected
	Share    float64         `json:"share,omitempty"`     // of the new visitors, in percent, while the service is split
	FailOpen bool            `json:"fail_open,omitempty"` // too few are up: the checks are not believed
	Schema   *SchemaRange    `json:"schema,omitempty"`    // what all ready backends that speak of it work with
	Preview  []string        `json:"preview,omitempty"`   // where it can be seen, live or not: hosts and ports with the path, "cookie"
	Inside   int             `json:"inside"`
	Served   *PoolServed     `json:"served,omitempty"` // nil: nothing yet
	Backends []BackendStatus `json:"backends"`
	Names    []NameStatus    `json:"names,omitempty"`   // which bring backends of it
	Leaving  []LeavingStatus `json:"leaving,omitempty"` // backends that are none any more and have something inside
}

// NameStatus is one name that brings backends.
type NameStatus struct {
	Name      string    `json:"name"` // "app:3000", "srv:_http._tcp.app.example.com"
	Addresses int       `json:"addresses"`
	Answered  bool      `json:"answered"`         // the last lookup brought an answer
	Since     time.Time `json:"since"`            // of Answered; zero: no lookup has ended
	Reason    string    `json:"reason,omitempty"` // why it did not
	From      string    `json:"from,omitempty"`   // the server or file that the addresses are from
	TTL       float64   `json:"ttl_s"`            // of the last answer, as it was given
	Asked     time.Time `json:"asked"`            // when the last lookup ended
	Next      time.Time `json:"next"`             // when it is asked for again
	Lookups   uint64    `json:"lookups"`
	Failures  uint64    `json:"failures"`
	More      int       `json:"more,omitempty"` // addresses beyond those that a name may bring
}

// LeavingStatus is a backend that a name has no more, while its requests finish.
type LeavingStatus struct {
	Address  string              `json:"address"`
	Inside   int                 `json:"inside"`
	InsideBy map[drain.Class]int `json:"inside_by,omitempty"`
}

// BackendStatus is one backend of one pool.
type BackendStatus struct {
	Address  string            `json:"address"`
	Name     string            `json:"name,omitempty"` // which it came from; empty: it stands in the file
	Gone     bool              `json:"gone,omitempty"` // its name has it no more; it stays until another is up
	Weight   int               `json:"weight"`
	Admin    Admin             `json:"admin"`
	Cause    *Cause            `json:"cause,omitempty"` // of Admin, when an operator set it
	Health   healthcheck.State `json:"health"`
	Reason   string            `json:"reason,omitempty"`      // why it is not up
	Kind     healthcheck.Kind  `json:"reason_kind,omitempty"` // of Reason: "failed", "draining", "wrong_build", "changed", "retired"
	Release  string            `json:"release,omitempty"`
	Expected string            `json:"expected,omitempty"` // the release it has to report
	Schema   *SchemaRange      `json:"schema,omitempty"`   // as it says itself
	Since    time.Time         `json:"since"`              // of Health
	Checked  time.Time         `json:"checked"`            // when the last check ended; zero: never
	Inside   int               `json:"inside"`
	// InsideBy counts what is inside by class; only classes with something inside.
	InsideBy map[drain.Class]int `json:"inside_by,omitempty"`
	Idle     int                 `json:"idle_connections"`
	Requests int64               `json:"requests"`
	Failures int64               `json:"failures"`
	// Pins is about how many clients were seen pinned to it in the last five to ten minutes.
	Pins int `json:"pins,omitempty"`
	// Ejected is why it takes no requests although it is ready and up; nil: it is not ejected.
	Ejected   *EjectedStatus `json:"ejected,omitempty"`
	Ejections int            `json:"ejections"`         // since the process began
	Warming   float64        `json:"warming,omitempty"` // the share of its weight that it has now; left out when it has the whole
	// KeepUntil is when those who are pinned to a backend in drain are moved at the latest; left out: they are not kept.
	KeepUntil *time.Time `json:"keep_until,omitempty"`
	// KeepAlive is how long the server keeps an idle connection, as far as that was learnt.
	KeepAlive *KeepAliveStatus `json:"keep_alive,omitempty"`
}

// KeepAliveStatus is what was learnt of a backend's idle connections, in seconds; what is not known is left out.
type KeepAliveStatus struct {
	Announced float64 `json:"announced_s,omitempty"` // what the backend says in Keep-Alive: timeout
	Seen      float64 `json:"seen_s,omitempty"`      // the shortest time after which it was seen to end one
	Limit     float64 `json:"limit_s"`               // one that was idle for longer is not used
	Sure      float64 `json:"sure_s"`                // nor for a request that cannot be sent again, if it was idle for longer than this
}

// EjectedStatus says why and until when a backend is ejected.
type EjectedStatus struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // at least; where there are checks, one has to pass too
	Why   string    `json:"why"`
	Times int       `json:"times"` // in a row
}

// SchemaStatus is which schema the database has, and who says so.
type SchemaStatus struct {
	Have int64     `json:"have"`
	By   string    `json:"by"` // POOL/ADDRESS
	Said time.Time `json:"said"`
}

// SchemaRange is which schemas a release works with.
type SchemaRange struct {
	Have  int64  `json:"have,omitempty"` // which a backend finds
	Min   int64  `json:"min"`
	Max   int64  `json:"max"`
	Fault string `json:"fault,omitempty"` // why what it says is of no use; the numbers mean nothing then
}

// Drift is a place where what was decided differs from what the file says.
type Drift struct {
	What    string `json:"what"` // "live", "backend blue/10.0.0.1:3000", "option max_body"
	Decided string `json:"decided"`
	File    string `json:"file"`
	Why     string `json:"why"` // "flipped by operator 3m ago"
}

// Traffic is what a service answered since the process began.
type Traffic struct {
	Requests int64    `json:"requests"`
	Status   [6]int64 `json:"status"` // by first digit; 0: no answer
	Retries  int64    `json:"retries"`
	Denied   int64    `json:"retries_denied,omitempty"` // failures that were not sent again because the budget was spent
	Lost     int64    `json:"lost"`
	Earlier  int64    `json:"from_previous,omitempty"` // assets that the live pool has not and the previous one had
}

// Receipt is the end of one operation: what was asked, what became of the requests that were inside.
type Receipt struct {
	ID         string    `json:"id"`
	Generation uint64    `json:"generation"`
	Verb       string    `json:"verb"`
	Service    string    `json:"service"`
	From       string    `json:"from,omitempty"`    // pool or administration before
	To         string    `json:"to,omitempty"`      // pool or administration now
	Backend    string    `json:"backend,omitempty"` // of drain, ready, maint
	Name       string    `json:"name,omitempty"`    // which the backend came from, where that is a name
	Release    string    `json:"release,omitempty"` // that takes the traffic now
	Began      time.Time `json:"began"`
	Switched   float64   `json:"switched_ms"` // from the call to the moment the new snapshot was in place
	Done       bool      `json:"done"`        // false: still draining, or waiting to be up
	// Why says why it is over without being done.
	Why       string `json:"why,omitempty"`
	Unchanged bool   `json:"unchanged,omitempty"`
	// Until is when a pause ends by itself, and Held how many waited when it was ended.
	Until *time.Time `json:"until,omitempty"`
	Held  int        `json:"held,omitempty"`
	// Pins is about how many clients were pinned to the backend: with drain and maint they move, or are kept first.
	Pins int `json:"pins,omitempty"`
	// Shares are what each pool takes of the new visitors, in percent; of a split.
	Shares  map[string]float64 `json:"shares,omitempty"`
	Warning string             `json:"warning,omitempty"` // what the operator should know of it, as that no backend is left
	// Options are those that a rollback brought back with the release, against what the file says.
	Options []Drift `json:"options,omitempty"`
	// Drain is what became of what was inside; nil when nothing was drained or the drain still runs.
	Drain  *drain.Report `json:"drain,omitempty"`
	Inside []drain.Item  `json:"inside,omitempty"` // what is still inside, while not done: the oldest thousand
	// InsideTotal is how many are still inside, listed or not.
	InsideTotal int   `json:"inside_total,omitempty"`
	Cause       Cause `json:"cause"`
	// History is the end of the history when the change was saved. Kept elsewhere, it proves later that nothing up to here was
	// changed.
	History *HistoryHead `json:"history,omitempty"`
	// Bakes is how many seconds the flip bakes, and Bake how that stands: done is not about it.
	Bakes float64     `json:"bake_s,omitempty"`
	Bake  *BakeStatus `json:"bake,omitempty"`
	// Unjudged is what was still baking when the change came in between.
	Unjudged string `json:"unjudged,omitempty"`
}

// Refusal is a change that was not made, and why. Nothing changed.
type Refusal struct {
	Kind string // "unknown", "unhealthy", "release", "conflict", "generation", "storage", "stopping", "schema", "retired", "blocked", "uncertain", "capacity"
	What string
	Hint string // the next step
	// Blockers are why a release cannot be retired.
	Blockers []Blocker
	final    bool // time does not change it
}

func (r *Refusal) Error() string { return r.What }
