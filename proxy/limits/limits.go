// Package limits names every bound of the data plane, with its unit and the
// reason for its default. Nothing in the data plane reads, waits or queues
// without one of them.
package limits

import "time"

// Limits bounds one sidecar. The zero value is not usable: start from
// [Default] and override.
type Limits struct {
	// Connections is how many connections all listeners hold open together.
	Connections int
	// HeadBytes bounds a request or response head, first line included.
	HeadBytes int
	// TargetBytes bounds the request target.
	TargetBytes int
	// HeaderCount bounds the fields of a head, and of a trailer section.
	HeaderCount int
	// BodyBytes bounds a request body; 0 means unbounded.
	BodyBytes int64
	// TrailerBytes bounds a trailer section.
	TrailerBytes int
	// InterimResponses is how many 1xx responses may precede a final one.
	InterimResponses int

	// IdleTimeout is how long a client may hold an idle connection.
	IdleTimeout time.Duration
	// HeadTimeout is from the first byte of a head to its last.
	HeadTimeout time.Duration
	// BodyTimeout is how long a body may stand still.
	BodyTimeout time.Duration
	// WriteTimeout is how long a peer may refuse to take bytes.
	WriteTimeout time.Duration
	// HandshakeTimeout bounds a TLS handshake, both roles.
	HandshakeTimeout time.Duration
	// DetectTimeout bounds the wait for the first bytes of a connection whose
	// protocol is not declared.
	DetectTimeout time.Duration
	// LingerTimeout is how long a closed connection is still read from, so
	// that the last answer is not lost to a reset (RFC 9112 §9.6).
	LingerTimeout time.Duration
	// TCPIdleTimeout is how long an opaque connection may stand still.
	TCPIdleTimeout time.Duration

	// DetectPorts is of how many ports it is remembered what their connections
	// carry.
	DetectPorts int
	// CapturedPorts is for how many ports of the application, of one listener,
	// connections are kept that redirected requests can use again.
	CapturedPorts int
	// CaptureProbeTimeout is how long a connection that proves the redirection
	// may take.
	CaptureProbeTimeout time.Duration

	// FirstSetTimeout is how long a control plane that is there is waited for, before
	// policies of an earlier run are put into force.
	FirstSetTimeout time.Duration
	// Destinations is of how many addresses that the application calls it is known at
	// a time, from the control plane, who answers there.
	Destinations int
	// DestinationWait is how long a call waits for that to be known.
	DestinationWait time.Duration
	// DestinationRetry is how long calls don't wait after one has waited in vain, and
	// how long one waits while there is no control plane.
	DestinationRetry time.Duration
	// DestinationIdle is when an address that nobody calls is forgotten.
	DestinationIdle time.Duration

	// RateBuckets is for how many callers and routes, of all limits in access
	// policies together, calls are counted apart.
	RateBuckets int

	// InspectionWait is how long a request may wait for its turn to be
	// inspected.
	InspectionWait time.Duration
	// InspectionTimeout is how long an inspection may have taken when it comes
	// to its last and longest part, which cannot be stopped.
	InspectionTimeout time.Duration
	// InspectionBacklog is how many bytes of requests that are over and were not
	// held may be kept until inspection has looked at them, in the whole process.
	InspectionBacklog int

	// RecentRefusals is how many refusals are kept for whoever asks why.
	RecentRefusals int
	// RecentRefusalBytes is how many bytes their records may have together.
	RecentRefusalBytes int
	// Followers is how many people may follow the records of the access log at the
	// administration port at a time.
	Followers int
	// FollowerBytes is how many bytes of records each of them may be behind.
	FollowerBytes int

	// ConcurrentStreams is how many requests one HTTP/2 connection carries at a
	// time, in either role.
	ConcurrentStreams int
	// StreamWindow is how many bytes of a body an HTTP/2 peer may send that
	// nobody has taken yet, per stream.
	StreamWindow int
	// ConnectionWindow is the same for all streams of a client's connection
	// together.
	ConnectionWindow int
	// WriteBuffer is how many bytes of heads and bodies wait at a time for an
	// HTTP/2 peer that takes nothing.
	WriteBuffer int
	// HeadFrames is how many frames an HTTP/2 head may come in.
	HeadFrames int
	// StreamResets is how many requests an HTTP/2 client may call off in a row
	// that were not answered yet, or have us call off.
	StreamResets int
	// SharedStreamResets is the same for another sidecar, whose connection carries
	// the requests of many clients.
	SharedStreamResets int
	// StreamResetTime is how long a request must have been under way for calling it
	// off to be no sign of anything.
	StreamResetTime time.Duration
	// IdleFrames is how many frames an HTTP/2 peer may send in a row that ask
	// for work and carry nothing.
	IdleFrames int
	// StreamIdleTimeout is how long a gRPC call, an answer of server-sent events, or
	// a tunnel over HTTP/2 may stand still.
	StreamIdleTimeout time.Duration
	// PingInterval is how long an HTTP/2 connection with open streams is silent
	// before its other end is asked whether it is there.
	PingInterval time.Duration
	// PlainPingInterval is the same towards a server that is not one of us.
	PlainPingInterval time.Duration
	// PingTimeout is how long the answer to that may take.
	PingTimeout time.Duration

	// QUICIdleTimeout is how long a QUIC connection may be silent.
	QUICIdleTimeout time.Duration
	// QUICKeepAlive is how often a QUIC connection that has streams says
	// something.
	QUICKeepAlive time.Duration
	// QUICSilence is for how long a QUIC connection may send and hear nothing.
	QUICSilence time.Duration
	// QUICConnections is how many QUIC connections peers may have open.
	QUICConnections int
	// QUICSpread is how many streams a connection to a peer gets before another one
	// is made.
	QUICSpread int
	// QUICSpreadConnections is how many connections to a peer there are at most.
	QUICSpreadConnections int
	// QUICHandshakes is how many QUIC handshakes of peers may be under way; from a
	// quarter of that on they must first show that they are at their address.
	QUICHandshakes int
	// QUICStreams is how many streams a peer may have open on one connection.
	QUICStreams int
	// QUICStreamWindow is how many bytes a peer may send on one stream ahead of
	// what was read from it.
	QUICStreamWindow int
	// QUICConnectionWindow is the same for all streams of a connection
	// together.
	QUICConnectionWindow int

	// UpstreamConnectTimeout bounds the connect and the handshake to the next
	// hop together.
	UpstreamConnectTimeout time.Duration
	// UpstreamResponseTimeout is from the end of a request to the first byte
	// of its answer.
	UpstreamResponseTimeout time.Duration
	// RetryBodyBytes is the largest request body that is kept until it is answered,
	// where requests are sent again.
	RetryBodyBytes int64
	// UpstreamIdleTimeout is how long an unused connection is kept.
	UpstreamIdleTimeout time.Duration
	// UpstreamIdle is how many unused connections are kept per destination.
	UpstreamIdle int
	// UpstreamConnections is how many connections one destination may have.
	UpstreamConnections int
}

