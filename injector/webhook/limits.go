package webhook

import "time"

// Bounds of the webhook.
const (
	// maxReview is in bytes. The API server takes 3 MiB of an object at most, and
	// a review of a creation holds it once.
	maxReview = 4 << 20
	// maxHead is in bytes; the API server sends a few hundred.
	maxHead = 16 << 10
	// handshakeAndHead bounds a handshake, and from there to the end of a
	// request's head; bodyTimeout to that of its body; answerTimeout to the end
	// of the answer. The API server gives up after 10 s.
	handshakeAndHead = 5 * time.Second
	bodyTimeout      = 10 * time.Second
	answerTimeout    = 10 * time.Second
	// idleTimeout is how long the API server may keep an unused connection; it
	// keeps some for 90 s.
	idleTimeout = 2 * time.Minute
	// lookupTimeout bounds the question for a namespace.
	lookupTimeout = 5 * time.Second
	// maxConnections is how many are open at a time: one from each API server,
	// and some, since they multiplex (HTTP/2).
	maxConnections = 256
	// shutdownTimeout is how long answers under way may take at the end.
	shutdownTimeout = 10 * time.Second

	// maxWarning is in bytes: the API server cuts warnings above that.
	maxWarning = 256
	// maxMessage is in bytes: longer messages of Events are refused.
	maxMessage = 1024
	// maxEvents is how many Events wait to be written. What is beyond is
	// counted and dropped: they are for people, who have the log too.
	maxEvents = 256
	// eventTimeout bounds the writing of one.
	eventTimeout = 5 * time.Second
	// maxRemembered is how many Events are remembered so that they are not
	// written again, at about 50 bytes each.
	maxRemembered = 4096
)
