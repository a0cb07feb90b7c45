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

import "net"

// Wrap returns a connection that behaves as nc and costs less, or nc itself where
// nothing can be gained. The result is for one reader and one writer at a time,
// as the connections of a proxy are.
func Wrap(nc net.Conn) net.Conn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		return wrapTCP(tcp)
	}
	return nc
}
