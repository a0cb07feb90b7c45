package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// originalDestination is the number of the option in both families:
// SO_ORIGINAL_DST of linux/netfilter_ipv4.h and IP6T_SO_ORIGINAL_DST of
// linux/netfilter_ipv6/ip6_tables.h.
const originalDestination = 80

// Original returns where the peer of a redirected connection wanted to go. A
// connection that was not redirected is a [NotRedirectedError].
func Original(nc net.Conn) (netip.AddrPort, error) {
	local, ok := addrPortOf(nc.LocalAddr())
	sc, isSocket := nc.(syscall.Conn)
	if !ok || !isSocket {
		return netip.AddrPort{}, fmt.Errorf("%T is not a TCP connection of the kernel", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	ask := ask6
	if local.Addr().Is4() {
		ask = ask4
	}
	var to netip.AddrPort
	if controlErr := raw.Control(func(fd uintptr) { to, err = ask(int(fd)) }); controlErr != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", controlErr)
	}
	if err != nil || to == local {
		return netip.AddrPort{}, &NotRedirectedError{Listener: local, Err: err}
	}
	return to, nil
}

// ask4 reads a sockaddr_in, for which the library's 20 bytes of another option
// have room: 2 for the family, 2 for the port and 4 for the address.
func ask4(fd int) (netip.AddrPort, error) {
	v, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := v.Multiaddr
	if family := binary.NativeEndian.Uint16(b[0:2]); family != unix.AF_INET {
		return netip.AddrPort{}, fmt.Errorf("the kernel answers with family %d", family)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

// ask6 reads a sockaddr_in6, with which the library's struct of another option
// begins.
func ask6(fd int) (netip.AddrPort, error) {
	v, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if v.Addr.Family != unix.AF_INET6 {
		return netip.AddrPort{}, fmt.Errorf("the kernel answers with family %d", v.Addr.Family)
	}
	addr := netip.AddrFrom16(v.Addr.Addr).Unmap()
	if v.Addr.Scope_id != 0 { // of a link-local address, RFC 4007 §6
		addr = addr.WithZone(strconv.FormatUint(uint64(v.Addr.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, fromNetwork(v.Addr.Port)), nil
}

// fromNetwork turns two bytes in the order of the network, read as a number of
// this machine, into the number that they mean.
func fromNetwork(n uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n))
}
