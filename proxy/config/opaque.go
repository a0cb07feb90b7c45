package config

import (
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/authz"
)

// OpaquePorts are the application's ports that are declared to carry something
// other than HTTP, ascending. A port that a listener takes otherwise is none.
func (s *Spec) OpaquePorts() []uint16 {
	opaque := map[uint16]bool{}
	note := func(port uint16, p Protocol) {
		was, known := opaque[port]
		opaque[port] = p == TCP && (was || !known)
	}
	for _, in := range s.Inbound {
		for _, p := range in.Ports {
			note(p.Port, in.ProtocolAt(p.Port))
		}
		if app, err := netip.ParseAddrPort(in.Forward); err == nil {
			note(app.Port(), in.Protocol)
		}
	}
	var ports []uint16
	for port, is := range opaque {
		if is {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}

// LintPorts warns of access policies that speak of HTTP and select a workload
// which has ports that carry none.
func (d *Documents) LintPorts(w authz.Workload, opaque []uint16) (warnings []Problem) {
	for _, p := range authz.LintPorts(d.Access, w, opaque) {
		warnings = append(warnings, Problem{
			Severity: Warning, Object: KindAccessPolicy + " " + p.Document, Field: p.Field,
			Message: p.Reason, Remedy: p.Remedy, Code: string(p.Code),
		})
	}
	return warnings
}
