//go:build !linux

package capture

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Apply puts the plan into force.
func (p *Plan) Apply() error { return ErrUnsupported }

// Remove takes the plan in force away.
func Remove() (bool, error) { return false, ErrUnsupported }

// InForce renders the plan that the kernel has.
func (p *Plan) InForce() (string, error) { return "", ErrUnsupported }

// Verify proves that traffic passes.
func (p *Plan) Verify(context.Context) ([]Proof, error) { return nil, ErrUnsupported }

// Check looks whether traffic passes.
func (s *Sentry) Check(context.Context) error { return ErrUnsupported }

// Original returns where the peer of a redirected connection wanted to go.
func Original(net.Conn) (netip.AddrPort, error) { return netip.AddrPort{}, ErrUnsupported }

// MarkCall marks a socket as one on which the sidecar calls somebody.
func MarkCall(_, _ string, _ syscall.RawConn) error { return ErrUnsupported }

// ToApplication returns a dialer to an address of this machine.
func ToApplication(addr netip.Addr) *net.Dialer {
	return &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))}
}
