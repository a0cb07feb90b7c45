// Package kube is how the kubectl plugin asks an API server, and through it pods. It
// reads with the rights of whoever runs the plugin, and writes nothing.
//
// It asks with plain GET requests: a client library's typed clients would more than
// double the program, and read answers of any length. Every answer here has a bound,
// and every question a deadline.
package kube
