package push

const (
	// MaxNameBytes bounds the name of a resource: a kind and two names of 253
	// bytes, as Kubernetes has them, and what is between.
	MaxNameBytes = 600
	// MaxDestinationBytes bounds a destination. At 24 bytes an endpoint this is
	// more of them than one service can sensibly have.
	MaxDestinationBytes = 1 << 20
	// MaxEndpoints bounds the endpoints of a destination.
	MaxEndpoints = 20_000
	// MaxDocuments bounds the documents of one workload; a directory of policies
	// has the same bounds.
	MaxDocuments = 1000
	// MaxDocumentBytes bounds them together.
	MaxDocumentBytes = 16 << 20
	// MaxDestinations is how many destinations a sidecar may ask for at a time.
	MaxDestinations = 4096
	// MaxNodeBytes bounds what a sidecar says about itself: a few names.
	MaxNodeBytes = 4 << 10
	// MaxRequestBytes bounds a message to the control plane. The largest is the
	// first of a stream, which names and versions all that is held.
	MaxRequestBytes = 1 << 20
	// MaxResponseBytes bounds a message to a sidecar: all documents at once.
	MaxResponseBytes = MaxDocumentBytes + 1<<20
)
