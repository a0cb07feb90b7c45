package authz

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A Header gives read access to the fields of a request head.
type Header interface {
	// Each calls yield with every field, in order of arrival, until yield
	// returns false. Names may be in any case.
	Each(yield func(name, value string) bool)
}

// A Request is the facts that one decision rests on. What is left zero is not
// known, and what is not known counts against the caller: an Allow that asks
// for it does not match, a Deny that asks for it does. The exceptions are Peer and
// ServerName, whose absence is itself a fact.
type Request struct {
	// Peer is the verified SPIFFE ID of the caller; zero when it has none.
	Peer spiffeid.ID
	// Source is the address of whoever opened the connection.
	Source netip.Addr
	// Port is the workload's own port that is called.
	Port uint16
	// Destination is the workload's own address that is called.
	Destination netip.Addr
	// ServerName is the SNI of the caller's handshake; empty when it sent none.
	ServerName string
	// Listener is the name of the listener that took the connection.
	Listener string
	// Transport is "tcp" or "quic".
	Transport string

	// HTTP tells that the fields below are known. It is false for a connection
	// that carries opaque bytes.
	HTTP bool
	// Method is case-sensitive.
	Method string
	// Host is the authority as the client sent it, with or without a port;
	// empty when it sent none (HTTP/1.0).
	Host string
	// Path is what NormalizePath returned, or "*".
	Path string
	// Header is the request's; nil when it is not known.
	Header Header
}

// l7 says what is known of the facts that only HTTP has.
type l7 uint8

const (
	// l7Known: they are in the request.
	l7Known l7 = iota
	// l7Never: there are none, or the request lacks them.
	l7Never
	// l7Later: the connection is HTTP and its requests will bring them.
	l7Later
)

// facts are a request, taken apart once for all the rules.
type facts struct {
	req *Request
	l7  l7
	// id is the peer's SPIFFE ID, domain and path its halves; empty without one.
	id, domain, path string
	// namespace is that of a Kubernetes service account's ID, else empty.
	namespace string
	// ownDomain tells that the peer is of the workload's own trust domain.
	ownDomain bool
	// source and destination are without zone, and IPv4 where they can be.
	source, destination netip.Addr
	// host is without port and final dot, hostPort the port alone. hostKnown is
	// false when the request's host is no host at all.
	host, hostPort string
	hostKnown      bool
	// escaped tells that the request's path holds percent-encodings.
	escaped bool
	probes  *sync.Pool
}

func (s *Set) facts(r *Request, known l7) facts {
	f := facts{req: r, l7: known, probes: s.probes, source: r.Source.Unmap().WithZone(""), destination: r.Destination.Unmap().WithZone("")}
	if !r.Peer.IsZero() {
		f.id, f.domain, f.path = r.Peer.String(), r.Peer.TrustDomain().Name(), r.Peer.Path()
		f.namespace = namespaceOf(f.path)
		f.ownDomain = f.domain == s.trustDomain
	}
	if known == l7Known {
		f.host, f.hostPort, f.hostKnown = splitHost(r.Host)
		f.escaped = strings.IndexByte(r.Path, '%') >= 0
	}
	return f
}

// decided returns what a decision about the request itself may rely on.
func (r *Request) decided() l7 {
	if r.HTTP && r.Method != "" && r.Path != "" {
		return l7Known
	}
	return l7Never
}

// namespaceOf returns the namespace in /ns/NAMESPACE/sa/NAME, and nothing for a
// path of any other form.
func namespaceOf(path string) string {
	rest, ok := strings.CutPrefix(path, "/ns/")
	if !ok {
		return ""
	}
	namespace, rest, _ := strings.Cut(rest, "/")
	account, ok := strings.CutPrefix(rest, "sa/")
	if !ok || strings.Contains(account, "/") {
		return ""
	}
	return namespace
}

// splitHost takes an authority apart. The final dot of an absolute name goes,
// for "a.example." and "a.example" are the same host. It is false for what
// cannot be compared as a host: user information, escapes, a port that is no
// number, an address without its brackets.
func splitHost(authority string) (host, port string, ok bool) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	host = strings.TrimSuffix(host, ".")
	literal := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	for i := range len(host) {
		if c := host[i]; !hostByte(c) && (!literal || c != ':' && c != '[' && c != ']') {
			return host, port, false
		}
	}
	return host, port, strings.Trim(port, "0123456789") == "" && !strings.HasSuffix(host, ".")
}

// hostByte tells whether a name may hold the byte: RFC 3986 reg-name, without
// escapes and delimiters.
func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}
