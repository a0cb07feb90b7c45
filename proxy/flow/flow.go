// Package flow holds what is known of a connection and of a request. Every
// stage adds its facts to the one value that passes through all of them, and
// the access log and the metrics read them once at the end.
//
// It is vocabulary: it holds no behaviour beyond naming its values.
package flow

import (
	"net/netip"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/identity"
)

// Direction is seen from the workload that the sidecar serves.
type Direction uint8

// The two directions; they differ in whom the sidecar trusts.
const (
	// Inbound: a peer calls our application.
	Inbound Direction = iota + 1
	// Outbound: our application calls a peer.
	Outbound
)

// String returns the name used in logs and metrics.
func (d Direction) String() string {
	switch d {
	case Inbound:
		return "inbound"
	case Outbound:
		return "outbound"
	}
	return "unknown"
}

// Protocol is what a connection carries inside of TLS.
type Protocol uint8

// The protocols an Outrider can tell apart.
const (
	// Undetected: not decided yet.
	Undetected Protocol = iota
	// HTTP1 is HTTP/1.0 or HTTP/1.1.
	HTTP1
	// HTTP2 is HTTP/2, gRPC included.
	HTTP2
	// TCP is opaque bytes.
	TCP
)

// String returns the name used in logs and metrics; "unknown" for Undetected.
func (p Protocol) String() string {
	switch p {
	case HTTP1:
		return "http1"
	case HTTP2:
		return "http2"
	case TCP:
		return "tcp"
	case Undetected:
	}
	return "unknown"
}

// IsHTTP tells whether requests are read and judged one by one.
func (p Protocol) IsHTTP() bool { return p == HTTP1 || p == HTTP2 }

// Security is how the mesh side of the connection is protected.
type Security uint8

// The securities of a connection.
const (
	// Plaintext: no TLS, so no identity.
	Plaintext Security = iota
	// MutualTLS: both ends proved a SPIFFE ID.
	MutualTLS
)

// String returns the name used in logs and metrics.
func (s Security) String() string {
	switch s {
	case Plaintext:
		return "plaintext"
	case MutualTLS:
		return "mutual_tls"
	}
	return "unknown"
}

// A Connection is what is known of one accepted connection.
type Connection struct {
	// ID is unique within the process, from 1.
	ID        uint64
	Direction Direction
	// Listener is the configured name of the listener that accepted it.
	Listener string
	// Opened is when it was accepted.
	Opened time.Time
	// Remote is the address of whoever connected to us.
	Remote netip.AddrPort
	// Destination is where it goes: the application's address inbound, the
	// chosen endpoint outbound. Its port is the one policies speak of.
	Destination netip.AddrPort
	// Original is where a captured connection was going before the kernel
	// redirected it; zero for one that was made to a listener by its address.
	Original netip.AddrPort
	// Passthrough tells that it goes to a destination that nobody configured:
	// in plaintext, and to whoever answers.
	Passthrough bool
	// QUIC tells that the mesh hop is a stream of a QUIC connection, and not TCP.
	QUIC bool
	// Service is the configured destination name; outbound only.
	Service  string
	Security Security
	Protocol Protocol
	// Local is our own SPIFFE ID at the time of the handshake.
	Local spiffeid.ID
	// Peer is the verified other end of the mesh hop: the caller inbound, the
	// server outbound. Zero for plaintext.
	Peer identity.Peer
	// PeerID is Peer.ID as a string, made once; empty for plaintext.
	PeerID string

	// What follows is filled for an opaque connection; an HTTP connection
	// keeps its outcome per request.
	Decision authz.Decision
	Refusal  Refusal
	// DecisionID names this outcome where the other end was told of it; empty
	// until then.
	DecisionID string
	// Received and Sent count bytes from and to Remote, without TLS framing.
	Received, Sent int64
	Times          Times
}

// A Header gives read access to the fields of a head, in order of arrival.
type Header interface {
	// Get returns the value of the first field of that lower-case name.
	Get(name string) (value string, ok bool)
	// Each calls yield with every field until it returns false. Names are as
	// they came on the wire.
	Each(yield func(name, value string) bool)
}

// A Request is what is known of one HTTP request, whatever version carried it.
// The value is reused for the next request of its connection: who needs it
// longer copies.
type Request struct {
	Conn *Connection
	// Started is when the first byte of the head was read.
	Started time.Time
	Method  string
	// Target is the request target as it came, query included.
	Target string
	// Path is the normalised path, without query: what policies match and
	// what is forwarded.
	Path string
	// Query is what follows the first '?', without it.
	Query string
	// Host is the authority as the client sent it.
	Host   string
	Header Header
	// Proto is "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0".
	Proto string
	// GRPC tells that the request is a gRPC call.
	GRPC bool

	Decision   authz.Decision
	Inspection Inspection
	Refusal    Refusal
	// DecisionID names this outcome in logs and answers; empty until a
	// refusal or the access log asks for one.
	DecisionID string

	// Status is the status sent to the client; 0 when none was.
	Status int
	// Received and Sent count body bytes from and to the client.
	Received, Sent int64
	// Upstream is the endpoint that served the request, zero when none did.
	Upstream netip.AddrPort
	// Retried tells that the request was sent a second time on a fresh
	// connection.
	Retried bool
	// Upgraded tells that the connection became a tunnel (status 101).
	Upgraded bool
	// Stream is the kind of stream that it turned out to be; known at the end.
	Stream Class
	// Trace is the traceparent that was forwarded.
	Trace string
	Times Times
}

// Times are how long the stages took; zero where one did not run.
type Times struct {
	// TLS is the handshake; connections only.
	TLS       time.Duration
	Authorize time.Duration
	Inspect   time.Duration
	// Connect is the time to get an upstream connection, pooled or new.
	Connect time.Duration
	// FirstByte is from the forwarded head to the first byte of the answer.
	FirstByte time.Duration
	// Total is from the first byte of the request to the last of the answer.
	Total time.Duration
}
