package capture

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// MarkCall marks a socket as one on which the sidecar calls somebody for the
// application. Where the call leads back to this machine, it is redirected to
// the inbound listener, and its policy decides. It is for [net.Dialer.Control].
func MarkCall(_, _ string, c syscall.RawConn) error { return setPriority(c, priorityCall) }

func setPriority(c syscall.RawConn, value int) error {
	return onSocket(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, value) })
}

// ToApplication returns a dialer for the last step, to an address of this machine
// and no other: the socket is bound to the address that it will call, which the
// kernel refuses unless it is one of its own. So a redirected connection can't
// make the sidecar a relay, whatever its original destination was.
func ToApplication(addr netip.Addr) *net.Dialer {
	return &net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)),
		Control: func(_, _ string, c syscall.RawConn) error {
			// The port is chosen when it is known whom to call: else every
			// connection takes a port of its own, of which there are 28,000.
			return onSocket(c, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			})
		},
	}
}

func onSocket(c syscall.RawConn, set func(fd int) error) error {
	var err error
	if controlErr := c.Control(func(fd uintptr) { err = set(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}
