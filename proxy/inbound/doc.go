// Package inbound serves the calls of peers to the application.
//
// The order of the stages is written once: for a connection in
// [Listener].serve and for a request in conn.request. Nothing is forwarded that
// has not passed all of them, and no path ends without an answer, a close, or a
// refusal that is written down.
package inbound
