package feed

import "time"

const (
	// maxFiles and maxBytes bound one set of documents. A sidecar gets the
	// documents of its own workload; a thousand files are for people who
	// mount those of a whole cluster.
	maxFiles = 1000
	maxBytes = 16 << 20
	// maxEntries bounds the directory itself, other files included.
	maxEntries = 10 * maxFiles
	// maxLogged bounds the warnings of one set that are logged.
	maxLogged = 20

	// defaultInterval is how late a change is noticed that nobody announced.
	defaultInterval = 10 * time.Second
	// debounce lets the changes that belong together arrive: an editor makes
	// several within a millisecond, the kubelet's swap makes five.
	debounce = 50 * time.Millisecond
	// settle is between the two reads that have to agree.
	settle = 50 * time.Millisecond
	// maxReads is how often a state is read in the hope that it settles.
	maxReads = 20
)