// Default returns the bounds used where the configuration names none.
func Default() Limits {
	return Limits{
		// At 20 KiB an idle mTLS connection this is 200 MiB at worst.
		Connections: 10_000,
		// Twice what nginx and Envoy's peers accept by default is not needed
		// inside a mesh; 32 KiB leaves room for large cookies and tokens.
		HeadBytes:        32 << 10,
		TargetBytes:      8 << 10, // RFC 9112 §3 asks for 8,000 at least
		HeaderCount:      100,     // as Apache and HAProxy
		BodyBytes:        0,       // uploads are the application's business
		TrailerBytes:     8 << 10,
		InterimResponses: 16, // a few 100 and 103; more is a loop

		IdleTimeout:      5 * time.Minute,
		HeadTimeout:      10 * time.Second, // slowloris
		BodyTimeout:      30 * time.Second,
		WriteTimeout:     30 * time.Second,
		HandshakeTimeout: 10 * time.Second,
		// Server-speaks-first protocols wait this long, once a connection.
		DetectTimeout:  100 * time.Millisecond,
		LingerTimeout:  2 * time.Second,
		TCPIdleTimeout: time.Hour,

		// At some 100 bytes a port; more than a workload has or calls. What is
		// forgotten is looked at again.
		DetectPorts: 1024,
		// A pod serves a handful; at about 1 KiB each, unused.
		CapturedPorts: 64,
		// It stays on this machine, where it takes less than a millisecond.
		CaptureProbeTimeout: 2 * time.Second,

		// It compiles no policies on the way; what is later than that has stopped.
		FirstSetTimeout: 10 * time.Second,
		// At 1 KiB, and 2 for each endpoint; more than one workload calls. A
		// scan of addresses pushes out those that are idle.
		Destinations: 1024,
		// An answer takes a round trip; a control plane that restarts, seconds.
		DestinationWait: 5 * time.Second, DestinationRetry: time.Second,
		// What is called again is asked for again, at the price of a round trip.
		DestinationIdle: 10 * time.Minute,

		// At some 200 bytes each 2 MiB at worst; ten times the peers that metrics
		// tell apart, and more than call one workload.
		RateBuckets: 10_000,

		// Long enough for a burst, and for a processor that is taken away for some
		// periods of its quota; far below a client's patience, so that an overload is
		// answered. The backlog is some hundreds of requests with 16 KiB of body each:
		// more than are looked at while one waits for its turn.
		InspectionWait: time.Second, InspectionTimeout: time.Second, InspectionBacklog: 8 << 20,

		// A record has 500 to 800 bytes as a rule: half an hour at one refusal in
		// five seconds, and nothing beside the budget of 15 MiB.
		RecentRefusals:     512,
		RecentRefusalBytes: 256 << 10,
		// People, not collectors: those read the log. At 1,000 requests a second a
		// follower may stand still for a third of a second before it loses records.
		Followers: 4, FollowerBytes: 256 << 10,

		// RFC 9113 §5.1.2 asks for 100 at least, and common clients open a
		// second connection beyond.
		ConcurrentStreams: 100,
		// What keeps 1 Gbit/s busy over a round trip of 2 ms.
		StreamWindow:     256 << 10,
		ConnectionWindow: 1 << 20,
		// Four full frames: enough for one system call, little enough to wait.
		WriteBuffer: 64 << 10,
		// HeadBytes fit three full frames; few clients cut finer.
		HeadFrames: 16,
		// Calling off is part of gRPC; a whole connection's worth at once is
		// not, and each one called off at once costs a round trip (CVE-2023-44487).
		StreamResets: 100,
		// A sidecar bounds each of its clients by itself. Ten that end with all of
		// their streams open must not take the calls of the others with them.
		SharedStreamResets: 1000,
		// Calls that wait for a slow application end at their deadlines, often all
		// at once. An attack that holds each request for as long is a slow one.
		StreamResetTime: time.Second,
		IdleFrames:      1000, // as nghttp2, Envoy and HAProxy
		// Streams that wait for events are silent for long; whether anybody is
		// there is what pings tell.
		StreamIdleTimeout: time.Hour,
		PingInterval:      30 * time.Second,
		// gRPC servers hang up on clients that ask more often than every 5 min.
		PlainPingInterval: 330 * time.Second,
		PingTimeout:       15 * time.Second,

		// As behind most NATs and firewalls, where UDP is forgotten after 30 s.
		QUICIdleTimeout: 30 * time.Second,
		QUICKeepAlive:   5 * time.Second,
		// Whatever needs an answer was sent five times by then, over a round trip of
		// 100 ms; long before a caller's patience ends.
		QUICSilence: 3 * time.Second,
		// One for each replica of each caller, and some for those that are busy; idle,
		// some 60 KiB each.
		QUICConnections: 4096,
		// Measured with 256 KiB answers at 1 % loss, 20 ms and 21 Mbit/s, p99: with one
		// connection 4.6 s, 8 streams on each 1.7 s, with two 0.8 s; each more costs
		// processor time for every packet that could have been shared.
		QUICSpread: 2, QUICSpreadConnections: 8,
		// Before it is accepted a handshake costs us a signature and holds some
		// 30 KiB, for a few seconds.
		QUICHandshakes: 256,
		// As many as one sidecar's pool of TCP connections to a destination.
		QUICStreams: 1024,
		// 1 MiB in flight is 80 Mbit/s at 100 ms; what a stream does not read
		// is not kept for more than that.
		QUICStreamWindow:     1 << 20,
		QUICConnectionWindow: 4 << 20,

		UpstreamConnectTimeout:  5 * time.Second,
		UpstreamResponseTimeout: 60 * time.Second,
		RetryBodyBytes:          64 << 10,
		// Below the keep-alive of common application servers (Node 5 s is the
		// exception and is met by stale detection), so that we close first.
		UpstreamIdleTimeout: 30 * time.Second,
		UpstreamIdle:        64,
		UpstreamConnections: 1024,
	}
}
