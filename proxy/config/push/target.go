package push

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Target is what is known of one address: who answers there, and where.
type Target struct {
	// Name is for logs and metrics, such as "payments.shop:80"; empty: nobody
	// knows the address, and nothing else is set.
	Name string `json:"name,omitempty"`
	// Protocol is what it is declared to carry; Detect when empty.
	Protocol config.Protocol `json:"protocol,omitempty"`
	// Endpoints are those of the mesh that are ready. A target without any is
	// called by nobody, unless it is Outside.
	Endpoints []Group `json:"endpoints,omitempty"`
	// Outside tells that the address is known and that no workload of the mesh
	// answers there. A service that has one is never called in plaintext, so
	// Outside and Endpoints exclude each other.
	Outside bool `json:"outside,omitempty"`
}

// A Group is endpoints that have all but their address in common; so an endpoint
// costs little more than its address.
type Group struct {
	// ID is who they must prove to be.
	ID string `json:"id"`
	// Zone is where they are; empty: not known.
	Zone string `json:"zone,omitempty"`
	// At are their addresses, in order.
	At []netip.AddrPort `json:"at"`
}

// Known tells whether anybody knows the address.
func (t Target) Known() bool { return t.Name != "" }

// Len counts the endpoints.
func (t Target) Len() int {
	n := 0
	for _, g := range t.Endpoints {
		n += len(g.At)
	}
	return n
}

// Encode is the target as it is sent, the same bytes for the same target.
func (t Target) Encode() []byte {
	text, err := json.Marshal(t)
	if err != nil {
		return []byte("{}") // no field of it can fail; nobody knows is the safe answer
	}
	return text
}

// ParseTarget undoes [Target.Encode], and refuses what can't be called.
func ParseTarget(text []byte) (Target, error) {
	if len(text) > MaxDestinationBytes {
		return Target{}, fmt.Errorf("destination: %d bytes, more than %d", len(text), MaxDestinationBytes)
	}
	var t Target
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&t); err != nil {
		return Target{}, fmt.Errorf("destination: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Target{}, errors.New("destination: something follows it")
	}
	if err := t.check(); err != nil {
		return Target{}, fmt.Errorf("destination %.80q: %w", t.Name, err)
	}
	return t, nil
}

// check leaves alone what a later version may add: a sidecar may be older than its
// control plane.
func (t Target) check() error {
	switch {
	case !t.Known() && (t.Outside || len(t.Endpoints) > 0 || t.Protocol != ""):
		return errors.New("it has no name and is known all the same")
	case t.Outside && len(t.Endpoints) > 0:
		return errors.New("it is outside of the mesh and has endpoints in it")
	case t.Protocol != "" && !slices.Contains(t.Protocol.Values(), string(t.Protocol)):
		return fmt.Errorf("it carries %.80q, which is not known here", string(t.Protocol))
	case t.Len() > MaxEndpoints:
		return fmt.Errorf("it has %d endpoints, more than %d", t.Len(), MaxEndpoints)
	}
	seen := make(map[netip.AddrPort]bool, t.Len())
	for _, g := range t.Endpoints {
		if err := g.check(seen); err != nil {
			return err
		}
	}
	return nil
}

func (g Group) check(seen map[netip.AddrPort]bool) error {
	if id, err := spiffeid.FromString(g.ID); err != nil || id.Path() == "" {
		return fmt.Errorf("%.80q is not the SPIFFE ID of a workload", g.ID)
	}
	if len(g.At) == 0 {
		return fmt.Errorf("%s has no address", g.ID)
	}
	for _, at := range g.At {
		addr := at.Addr()
		switch {
		case !at.IsValid() || at.Port() == 0 || addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" || addr.Is4In6():
			return fmt.Errorf("%s is not an address to call", at)
		case seen[at]:
			return fmt.Errorf("%s is repeated", at)
		}
		seen[at] = true
	}
	return nil
}
