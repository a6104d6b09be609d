package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/miekg/dns"
)

// udpSize is how large an answer over UDP may be: what fits into any path without fragments, as resolvers agreed in 2020
// (DNS flag day). Longer ones come over TCP.
const udpSize = 1232

// exchange asks the servers in turn until one can say. That there is no such name is an answer too.
func (l *lookup) exchange(name string, kind uint16) (*dns.Msg, error) {
	var trouble error
	for range max(1, l.attempts) {
		for _, server := range l.servers {
			msg, err := l.askServer(server, name, kind)
			if err == nil {
				l.from = server
				return msg, nil
			}
			if l.ctx.Err() != nil {
				return nil, l.ended(trouble)
			}
			trouble = err
		}
	}
	return nil, trouble
}

// ended is why a lookup stops whose time is over. Whoever called it off needs no words.
func (l *lookup) ended(trouble error) error {
	if trouble != nil && errors.Is(l.ctx.Err(), context.DeadlineExceeded) {
		return trouble
	}
	return &Failure{What: "the lookup took longer than " + longest.String()}
}

// askServer asks one server: over UDP, and over TCP where the answer does not fit. A part of an answer is none: the
// addresses that it lacks would be taken for gone.
func (l *lookup) askServer(server, name string, kind uint16) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(name, kind)
	q.SetEdns0(udpSize, false)
	msg, err := l.send("udp", server, q)
	if err == nil && (msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented) {
		q.Extra = nil // a server that is older than EDNS (RFC 6891 §7)
		msg, err = l.send("udp", server, q)
	}
	if err == nil && msg.Truncated {
		msg, err = l.send("tcp", server, q)
	}
	switch {
	case err != nil:
		return nil, failureOf(server, err, l.timeout)
	case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
		return nil, &Failure{What: dns.RcodeToString[msg.Rcode] + " from " + server}
	case msg.Truncated:
		return nil, &Failure{What: "half an answer from " + server}
	case lame(msg):
		return nil, &Failure{What: server + " knows nothing of it and asks nobody"}
	}
	return msg, nil
}

// lame is the answer of a server that points to others. It says nothing about the name.
func lame(msg *dns.Msg) bool {
	return msg.Rcode == dns.RcodeSuccess && len(msg.Answer) == 0 && !msg.Authoritative && !msg.RecursionAvailable && len(msg.Ns) > 0
}

func failureOf(server string, err error, timeout time.Duration) error {
	var refused *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{What: fmt.Sprintf("no answer from %s within %s", server, timeout)}
	case errors.As(err, &refused):
		return &Failure{What: fmt.Sprintf("no answer from %s: %v", server, refused.Err)}
	}
	return &Failure{What: fmt.Sprintf("no answer from %s that can be read: %v", server, err)}
}

// send asks on a socket of its own, so that each question has a new port as well as a new id: both have to be guessed by
// who would forge an answer (RFC 5452 §9).
func (l *lookup) send(network, server string, q *dns.Msg) (*dns.Msg, error) {
	q.Id = dns.Id()
	deadline := time.Now().Add(l.timeout)
	ctx, cancel := context.WithDeadline(l.ctx, deadline)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(l.ctx, func() { nc.Close() })()
	nc.SetDeadline(deadline)
	conn := &dns.Conn{Conn: nc, UDPSize: dns.MaxMsgSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	return receive(conn, q, network == "udp")
}

// receive returns the answer to q. Over UDP anything else that comes is passed over: it may be forged, and the true
// answer still on its way.
func receive(conn *dns.Conn, q *dns.Msg, passOver bool) (*dns.Msg, error) {
	for {
		msg, err := conn.ReadMsg()
		var broken net.Error
		switch {
		case errors.As(err, &broken):
			return nil, err
		case err == nil && answers(msg, q):
			return msg, nil
		case passOver:
		case err != nil:
			return nil, err
		default:
			return nil, errors.New("it answers something else")
		}
	}
}

// answers reports whether msg is about q. A server that could not read the question need not repeat it.
func answers(msg, q *dns.Msg) bool {
	if msg.Id != q.Id || !msg.Response || msg.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(msg.Question) == 0 {
		return msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented
	}
	got, want := msg.Question[0], q.Question[0]
	return len(msg.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass &&
		dns.CanonicalName(got.Name) == dns.CanonicalName(want.Name)
}
