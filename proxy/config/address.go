package config

import (
	"net"
	"net/netip"
	"strconv"
)

// An address is where something listens or is reached. An invalid addr stands
// for all addresses of the host.
type address struct {
	addr netip.Addr
	port uint16
}

// parseAddress reads "ip:port"; ":port" stands for all addresses. Names are
// refused: what they resolve to may change after it was validated.
func parseAddress(s string) (address, bool) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, false
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return address{}, false
	}
	a := address{port: uint16(port)}
	if host == "" {
		return a, true
	}
	a.addr, err = netip.ParseAddr(host)
	a.addr = a.addr.Unmap()
	return a, err == nil
}

// all tells whether it stands for all addresses, of one family at least.
func (a address) all() bool { return !a.addr.IsValid() || a.addr.IsUnspecified() }

func (a address) loopback() bool { return a.addr.IsValid() && a.addr.IsLoopback() }

// clashes tells whether two listeners can't have both. Port 0 never clashes.
func (a address) clashes(b address) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	switch {
	case !a.all() && !b.all():
		return a.addr == b.addr
	case a.all() && b.all():
		// The kernel's [::] takes IPv4 as well.
		return true
	case a.all():
		return a.family(b)
	}
	return b.family(a)
}

// family tells whether a, which stands for all addresses, holds b's.
func (a address) family(b address) bool {
	return !a.addr.IsValid() || a.addr.Is6() || b.addr.Is4()
}

// reaches tells whether a call to b surely ends at the listener a. A wildcard
// listener is surely reached by way of loopback; another address with the same
// port may be another host.
func (a address) reaches(b address) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	if a.all() {
		return (b.loopback() || b.all()) && (b.all() || a.family(b))
	}
	return a.addr == b.addr || (b.all() && a.loopback())
}

// ForwardAddr is Forward parsed; the zero value when it is not valid.
func (i Inbound) ForwardAddr() netip.AddrPort { return addrPort(i.Forward) }

// AllEndpoints are Addresses and Endpoints, each with the identities it may have.
func (d Destination) AllEndpoints() []DestinationEndpoint {
	all := make([]DestinationEndpoint, 0, len(d.Addresses)+len(d.Endpoints))
	for _, s := range d.Addresses {
		all = append(all, DestinationEndpoint{Address: s, SPIFFEIDs: d.SPIFFEIDs})
	}
	for _, e := range d.Endpoints {
		if len(e.SPIFFEIDs) == 0 {
			e.SPIFFEIDs = d.SPIFFEIDs
		}
		all = append(all, e)
	}
	return all
}

// AddrPort is Address parsed; not valid if that is not.
func (e DestinationEndpoint) AddrPort() netip.AddrPort { return addrPort(e.Address) }

func addrPort(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
