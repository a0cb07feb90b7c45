package model

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// An ID names an object of the API server.
type ID struct {
	Kind Kind
	// Namespace is empty for what has none.
	Namespace, Name string
}

// Kind is a kind of objects.
type Kind string

// The kinds that are not documents; those are called as in their text.
const (
	KindPod     Kind = "Pod"
	KindService Kind = "Service"
	KindSlice   Kind = "EndpointSlice"
	KindNode    Kind = "Node"
)

// A Change is an object as it is now.
type Change struct {
	ID ID
	// Object is a [Pod], [Service], [Slice], [Node] or [Document], whichever goes
	// with the kind; nil: it is no more.
	Object any
}

// A Pod is a workload, in the mesh or not.
type Pod struct {
	Labels         map[string]string
	ServiceAccount string
	// Node is where it runs.
	Node string
	// Created is when it was made, in Unix time; of two with one address the later
	// one has it.
	Created int64
	// Addrs are its own; a pod in the network of its node has none.
	Addrs []netip.Addr
	// Ended tells that its containers have, and that the address may be another's.
	Ended bool
	// Sidecar is nil for a pod that has none.
	Sidecar *Sidecar
	// Ports are those of which is known what they carry.
	Ports map[uint16]config.Protocol
}

// A Sidecar says which ports of its pod it guards.
type Sidecar struct {
	// Captures tells that all do but Ports; otherwise Ports do and no others.
	Captures bool
	Ports    []uint16
}

// guards tells whether calls to a port arrive at the sidecar. It may be nil.
func (s *Sidecar) guards(port uint16) bool {
	return s != nil && s.Captures != slices.Contains(s.Ports, port)
}

func (s *Sidecar) equal(o *Sidecar) bool {
	return s == o || s != nil && o != nil && s.Captures == o.Captures && slices.Equal(s.Ports, o.Ports)
}

func (p *Pod) equal(o *Pod) bool {
	return p.ServiceAccount == o.ServiceAccount && p.Node == o.Node && p.Created == o.Created && p.Ended == o.Ended &&
		p.Sidecar.equal(o.Sidecar) && slices.Equal(p.Addrs, o.Addrs) && maps.Equal(p.Labels, o.Labels) && maps.Equal(p.Ports, o.Ports)
}

// A Service is a name for endpoints.
type Service struct {
	// Addrs are its cluster IPs; none for a headless one.
	Addrs []netip.Addr
	Ports []Port
}

// A Port is one of a service or of a slice. The names of both say which belong together.
type Port struct {
	Name   string
	Number uint16
	// Protocol is what it is declared to carry; empty: nothing is declared.
	Protocol config.Protocol
}

func (s *Service) equal(o *Service) bool {
	return slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.Ports, o.Ports)
}

// A Slice is some of the endpoints of a service.
type Slice struct {
	// Service is the name of the service, in the slice's namespace.
	Service   string
	Ports     []Port
	Endpoints []Endpoint
}

// An Endpoint is one of them.
type Endpoint struct {
	Addr netip.Addr
	Zone string
	// Ready ones are called; where there is none, those that serve and end.
	Ready, Ending bool
}

func (s *Slice) equal(o *Slice) bool {
	return s.Service == o.Service && slices.Equal(s.Ports, o.Ports) && slices.Equal(s.Endpoints, o.Endpoints)
}

// A Node is where pods run.
type Node struct{ Zone string }

// A Document is a policy or a MeshConfig.
type Document struct {
	// Scope is the namespace whose workloads it is about; empty: all.
	Scope string
	// Text is what a sidecar reads.
	Text []byte
	// Generation is that of the object.
	Generation int64
	// Revision is that of its last good version as its status has it; empty: there
	// has never been one.
	Revision string
}

// name is that of the resource.
func (d *Document) name(id ID) string { return documentName(id, d.Scope) }

func key(id ID) distribute.Key { return distribute.Key{Namespace: id.Namespace, Name: id.Name} }
