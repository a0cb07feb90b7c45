package kube

import "time"

const (
	// askTimeout is for one answer of the API server, which pages what is long.
	askTimeout = 30 * time.Second
	// maxAnswer, in bytes, bounds one answer. A page of 250 pods has 5 MiB at most
	// where pods are of 20 KiB, which is large.
	maxAnswer = 32 << 20
	// page is how many objects are asked for at a time.
	page = 250
	// maxObjects bounds a list: more than the pods of most clusters. Beyond, people
	// are asked to name a namespace.
	maxObjects = 20_000
	// logLines and logBytes bound what is read of a log: what happened last is what
	// counts.
	logLines = 1000
	logBytes = 1 << 20
	// dialTimeout bounds reaching a pod's port through API server and kubelet.
	dialTimeout = 10 * time.Second
	// maxComplaint, in bytes, bounds what is read of why a port can't be reached.
	maxComplaint = 4 << 10
	// complaintWait is how long that may take to arrive once a connection has ended.
	complaintWait = time.Second
)
