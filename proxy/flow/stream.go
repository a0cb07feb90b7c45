package flow

// A Class tells the requests that are streams from the others: what they carry may
// come for as long as both ends like. None of it is held back; inspection sees the
// head, and of a gRPC call the first message where a policy asks for it.
type Class uint8

// The classes; a closed set, as it labels a metric.
const (
	// NoStream: a request and an answer that both end.
	NoStream Class = iota
	// Upgrade: a connection of HTTP/1.1 that became another protocol's (101).
	Upgrade
	// Connect: a tunnel by the method CONNECT.
	Connect
	// ExtendedConnect: a WebSocket on a stream of HTTP/2 (RFC 8441).
	ExtendedConnect
	// EventStream: an answer of server-sent events, text/event-stream.
	EventStream
	// GRPC: a gRPC call, of whatever kind: no head tells a unary one from others.
	GRPC

	classCount
)

var classNames = [classCount]string{
	NoStream:        "-",
	Upgrade:         "upgrade",
	Connect:         "connect",
	ExtendedConnect: "extended_connect",
	EventStream:     "sse",
	GRPC:            "grpc",
}

// String returns the name used in logs and metrics; "-" for NoStream.
func (c Class) String() string {
	if c >= classCount {
		return "unknown"
	}
	return classNames[c]
}

// Classes returns every class, NoStream included.
func Classes() []Class {
	all := make([]Class, classCount)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}
