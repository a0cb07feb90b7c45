package quic

import quicgo "github.com/quic-go/quic-go"

// CONNECTION_CLOSE takes with it whatever has arrived and was not read yet, and
// overtakes what is to be sent again. So neither end closes a connection because it has
// nothing more to do on it: they say farewell first, each by the one stream of its own
// that it may open in one direction, which carries nothing.
//
//   - A server that drains says that it takes no further streams. The client opens the
//     next one elsewhere.
//   - A client that will open no further streams, and has read and closed those that it
//     had, says so. The server closes the connection when it has read them too.

// sayFarewell is false if the other end is gone.
func sayFarewell(qc *quicgo.Conn) bool {
	qs, err := qc.OpenUniStream()
	return err == nil && qs.Close() == nil
}

// awaitFarewell returns when the other end has said it; false if the connection has
// ended instead.
func awaitFarewell(qc *quicgo.Conn) bool {
	_, err := qc.AcceptUniStream(qc.Context())
	return err == nil
}
