// Package kubetest is an API server for tests, faked at the wire: objects that were
// written down, read by paths and selectors, and ports of pods behind port-forward
// over WebSockets or SPDY. It knows no writing.
//
// A cluster is a directory: cluster.yaml has its objects, and
// pods/NAMESPACE/NAME/PORT/PATH is what a GET of PATH at that port of that pod is
// answered. A port without a directory can't be reached.
// pods/NAMESPACE/NAME/CONTAINER.log is a log.
package kubetest
