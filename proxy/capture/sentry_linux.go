package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/outrider-mesh/outrider/proxy/limits"
)

// Check makes one connection in each direction and family, and returns when the
// listeners have shown all of them, or an error that says which was not. Where
// this machine has no address to try it with, nothing can be said, and that is no
// error.
func (s *Sentry) Check(ctx context.Context) error {
	targets, err := s.plan.targets()
	if errors.Is(err, errNoTarget) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, target := range targets {
		for _, p := range s.plan.probes(target, prioritySentry) {
			if err := s.try(ctx, p); err != nil {
				errs = append(errs, errors.New(Proof{Direction: p.direction, Target: p.target, Listener: p.listener, Err: err}.String()))
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrBypassed, errors.Join(errs...))
	}
	return nil
}

func (s *Sentry) try(ctx context.Context, p probe) error {
	ctx, cancel := context.WithTimeout(ctx, limits.Default().CaptureProbeTimeout)
	defer cancel()
	from, err := freeEnd(ctx, p.target.Addr())
	if err != nil {
		return err
	}
	arrived, forget := s.expect(from)
	defer forget()
	d := p.dialer()
	d.LocalAddr = net.TCPAddrFromAddrPort(from)
	out, err := d.DialContext(ctx, "tcp", p.target.String())
	if errors.Is(err, syscall.ECONNREFUSED) { // by the address itself, where nobody listens
		return fmt.Errorf("%w; are the rules installed?", err)
	}
	if err != nil {
		return err
	}
	defer closeIgnored(out)
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return errors.New("somebody else took it")
	}
}

// freeEnd is an address and port to call from. It must be known before the call
// is made: the listener may see that sooner than we are told that it succeeded.
func freeEnd(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer closeIgnored(l)
	from, _ := addrPortOf(l.Addr())
	return from, nil
}
