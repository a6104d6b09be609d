package message

// Field is one field line (RFC 9110 §5). Value has no white space around it.
type Field struct {
	Name  []byte
	Value []byte
	ID    ID
}

// ID is a field name that Sluice has a rule for; Other is any other name.
type ID uint8

const (
	Other ID = iota
	Authorization
	CacheControl
	CFConnectingIP
	ClientIP
	Connection
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	ForwardedFor
	FrontEndHTTPS
	Host
	HTTP2Settings
	IdempotencyKey
	KeepAlive
	MaxForwards
	Proxy
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	SetCookie
	SluiceDrain
	TE
	Trailer
	TransferEncoding
	TrueClientIP
	Upgrade
	Via
	XClientIP
	XClusterClientIP
	XForwarded
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XOriginalHost
	XOriginalURL
	XRealIP
	XRequestID
	XRewriteURL
	XURLScheme
)

var names = [...]string{
	Authorization:      "authorization",
	CacheControl:       "cache-control",
	CFConnectingIP:     "cf-connecting-ip",
	ClientIP:           "client-ip",
	Connection:         "connection",
	ContentLength:      "content-length",
	ContentType:        "content-type",
	Cookie:             "cookie",
	Date:               "date",
	Expect:             "expect",
	Forwarded:          "forwarded",
	ForwardedFor:       "forwarded-for",
	FrontEndHTTPS:      "front-end-https",
	Host:               "host",
	HTTP2Settings:      "http2-settings",
	IdempotencyKey:     "idempotency-key",
	KeepAlive:          "keep-alive",
	MaxForwards:        "max-forwards",
	Proxy:              "proxy",
	ProxyAuthenticate:  "proxy-authenticate",
	ProxyAuthorization: "proxy-authorization",
	ProxyConnection:    "proxy-connection",
	SetCookie:          "set-cookie",
	SluiceDrain:        "sluice-drain",
	TE:                 "te",
	Trailer:            "trailer",
	TransferEncoding:   "transfer-encoding",
	TrueClientIP:       "true-client-ip",
	Upgrade:            "upgrade",
	Via:                "via",
	XClientIP:          "x-client-ip",
	XClusterClientIP:   "x-cluster-client-ip",
	XForwarded:         "x-forwarded",
	XForwardedFor:      "x-forwarded-for",
	XForwardedHost:     "x-forwarded-host",
	XForwardedProto:    "x-forwarded-proto",
	XOriginalHost:      "x-original-host",
	XOriginalURL:       "x-original-url",
	XRealIP:            "x-real-ip",
	XRequestID:         "x-request-id",
	XRewriteURL:        "x-rewrite-url",
	XURLScheme:         "x-url-scheme",
}

// String is the lower-case name, or "" for Other.
func (id ID) String() string { return names[id] }

// byLength holds the known names of each length, so that a look-up compares with few.
var byLength = func() (t [20][]ID) {
	for id := Other + 1; int(id) < len(names); id++ {
		n := len(names[id])
		t[n] = append(t[n], id)
	}
	return t
}()

// Lookup finds the ID of a field name, whatever its case.
func Lookup(name []byte) ID {
	if len(name) >= len(byLength) || len(name) == 0 {
		return Other
	}
	first := name[0] | 0x20
	for _, id := range byLength[len(name)] {
		if names[id][0] == first && EqualFold(name, names[id]) {
			return id
		}
	}
	return Other
}

// EqualFold compares b with lower, which is in lower-case ASCII, whatever the case of b.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Get returns the value of the first field with a known name, or nil.
func (h *Head) Get(id ID) []byte {
	for i := range h.Fields {
		if h.Fields[i].ID == id {
			return h.Fields[i].Value
		}
	}
	return nil
}

// Add appends a field; name and value are kept, not copied.
func (h *Head) Add(id ID, name, value []byte) {
	h.Fields = append(h.Fields, Field{Name: name, Value: value, ID: id})
}

// HasToken reports whether a comma-separated list has a member, compared whatever its case (RFC 9110 §5.6.1).
func HasToken(list []byte, lower string) bool {
	for len(list) > 0 {
		var member []byte
		member, list = NextToken(list)
		if EqualFold(member, lower) {
			return true
		}
	}
	return false
}

// NextToken cuts the first member off a comma-separated list, without the white space around it.
func NextToken(list []byte) (member, rest []byte) {
	end := len(list)
	for i, c := range list {
		if c == ',' {
			end, rest = i, list[i+1:]
			break
		}
	}
	return Trim(list[:end]), rest
}

// Trim takes optional white space (RFC 9110 §5.6.3) off both ends.
func Trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
