package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const (
	// captureRetry is how soon traffic that did not pass is tried again: the
	// rules may be on their way.
	captureRetry = time.Second
	// captureInterval is how often traffic that passes is tried again. It costs
	// four connections within this machine.
	captureInterval = 5 * time.Second
)

// openCapture prepares to look whether traffic passes.
func (s *Sidecar) openCapture(context.Context) error {
	if in, out := s.opts.Config.Spec.Captures(); !in && !out {
		return nil
	}
	plan, err := capture.New(CaptureOptions(s.opts.Config))
	if err != nil {
		return fmt.Errorf("spec.capture: %w", err)
	}
	s.sentry = capture.NewSentry(plan)
	s.readiness.Set(conditionCapture, errUnproved)
	return nil
}

var errUnproved = errors.New("not yet")

// watchCapture keeps readiness true to whether traffic passes: an application
// that is healthy while its traffic passes by its sidecar must not look so.
func (s *Sidecar) watchCapture(ctx context.Context) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	for before := errUnproved; ; {
		err := s.sentry.Check(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that stopped the check too
		}
		s.captureIs(err, before)
		before = err
		wait := captureInterval
		if err != nil {
			wait = captureRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// captureIs tells of a check, and logs what is new. Each failure names another
// port, so two are alike.
func (s *Sidecar) captureIs(err, before error) {
	s.readiness.Set(conditionCapture, err)
	switch {
	case err == nil && before != nil:
		s.opts.Log.Info("captured traffic passes")
	case err != nil && (before == nil || errors.Is(before, errUnproved)):
		s.opts.Log.Error("capture", "err", err)
	}
}

// CaptureOptions are what a configuration says about redirection.
func CaptureOptions(c *config.Sidecar) capture.Options {
	s := c.Spec.Capture
	in, out := c.Spec.Captures()
	o := capture.Options{
		UID: s.UID, Own: ownPorts(c),
		Inbound:  capture.Inbound{Ports: s.Inbound.ExcludePorts, Sources: prefixes(s.Inbound.ExcludeSources)},
		Outbound: capture.Outbound{Ports: s.Outbound.ExcludePorts, Destinations: prefixes(s.Outbound.ExcludeDestinations), UIDs: s.Outbound.ExcludeUIDs},
	}
	if in {
		o.InboundPort = s.InboundPort
	}
	if out {
		o.OutboundPort = s.OutboundPort
	}
	return o
}

// prefixes are networks that have been validated.
func prefixes(list []string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// ownPorts are those of the sidecar that are called by their own address. A
// listener on loopback is not among them: nobody else reaches it, and the same
// port of another address may be the application's.
func ownPorts(c *config.Sidecar) []capture.OwnPort {
	var all []capture.OwnPort
	add := func(name, listen string) {
		if port := portOf(listen); port != 0 {
			all = append(all, capture.OwnPort{Name: name, Port: port})
		}
	}
	for _, e := range []struct {
		name string
		at   config.Endpoint
	}{{"admin", c.Spec.Admin}, {"metrics", c.Spec.Metrics}, {"health", c.Spec.Health}} {
		if !e.at.Off() {
			add(e.name, e.at.Listen)
		}
	}
	for _, in := range c.Spec.Inbound {
		if !in.Capture && !onLoopback(in.Listen) {
			add("listener "+in.Name, in.Listen)
		}
	}
	for _, out := range c.Spec.Outbound {
		if !out.Capture && !onLoopback(out.Listen) {
			add("listener "+out.Name, out.Listen)
		}
	}
	return all
}

func onLoopback(listen string) bool {
	addr, err := netip.ParseAddrPort(listen)
	return err == nil && addr.Addr().IsLoopback()
}

// portOf is the port of an address to listen on; 0 if it can be any.
func portOf(listen string) uint16 {
	_, text, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}
