package healthcheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// grpcCheck asks grpc.health.v1.Health/Check, over HTTP/2 without TLS and with prior knowledge (RFC 9113 §3.3). One
// question on one connection needs a fraction of HTTP/2: it is read frame by frame, in one goroutine and in bounded
// memory, with the framer that the tests of front use. A gRPC library would bring more code than all of Sluice for it,
// and the client of net/http leaves goroutines behind that end some time after their connection.
type grpcCheck struct {
	spec     Spec
	question []byte // the preface and all frames of the request
}

const (
	grpcPath   = "/grpc.health.v1.Health/Check"
	grpcStream = 1
	// maxMessage is how much of a message is read: an answer has two bytes, and fields of the future some more.
	maxMessage = 1 << 10
	// maxFrame is the least that a receiver must allow (RFC 9113 §4.2), and more than an answer of two bytes needs.
	maxFrame = 16 << 10
)

func newGRPC(spec Spec) *grpcCheck { return &grpcCheck{spec: spec, question: grpcQuestion(spec)} }

func grpcQuestion(spec Spec) []byte {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: grpcStream, BlockFragment: grpcHead(spec), EndHeaders: true})
	fr.WriteData(grpcStream, true, grpcMessage(spec.Service))
	return out.Bytes()
}

func grpcHead(spec Spec) []byte {
	authority := spec.Host
	if authority == "" {
		authority = spec.Address
		if spec.Network == "unix" {
			authority = "localhost"
		}
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", grpcPath}, {":authority", escapeControls(authority)},
		{"te", "trailers"}, {"content-type", "application/grpc"}, {"user-agent", "sluice-health"},
		{"grpc-timeout", fmt.Sprintf("%dm", max(1, spec.Timeout.Milliseconds()))},
	} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return block.Bytes()
}

// grpcMessage is a HealthCheckRequest, whose field 1 is the name of the service, behind the five bytes that say that it is
// not compressed and how long it is.
func grpcMessage(service string) []byte {
	var msg []byte
	if service != "" {
		msg = append(msg, 1<<3|2) // field 1, length-delimited
		msg = appendVarint(msg, uint64(len(service)))
		msg = append(msg, service...)
	}
	n := len(msg)
	return append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, msg...)
}

