package capture

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

const (
	// nonceBytes is what a probe sends, so that nobody else's connection is
	// taken for it.
	nonceBytes = 16
	// strangers is how many other connections may arrive at a probe's listener
	// before its own: the application may be calling already.
	strangers = 64
)

// Verify proves that the plan is in force and that traffic passes: it listens on
// the ports that traffic is redirected to, and makes connections that must
// arrive there, in each direction and family that this machine has an address
// of. It must run before the sidecar, whose ports it needs, and as a user whose
// calls are captured. No packet leaves the machine.
//
// What arrives from outside can't be made from inside: for inbound, the rules
// for the application are tried, and that they stand where packets arrive is
// read from the kernel.
func (p *Plan) Verify(ctx context.Context) ([]Proof, error) {
	if _, err := p.InForce(); err != nil {
		return nil, err
	}
	if uid := uint32(os.Geteuid()); uid == p.opts.UID || slices.Contains(p.opts.Outbound.UIDs, uid) { //nolint:gosec // a user id is not negative
		return nil, fmt.Errorf("verification runs as user %d, whose calls are not captured; run it as another", uid)
	}
	targets, err := p.targets()
	if err != nil {
		return nil, err
	}
	var proofs []Proof
	var errs []error
	for _, target := range targets {
		for _, probe := range p.probes(target, 0) {
			proof := probe.run(ctx)
			proofs = append(proofs, proof)
			if errors.Is(proof.Err, syscall.EADDRINUSE) {
				return proofs, errors.New(proof.String()) // which says nothing about traffic
			}
			if proof.Err != nil {
				errs = append(errs, errors.New(proof.String()))
			}
		}
	}
	if len(errs) > 0 {
		return proofs, fmt.Errorf("%w: %w", ErrBypassed, errors.Join(errs...))
	}
	return proofs, nil
}

// targets are an address of this machine for each family that has one, with a
// port that the plan does not leave alone.
func (p *Plan) targets() ([]netip.AddrPort, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	port, err := p.probePort()
	if err != nil {
		return nil, err
	}
	var targets []netip.AddrPort
	for _, is4 := range []bool{true, false} {
		for _, a := range addrs {
			addr, ok := addressOf(a)
			if ok && addr.Is4() == is4 && p.captures(addr) {
				targets = append(targets, netip.AddrPortFrom(addr, port))
				break
			}
		}
	}
	if len(targets) == 0 {
		return nil, errNoTarget
	}
	return targets, nil
}

var errNoTarget = errors.New("this machine has no address to try it with: give it one that is neither loopback, nor link-local, nor excluded")

// addressOf leaves out what is never redirected, and what needs a zone.
func addressOf(a net.Addr) (netip.Addr, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	addr = addr.Unmap()
	return addr, ok && addr.IsGlobalUnicast()
}

func (p *Plan) captures(addr netip.Addr) bool {
	within := func(n netip.Prefix) bool { return n.Contains(addr) }
	return !slices.ContainsFunc(p.opts.Inbound.Sources, within) && !slices.ContainsFunc(p.opts.Outbound.Destinations, within)
}

// probePort is a random port, so that nobody listens there.
func (p *Plan) probePort() (uint16, error) {
	const first, count = 49152, 16384 // dynamic ports, RFC 6335 §6
	for {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("random port: %w", err)
		}
		port := first + binary.NativeEndian.Uint16(b[:])%count
		own := slices.ContainsFunc(p.opts.Own, func(o OwnPort) bool { return o.Port == port })
		if !own && !slices.Contains(p.opts.Inbound.Ports, port) && !slices.Contains(p.opts.Outbound.Ports, port) &&
			port != p.opts.InboundPort && port != p.opts.OutboundPort {
			return port, nil
		}
	}
}

// probe is one connection that must not arrive where it is sent.
type probe struct {
	direction string
	target    netip.AddrPort
	listener  uint16
	priority  int // of its socket; 0 leaves it
}

// probes are one for each direction; outbound is the priority of that one's socket.
func (p *Plan) probes(target netip.AddrPort, outbound int) []probe {
	var all []probe
	if p.opts.OutboundPort != 0 {
		all = append(all, probe{"outbound", target, p.opts.OutboundPort, outbound})
	}
	if p.opts.InboundPort != 0 {
		all = append(all, probe{"inbound", target, p.opts.InboundPort, priorityProbe})
	}
	return all
}

func (p probe) run(ctx context.Context) Proof {
	ctx, cancel := context.WithTimeout(ctx, limits.Default().CaptureProbeTimeout)
	defer cancel()
	return Proof{Direction: p.direction, Target: p.target, Listener: p.listener, Err: p.try(ctx)}
}

// try connects and looks whether that arrives at the listener. The kernel
// completes a connection before it is accepted, so one goroutine does both ends.
func (p probe) try(ctx context.Context) error {
	l, err := p.listen(ctx)
	if err != nil {
		return err
	}
	defer closeIgnored(l)
	out, err := p.dialer().DialContext(ctx, "tcp", p.target.String())
	if errors.Is(err, syscall.ECONNREFUSED) { // by the address itself, where nobody listens
		return fmt.Errorf("%w; are the rules installed?", err)
	}
	if err != nil {
		return err
	}
	defer closeIgnored(out)
	deadline, _ := ctx.Deadline()
	if err := errors.Join(out.SetDeadline(deadline), l.SetDeadline(deadline)); err != nil {
		return err
	}
	nonce := make([]byte, nonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	if _, err := out.Write(nonce); err != nil {
		return err
	}
	for range strangers {
		in, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		if in.RemoteAddr().String() == out.LocalAddr().String() { // redirection changes only where it goes
			return p.arrived(in, nonce, deadline)
		}
		_ = in.Close() // the application's, which must wait for the sidecar
	}
	return fmt.Errorf("%d other connections arrived first", strangers)
}

// closeIgnored closes what has served its purpose.
func closeIgnored(c io.Closer) { _ = c.Close() }

// listen takes the port on loopback, which is where the kernel redirects what
// this machine sends.
func (p probe) listen(ctx context.Context) (*net.TCPListener, error) {
	host := netip.IPv6Loopback()
	if p.target.Addr().Is4() {
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(host, p.listener).String())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: is the sidecar running? Verification comes before it and needs its ports", err)
	}
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil //nolint:forcetypeassert // Listen("tcp") returns nothing else
}

func (p probe) dialer() *net.Dialer {
	if p.priority == 0 {
		return new(net.Dialer)
	}
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setPriority(c, p.priority) }}
}

// arrived tells whether what was sent has come, and whether the kernel still
// knows where it was going.
func (p probe) arrived(in *net.TCPConn, nonce []byte, deadline time.Time) error {
	defer closeIgnored(in)
	if err := in.SetDeadline(deadline); err != nil {
		return err
	}
	got := make([]byte, nonceBytes)
	if _, err := io.ReadFull(in, got); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, nonce) == 0 {
		return errors.New("other bytes than were sent")
	}
	to, err := Original(in)
	if err != nil {
		return err
	}
	if to != p.target {
		return fmt.Errorf("it arrived as one to %s", to)
	}
	return nil
}
