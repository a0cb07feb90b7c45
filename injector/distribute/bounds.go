package distribute

import "time"

// MaxAsked is how many revisions another replica may be asked about at a time. Each is
// compared with what every connected sidecar has.
const MaxAsked = 200

const (
	// maxStreams is how many sidecars one replica serves. At some 60 KiB each
	// that is 1.2 GiB; a larger mesh has more replicas.
	maxStreams = 20_000
	// maxConnections bounds those that have not said who they are as well.
	maxConnections = maxStreams + 1000
	// maxPerAddress is how many connections are of one address: nodes of some networks
	// hide their pods, 250 at most with a connection or two each, behind one.
	maxPerAddress = 1000
	// maxStreamsOfConnection leaves room for one that is being replaced.
	maxStreamsOfConnection = 4

	// handshakeTimeout is how long TLS and the start of HTTP/2 may take, and
	// claimTimeout how long the first request after that. Thousands may come at
	// once after a restart, and a handshake costs a millisecond of processor.
	handshakeTimeout = 20 * time.Second
	claimTimeout     = 20 * time.Second
	// idleTimeout is how long a connection may be without a call. A sidecar's never is.
	idleTimeout = time.Minute
	// ackTimeout is how long a sidecar may take to answer a response, the time
	// of its compiling a rule set included.
	ackTimeout = 30 * time.Second
	// maxAge is when a stream is asked to come back, so that sidecars spread
	// anew over replicas; each stream draws its own from the upper half.
	maxAge = time.Hour
	// sweepInterval is how often that is looked after.
	sweepInterval = time.Second
	// keepAlive is how long a connection may be silent before it is asked
	// whether anybody is there, and keepAliveTimeout how long the answer may
	// take; a pod that is gone without a word is noticed after both.
	keepAlive        = 30 * time.Second
	keepAliveTimeout = 10 * time.Second
	// leastPing is how often a sidecar may ask the same.
	leastPing = 10 * time.Second

	// maxPerResponse bounds the destinations of one response; the rest comes
	// with the next.
	maxPerResponse = 256
	// requestsPerSecond is how many requests a sidecar may make in a second:
	// one for each response, and one for each connection to an unknown address,
	// of which it sends many at a time.
	requestsPerSecond = 200
	// maxDetail is how much of what a sidecar says about a refusal is kept.
	maxDetail = 1 << 10
	// maxCounts bounds the answer of another replica, in bytes: three reasons for each
	// revision, with what JSON does to them, are some 8 KiB.
	maxCounts = MaxAsked * 16 << 10
	// headerBytes bounds the fields of a call; gRPC has a handful.
	headerBytes = 8 << 10

	// bufferBytes is what a connection reads and writes at a time. Messages are
	// small; at gRPC's 32 KiB each way, buffers would be most of the memory.
	bufferBytes = 4 << 10
)
