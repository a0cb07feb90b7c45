// Package proxy assembles the data plane: it starts what has to run, in order,
// and hands policies, identities and listeners to the packages below.
//
// # The life of a request
//
// A peer connects to an inbound listener (package inbound). The TLS handshake
// (packages hop, identity/mtls) leaves a verified SPIFFE ID or nothing. The
// protocol is settled by declaration or by the first bytes (package detect). An
// HTTP request is read by our own engine (package http1), its path brought into
// the one form that everybody reads (authz.NormalizePath), judged by the access
// policies (package enforce), inspected by the WAF if a policy asks for that
// (package inspect), and forwarded to the application over a pooled connection
// (packages forward, balance). What each stage found stands in one flow.Request,
// which the metrics and the access log read at the end.
//
// In the other direction the application connects to an outbound listener
// (package outbound), and its request goes to an endpoint of the destination
// over a pooled mesh hop, whose server has proved one of the expected
// identities.
//
// # Start and stop
//
// Identity first, then the first policy set, then the listeners, then ready. On
// the way down: not ready, listeners closed, connections drained, sources closed.
package proxy
