package capture

import (
	"fmt"
	"net/netip"
)

// A Proof is what one connection of [Plan.Verify] has shown.
type Proof struct {
	// Direction is "inbound" or "outbound".
	Direction string
	// Target is where the connection was sent, Listener the port it had to
	// arrive at instead.
	Target   netip.AddrPort
	Listener uint16
	// Err is why it did not; nil if it did.
	Err error
}

// String says it in one line.
func (p Proof) String() string {
	family := "IPv6"
	if p.Target.Addr().Is4() {
		family = "IPv4"
	}
	if p.Err != nil {
		return fmt.Sprintf("%s %s: a connection to %s did not arrive at port %d: %v", p.Direction, family, p.Target, p.Listener, p.Err)
	}
	return fmt.Sprintf("%s %s: a connection to %s arrived at port %d", p.Direction, family, p.Target, p.Listener)
}
