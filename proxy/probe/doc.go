// Package probe asks the application whether it is well, for whoever may not ask
// it directly. The kubelet's probes over the network come in plaintext and without
// an identity, so a sidecar with strict mutual TLS refuses them; an injected pod has
// them sent to the sidecar's health port, and this package behind it.
//
// It is no proxy: what may be asked is fixed by the configuration, port, path and
// header fields, and nothing of the request is passed on. Nothing of the answer is
// passed back either, but that it was good or what was wrong. It asks at the address
// at which the probe came in, as the kubelet would have: an application that does
// not listen there was never well.
package probe
