package sidecars

import (
	"context"
	"net"
	"slices"
)

// PlaintextCallers asks a sidecar from which addresses it was called without an
// identity: those with an open connection, and those that it refused lately.
func (p Pod) PlaintextCallers(ctx context.Context) ([]string, error) {
	var connections []struct{ Direction, Remote, Peer string }
	if err := p.json(ctx, "/connections", &connections); err != nil {
		return nil, err
	}
	var refusals []Record
	if err := p.json(ctx, "/decisions", &refusals); err != nil {
		return nil, err
	}
	var callers []string
	note := func(address string) {
		if host, _, err := net.SplitHostPort(address); err == nil {
			callers = append(callers, host)
		}
	}
	for _, c := range connections {
		if c.Direction == inbound && c.Peer == "" {
			note(c.Remote)
		}
	}
	for _, r := range refusals {
		if r.Direction == inbound && r.Security == "plaintext" {
			note(r.Source.Address)
		}
	}
	slices.Sort(callers)
	return slices.Compact(callers), nil
}

const inbound = "inbound"
