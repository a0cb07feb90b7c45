// Package http1 is an HTTP/1.1 engine for a proxy that stands in front of
// payments: strict about what it accepts, frugal about what it spends.
//
// It has both roles. A [Server] reads requests from a client, one after the
// other, and hands each to a handler as an [Exchange]. A [Client] connection,
// kept in a [Pool], carries the request on and brings the answer back.
// [Exchange.Forward] joins the two.
//
// # What is accepted
//
// RFC 9112 without its leniencies. Lines end in CRLF. A field name is a token
// directly followed by a colon; a value holds no control bytes. There is one
// Content-Length or one "Transfer-Encoding: chunked", never both. There is one
// Host. Everything else is refused by name, because two parsers that disagree
// about where a message ends are a vulnerability (request smuggling).
//
// # What is forwarded
//
// The bytes of a field that nobody needs to change are copied as they came.
// Hop-by-hop fields end here (RFC 9110 §7.6.1). Chunked bodies are decoded and
// framed anew, so that no peculiarity of a chunk survives the hop.
//
// # What it costs
//
// A request without a body, or with a body that arrived together with its head,
// is carried by the one goroutine of its client connection: no goroutine is
// started, no timer is set in the steady state, and one string is allocated,
// the immutable copy of the head of which all facts of the request are
// substrings. Buffers are pooled; an idle client connection holds one of 4 KiB,
// an idle upstream connection none.
package http1
