// Package wire has the messages of delta xDS that a sidecar sends and reads, of
// envoy/service/discovery/v3/discovery.proto, encoded by hand.
//
// go-control-plane has all of xDS, but linking two of its messages brings some hundred
// others, registered when the program starts: 1 MiB of program and 2.5 MiB of memory,
// a sixth of what an idle sidecar may have. What is here is compared with them in
// tests.
//
// What is read is held to the bounds of package push. A field that is not known here
// is skipped, as protocol buffers have it: the control plane may be newer.
package wire
