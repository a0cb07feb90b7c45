// Package ads is the sidecar's end of what the control plane pushes: delta xDS over
// mutual TLS, with the documents of this workload and the destinations that it asks
// for.
//
// A [Client] keeps one stream open to one control plane, whose exact SPIFFE ID it
// knows. What arrives goes to a [Handler]; what that refuses is refused to the
// control plane, with its words, and what was held before stays held. A set of
// documents is handed over as a whole, never as a difference, so none can be in
// force by half.
//
// When the stream ends, another one is made after a pause that doubles, and it begins
// with what is held, by version: the control plane then sends the difference. While
// there is no stream nothing changes. A new SVID of our own makes a new connection,
// and bundles that don't vouch for the control plane any more end the present one.
//
// What a stream has said and has to say is the matter of a session, which does no I/O.
package ads
