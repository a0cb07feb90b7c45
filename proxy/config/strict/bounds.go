package strict

const (
	// MaxBytes bounds one file. A Kubernetes object is at most 1.5 MiB in etcd
	// and a ConfigMap 1 MiB, so more can't arrive by the usual ways.
	MaxBytes = 1 << 20
	// maxDocuments bounds the documents of one file.
	maxDocuments = 1000
	// maxDepth bounds nesting; our deepest document nests 8 levels.
	maxDepth = 32
	// maxProblems bounds what one file reports; nobody reads more.
	maxProblems = 200
	// maxQuoted bounds how much of a foreign value a message repeats, in bytes.
	maxQuoted = 80
)
