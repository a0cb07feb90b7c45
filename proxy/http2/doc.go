// Package http2 is an HTTP/2 engine for a proxy: as strict as package http1 about
// what it accepts, and as frugal about what it spends. Frames are read, and headers
// compressed, by golang.org/x/net; streams, flow control and what becomes of a
// message are decided here.
//
// It has both roles. A [Server] reads requests from a client and hands each to a
// handler as an [Exchange], in a goroutine of its own. A [ClientConn], one of a
// [Pool], carries requests of many clients on and brings their answers back.
// [Exchange.Forward] joins the two.
//
// # What is accepted
//
// RFC 9113 without its leniencies. Names are in lower case, values free of control
// bytes and of white space around them, pseudo-header fields come first and once.
// :authority and host, where both are there, agree. Fields that belong to a
// connection of HTTP/1.1 are refused, and a content-length is kept to the byte. The
// target is checked as that of HTTP/1.1 is. CONNECT needs to be allowed, but for
// WebSocket (RFC 8441). A malformed request is answered and its stream reset.
//
// # What is forwarded
//
// Fields end here or pass as in package http1; cookies that were split are joined.
// Both directions move at the same time, trailers and interim responses included,
// and codes of resets are passed on. What a client does not read, we do not read
// from the next hop beyond a window, and the other way round.
//
// # What it costs
//
// An exchange is carried by one goroutine, in both directions: it takes what has
// come from either side, gives it to the other as far as there is room, and waits.
// It allocates nothing once the tables of HPACK know its fields, and one string for
// each field that is new. What is ready together is written together, of one stream
// or of many: a call with a small answer is one system call on each side.
//
// # What it holds
//
// A stream holds limits.StreamWindow bytes in each direction at most, and 16 KiB of
// a request that may have to be sent again. All streams of a client's connection
// together hold limits.ConnectionWindow of their requests. The connection to a next
// hop has no such bound, on purpose: it is shared by many clients, and one that reads
// slowly must not hold up the others. So a client that reads nothing makes us hold
// limits.ConcurrentStreams times limits.StreamWindow of answers: 25 MiB by default,
// until limits.WriteTimeout ends its streams, or limits.StreamIdleTimeout those of
// gRPC, whose clients may take their time. A connection holds up to
// limits.WriteBuffer for each of what waits to be written and what is being written.
// An idle one holds about 8 KiB and the stack of the goroutine that reads.
//
// # What it does not do
//
// Priorities are ignored: who waits is served in turn. There is no push, and no
// upgrade from HTTP/1.1 (RFC 9113 §3.1 deprecates it). Flow-control windows do not
// grow with the bandwidth of the path.
package http2
