package inbound

// identityFields are the header lines that tell the application who calls. They
// are the same for every request of a connection. What a caller sends under
// these names never passes the HTTP engine.
//
// The first is one element of x-forwarded-client-cert as Envoy defines it. The
// values need no quotes: a SPIFFE ID holds none of the characters that do.
func (c *conn) identityFields() [][]byte {
	if !c.Flow.Peer.Authenticated() {
		return nil
	}
	return [][]byte{
		[]byte("x-forwarded-client-cert: By=" + c.Flow.Local.String() +
			";Hash=" + c.Flow.Peer.LeafHash() + ";URI=" + c.Flow.PeerID + "\r\n"),
		[]byte("x-outrider-peer: " + c.Flow.PeerID + "\r\n"),
	}
}
