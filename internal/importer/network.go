package importer

import (
	"net/netip"
	"strings"
)

// Network is an address or a network as policies here write it: without the bits
// beyond its length, which Envoy and Linkerd ignore. It is false for what is
// neither, and for IPv4 addresses in the form of IPv6.
func Network(text string) (string, bool) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return "", false
		}
		return a.String(), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return "", false
	}
	return p.Masked().String(), true
}
