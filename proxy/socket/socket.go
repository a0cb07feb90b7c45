// Package socket makes TCP connections whose reads and writes cost one system
// call and as little else as possible.
//
// The Go runtime treats every system call as one that may block: it lets go of
// the processor before and takes it back after, and its monitor, seeing a
// processor in a system call for more than 20 µs, hands it to another thread. On
// a busy machine the kernel's own work inside of a send takes that long often
// enough that a proxy spends a fifth of its time in waking threads. A call on a
// non-blocking socket cannot block, so here it is made without telling the
// scheduler. Waiting is left to the runtime's poller, as everywhere, and so are
// deadlines and closing.
package socket

import (
	"errors"
	"net"
)

// Wrap returns a connection that behaves as nc and costs less, or nc itself where
// nothing can be gained. The result is for one reader and one writer at a time,
// as the connections of a proxy are.
func Wrap(nc net.Conn) net.Conn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		return wrapTCP(tcp)
	}
	return nc
}

// Abort closes nc from the inside: what wraps the connection, such as TLS, says
// no orderly goodbye (RFC 8446 §6.1), and TCP resets, so that a stream that was
// cut off does not look complete. It may be called from any goroutine, and on a
// closed connection.
func Abort(nc net.Conn) {
	for {
		outer, ok := nc.(wrapper)
		if !ok {
			break
		}
		nc = outer.NetConn()
	}
	if tcp, ok := nc.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // it may be closed already, as below
	}
	_ = nc.Close()
}

// wrapper is a connection around another one, as *tls.Conn is.
type wrapper interface{ NetConn() net.Conn }

// CloseWrite ends the sending side: on TLS first with close_notify, then that of
// the TCP connection below it.
func CloseWrite(nc net.Conn) error {
	w, ok := nc.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	if err := w.CloseWrite(); err != nil {
		return err
	}
	if outer, ok := nc.(wrapper); ok {
		return CloseWrite(outer.NetConn())
	}
	return nil
}
