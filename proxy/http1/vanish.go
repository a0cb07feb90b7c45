package http1

import (
	"syscall"

	"github.com/outrider-mesh/outrider/proxy/socket"
)

// A client that goes away while its request is carried is not noticed by reading:
// between the request and the answer nobody reads from it. Nor should each
// request pay for a second goroutine that does. So somebody outside asks now and
// then, once for all connections, and only the kernel is consulted.

// carry notes the connection that an exchange is under way on, nil for none, and
// tells whether the client was found gone since the call before.
func (c *ServerConn) carry(up *ClientConn) (gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carrier = up
	gone, c.gone = c.gone, false
	return gone
}

// AbandonIfGone cuts the exchange under way off if the client has closed its
// connection: nobody waits for the answer any more, and the next hop should not
// work for it. A client that closes only its sending side counts as gone, as with
// other proxies. It may be called from any goroutine.
func (c *ServerConn) AbandonIfGone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier == nil || c.gone || !peerClosed(rawConn(c.net)) {
		return
	}
	c.gone = true
	socket.Abort(c.carrier.net) // under the lock, so the exchange cannot have let go of it
}

// peerClosed tells whether the other end has closed; false where that cannot be
// told.
func peerClosed(raw syscall.RawConn) bool {
	if raw == nil {
		return false
	}
	closed := false
	if err := raw.Control(func(fd uintptr) { closed = finReceived(fd) }); err != nil {
		return true // our end is closed
	}
	return closed
}
