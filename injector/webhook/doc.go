// Package webhook answers the API server, which asks for every new pod in a labelled
// namespace, and for every labelled one, what becomes of it. The answer is that of
// package mutate; here is what it takes to give it over HTTP, and to say it to the
// people who own the pod: an Event on its Deployment, a warning for whoever runs
// kubectl, a counter and a line in the log.
//
// The handler fails closed. What it can't read, and a namespace it can't look up, is
// an error of the call, upon which the API server refuses the pod; the webhook's
// selectors see to it that this can meet only those who asked for a sidecar.
//
// BUG: An API server that isn't told to (AdmissionConfiguration, kubeConfigFile)
// doesn't say who it is, so whoever reaches the port can ask as well. They learn
// which annotations a namespace has, and can make it write Events, which is why these
// are bounded and go only to owners that are there. The NetworkPolicy of the
// manifests lets nobody else reach the port where the network enforces it.
package webhook