func appendVarint(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// grpcAnswer is what came of the answer so far.
type grpcAnswer struct {
	http, code, drain string // of the head and the trailers; empty: not there
	body              []byte
}

func (g *grpcCheck) ask(conn net.Conn) (said, error) {
	if _, err := conn.Write(g.question); err != nil && !isReset(err) {
		return said{}, &phaseError{"answer", err}
	}
	watched := &watchedReader{Reader: conn}
	limited := &io.LimitedReader{R: watched, N: maxAnswer}
	fr := http2.NewFramer(conn, limited)
	fr.SetMaxReadFrameSize(maxFrame)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.MaxHeaderListSize = maxFrame
	var a grpcAnswer
	for {
		done, err := a.step(fr)
		switch {
		case err != nil && limited.N == 0:
			return said{}, errors.New("answer is too long")
		case err != nil && watched.err != nil && !errors.As(err, new(answerError)):
			return said{}, &phaseError{watched.missing(), watched.err}
		case err != nil:
			return said{}, err
		case done:
			return said{answered: true}, g.judge(a)
		}
	}
}

// answerError is the server's own refusal to answer.
type answerError string

func (e answerError) Error() string { return string(e) }

// step takes in one frame and reports whether the answer is complete.
func (a *grpcAnswer) step(fr *http2.Framer) (done bool, err error) {
	frame, err := fr.ReadFrame()
	if err != nil {
		return false, notHTTP2(err)
	}
	if frame.Header().StreamID > grpcStream {
		return false, answerError("answer is not gRPC")
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, fr.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		a.takeFields(f.Fields)
		return f.StreamEnded(), nil
	case *http2.DataFrame:
		if a.body = append(a.body, f.Data()...); len(a.body) > maxMessage {
			return false, answerError("answer is too long")
		}
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return false, answerError("the server refused the call: " + f.ErrCode.String())
	case *http2.GoAwayFrame:
		if f.LastStreamID < grpcStream {
			return false, answerError("the server takes no calls on a new connection: " + f.ErrCode.String())
		}
	}
	return false, nil
}

// notHTTP2 keeps an error of the connection as it is, and gives one of the framing the words of this package.
func notHTTP2(err error) error {
	var framing http2.ConnectionError
	var stream http2.StreamError
	if errors.Is(err, http2.ErrFrameTooLarge) || errors.As(err, &framing) || errors.As(err, &stream) {
		return answerError("answer is not gRPC")
	}
	return err
}

func (a *grpcAnswer) takeFields(fields []hpack.HeaderField) {
	for _, f := range fields {
		switch {
		case f.Name == ":status":
			a.http = f.Value
		case f.Name == "grpc-status":
			a.code = f.Value
		case strings.EqualFold(f.Name, drainField):
			a.drain = f.Value
		}
	}
}

// The statuses of a HealthCheckResponse, as grpc.health.v1 numbers them.
var servingNames = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

const serving = 1

// Codes of a gRPC call that mean something of their own to a check.
const (
	codeOK            = "0"
	codeNotFound      = "5"
	codeUnimplemented = "12"
)

func (g *grpcCheck) judge(a grpcAnswer) error {
	if g.spec.AskedDrain && isTrue(a.drain) {
		return errDraining
	}
	switch {
	case a.http != "200":
		return fmt.Errorf("HTTP status %s, want 200", printable(a.http, maxShown))
	case a.code == "":
		return errors.New("answer has no grpc-status")
	case a.code == codeNotFound:
		return fmt.Errorf("the server knows no service %q", g.spec.Service)
	case a.code == codeUnimplemented:
		return errors.New("the server has no grpc.health.v1.Health")
	case a.code != codeOK:
		return fmt.Errorf("grpc-status %s, want 0", printable(a.code, maxShown))
	}
	status, err := servingStatus(a.body)
	if err != nil || status == serving {
		return err
	}
	name := strconv.FormatUint(status, 10)
	if status < uint64(len(servingNames)) {
		name = servingNames[status]
	}
	return fmt.Errorf("status %s, want SERVING", name)
}

var errNotHealth = errors.New("answer is no HealthCheckResponse")

// servingStatus reads field 1 of a HealthCheckResponse, a varint; left out, it is 0. Other fields are passed over.
func servingStatus(body []byte) (status uint64, err error) {
	if len(body) < 5 || body[0] != 0 || uint32(len(body)-5) != uint32(body[1])<<24|uint32(body[2])<<16|uint32(body[3])<<8|uint32(body[4]) {
		return 0, errNotHealth
	}
	for msg := body[5:]; len(msg) > 0; {
		tag, rest, ok := varint(msg)
		if !ok {
			return 0, errNotHealth
		}
		value, rest, ok := fieldValue(tag&7, rest)
		if !ok {
			return 0, errNotHealth
		}
		if tag == 1<<3 {
			status = value
		}
		msg = rest
	}
	return status, nil
}

// fieldValue takes one value of that wire type off; only that of a varint is of use.
func fieldValue(wire uint64, b []byte) (value uint64, rest []byte, ok bool) {
	size := uint64(0)
	switch wire {
	case 0:
		return varint(b)
	case 1:
		size = 8
	case 2:
		if size, b, ok = varint(b); !ok {
			return 0, nil, false
		}
	case 5:
		size = 4
	default:
		return 0, nil, false
	}
	if size > uint64(len(b)) {
		return 0, nil, false
	}
	return 0, b[size:], true
}

func varint(b []byte) (v uint64, rest []byte, ok bool) {
	for i, c := range b {
		if i == 10 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[i+1:], true
		}
	}
	return 0, nil, false
}
