package wire

import "time"

// Bounds of what a peer may send, and for how long.
const (
	// maxAnswer bounds one answer, in bytes, interim ones included. Who stands
	// behind a WAF may send long pages, but no verdict is in them.
	maxAnswer = 16 << 20
	// maxInterim bounds interim answers to one request: a few 100 and 103.
	maxInterim = 16
	// defaultTimeout bounds making a connection, and one request with its answer.
	defaultTimeout = 10 * time.Second
)
