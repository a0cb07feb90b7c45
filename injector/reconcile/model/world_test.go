package model

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
)

func domain() spiffeid.TrustDomain { return spiffeid.RequireTrustDomainFromString("example.org") }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}

func pod(name string, p Pod) Change {
	ns, name, _ := strings.Cut(name, "/")
	return Change{ID{KindPod, ns, name}, &p}
}

func svc(name string, s Service) Change {
	ns, name, _ := strings.Cut(name, "/")
	return Change{ID{KindService, ns, name}, &s}
}

func slice(name string, s Slice) Change {
	ns, name, _ := strings.Cut(name, "/")
	return Change{ID{KindSlice, ns, name}, &s}
}

// policy is an access policy, in "outrider-system" of the whole mesh.
func policy(name, labels, action string) Change {
	ns, name, _ := strings.Cut(name, "/")
	selector := ""
	if labels != "" {
		key, value, _ := strings.Cut(labels, "=")
		selector = fmt.Sprintf(`"selector":{"matchLabels":{%q:%q}},`, key, value)
	}
	scope, namespace := ns, fmt.Sprintf(`,"namespace":%q`, ns)
	if ns == "outrider-system" {
		scope, namespace = "", ""
	}
	return Change{ID{config.KindAccessPolicy, ns, name}, &Document{Scope: scope, Text: fmt.Appendf(nil,
		`{"apiVersion":"outrider.dev/v1alpha1","kind":"AccessPolicy","metadata":{"name":%q%s},"spec":{%s"action":%q,"rules":[{}]}}`, name, namespace, selector, action)}}
}

func mesh(name, access string) Change {
	return Change{ID{config.KindMeshConfig, "", name}, &Document{Text: fmt.Appendf(nil,
		`{"apiVersion":"outrider.dev/v1alpha1","kind":"MeshConfig","metadata":{"name":%q},"spec":{"defaultAccess":%q}}`, name, access)}}
}

func gone(c Change) Change { return Change{ID: c.ID} }

// everywhere is a sidecar as capture makes it.
func everywhere(except ...uint16) *Sidecar { return &Sidecar{Captures: true, Ports: except} }

// names are those of a workload's documents, with "?" for one that is kept if it is
// there and "!" for one without which it gets nothing.
func names(t *testing.T, m *Model, workload string) string {
	t.Helper()
	ns, name, _ := strings.Cut(workload, "/")
	set, ok := m.Documents(distribute.Key{Namespace: ns, Name: name})
	if !ok {
		return "held back"
	}
	var all []string
	for _, r := range set {
		if !strings.HasPrefix(r.Name, "Workload/") {
			all = append(all, strings.TrimPrefix(r.Name, "AccessPolicy/"))
		}
	}
	return strings.Join(all, " ")
}
