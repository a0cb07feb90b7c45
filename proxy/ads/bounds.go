package ads

import "time"

const (
	// dialTimeout is for the name and the connection; handshakeTimeout for TLS, with
	// a control plane that thousands come back to at the same time.
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 20 * time.Second
	// admitTimeout is how long the control plane may take to believe who we are. It
	// asks its own memory, so it is the network's time.
	admitTimeout = 20 * time.Second
	// sendTimeout is how long it may take no request from us.
	sendTimeout = 30 * time.Second
	// keepAlive is how long a stream may be silent before it is asked whether anybody
	// is there, and keepAliveTimeout how long the answer may take. The control plane
	// hangs up on who asks more often than every 10 s.
	keepAlive        = 30 * time.Second
	keepAliveTimeout = 10 * time.Second

	// minPause and maxPause bound the pause between attempts, which doubles. Each is
	// drawn from its half to one and a half of it, so that those who lost their
	// control plane together don't come back together. The upper one is 170 attempts
	// a second of 5,000 sidecars.
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second

	// requestInterval is the least time between two requests for destinations, so
	// that an application which opens a thousand connections at once makes some
	// dozens of requests of it and not a thousand: the control plane hangs up on more
	// than 200 in a second.
	requestInterval = 15 * time.Millisecond
	// maxUnanswered is how many responses may wait for our answer. The control plane
	// sends one of each type at a time.
	maxUnanswered = 16
	// maxRefusal is how much of a reason for a refusal is sent, in bytes. The control
	// plane keeps as much of it.
	maxRefusal = 1 << 10
	// headerBytes bounds the fields of the answer; gRPC has a handful.
	headerBytes = 8 << 10
	// bufferBytes is what the connection reads and writes at a time, and windowBytes
	// what may be under way. Messages are small; at gRPC's 32 KiB each way buffers
	// would be most of the memory.
	bufferBytes = 4 << 10
	windowBytes = 64 << 10
)
