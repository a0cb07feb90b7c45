// Package reconcile follows what the API server has and keeps a [model.Model] of it:
// pods, services, endpoint slices, nodes and our own resources.
//
// Of each object only what the model needs is kept ([Follower]); what the API server's
// objects mean is decided here, in functions without a client. Changes are gathered for
// some tens of milliseconds, so that a rollout's burst costs each sidecar one response,
// and whoever serves sidecars is told whom they affect.
//
// Nothing is served before everything has been read once: a set of policies in part
// would be another policy.
package reconcile
