package issue

import "time"

// Bounds of the issuer. What a message may hold is bounded in package wire.
const (
	// maxConnections is how many connections are open at a time: two for each
	// of 5,000 workloads, at some 20 KiB each 200 MiB at worst.
	maxConnections = 10_000
	// maxPerAddress is how many of them are of one address: nodes of some
	// networks hide their pods, 250 at most, behind one.
	maxPerAddress = 1_000
	// maxHead is in bytes. A service account token has one to two KiB.
	maxHead = 16 << 10
	// maxToken is in bytes. Tokens grow with the names in them, which end at
	// 253 bytes each.
	maxToken = 8 << 10

	// handshakeAndHead bounds a handshake, and from there to the end of a
	// request's head.
	handshakeAndHead = 10 * time.Second
	// bodyTimeout is how long a request's body, of 16 KiB at most, may take.
	bodyTimeout = 10 * time.Second
	// answerTimeout is how long it may take to work on an issue and to send an
	// answer of 1 MiB at most.
	answerTimeout = 30 * time.Second
	// idleTimeout is how long a connection may wait for its next request. The
	// next poll follows the answer at once, so what is idle is abandoned.
	idleTimeout = 2 * time.Minute
	// reviewTimeout bounds one TokenReview; the API server answers within
	// milliseconds, or is overloaded.
	reviewTimeout = 5 * time.Second
	// pollTimeout is how long an unchanged bundle keeps a poll waiting: less
	// than the minute after which common firewalls forget a silent connection.
	pollTimeout = 50 * time.Second
	// shutdownTimeout is how long answers under way may take at the end.
	shutdownTimeout = 5 * time.Second

	// maxReviews is how many TokenReviews are under way at a time: at 5 ms
	// each this is 6,400 a second, and no more than a client's default burst
	// that the API server sees.
	maxReviews = 32
	// reviewWait is how long a request waits for its turn to be reviewed.
	reviewWait = 2 * time.Second

	// Issues per pod: one at its start, one after each half of a lifetime, and
	// some more because containers restart and attempts fail. A Deployment of
	// a thousand pods has one identity, so the identity itself is no measure.
	issueRate  = 1.0 / 20 // per second
	issueBurst = 10
	// Attempts per address: what is limited before anybody has been
	// authenticated. Nodes of some networks hide their pods behind one.
	addressRate  = 50.0 // per second
	addressBurst = 500
	// maxKeys is how many pods, or addresses, are remembered at about 200
	// bytes each. The one that was away for longest is forgotten first.
	maxKeys = 20_000
)
