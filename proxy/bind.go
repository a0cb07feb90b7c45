package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/outrider-mesh/outrider/proxy/accept"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// bind opens the sockets that are not open yet.
func (t *traffic) bind(c *config.Sidecar) (map[string]accept.Listener, error) {
	bound := make(map[string]accept.Listener)
	for name, address := range listenAddresses(c) {
		if l := t.open[name]; l != nil && listenOf(name, l.spec) == address {
			continue
		}
		ln, err := new(net.ListenConfig).Listen(t.base, "tcp", address)
		if err != nil && strings.HasSuffix(name, ipv6) && noFamily(err) {
			continue // nor can the application call over it
		}
		if err != nil {
			for _, s := range bound {
				_ = s.Close() // bound a moment ago
			}
			return nil, fmt.Errorf("listener %q: %w", name, err)
		}
		bound[name] = ln.(*net.TCPListener) //nolint:forcetypeassert // Listen("tcp") returns nothing else
	}
	return bound, nil
}

// listenAddresses are where the listeners of c listen, by name.
func listenAddresses(c *config.Sidecar) map[string]string {
	m := make(map[string]string)
	for _, in := range c.Spec.Inbound {
		m[in.Name] = in.Listen
	}
	for _, out := range c.Spec.Outbound {
		m[out.Name] = out.Listen
		if out.Capture {
			m[out.Name+ipv6] = listenOf(out.Name+ipv6, out)
		}
	}
	return m
}

// ipv6 follows the name of an outbound listener that captures, for its second
// socket: loopback has an address of each family, and only they are listened on.
const ipv6 = " (IPv6)"

// listenOf is where a listener of that name and spec listens.
func listenOf(name string, spec any) string {
	switch s := spec.(type) {
	case config.Inbound:
		return s.Listen
	case config.Outbound:
		if strings.HasSuffix(name, ipv6) {
			_, port, _ := net.SplitHostPort(s.Listen) // it has been validated
			return net.JoinHostPort(netip.IPv6Loopback().String(), port)
		}
		return s.Listen
	}
	return ""
}

// noFamily tells whether a system has no IPv6.
func noFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
