package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// shop is a cluster with a service of two pods in the mesh and one outside.
func shop() []Change {
	return []Change{
		{ID{Kind: KindNode, Name: "n1"}, &Node{Zone: "east"}},
		{ID{Kind: KindNode, Name: "n2"}, &Node{Zone: "west"}},
		pod("shop/web-0", Pod{Labels: map[string]string{"app": "web"}, ServiceAccount: "web", Node: "n1", Addrs: addrs("10.0.0.1", "fd00::1"), Sidecar: everywhere(9100)}),
		pod("shop/web-1", Pod{Labels: map[string]string{"app": "web"}, ServiceAccount: "web", Node: "n2", Addrs: addrs("10.0.0.2"), Sidecar: everywhere(9100)}),
		pod("shop/old-0", Pod{Labels: map[string]string{"app": "old"}, ServiceAccount: "old", Node: "n1", Addrs: addrs("10.0.0.3")}),
		svc("shop/web", Service{Addrs: addrs("10.96.0.1", "fd96::1"), Ports: []Port{{"http", 80, config.HTTP}, {"metrics", 9100, ""}}}),
		slice("shop/web-a", Slice{Service: "web", Ports: []Port{{"http", 8080, config.HTTP}, {"metrics", 9100, ""}}, Endpoints: []Endpoint{
			{Addr: addr("10.0.0.1"), Ready: true}, {Addr: addr("10.0.0.2"), Ready: true}, {Addr: addr("10.0.0.3"), Ready: true},
		}}),
		slice("shop/web-b", Slice{Service: "web", Ports: []Port{{"http", 8080, config.HTTP}}, Endpoints: []Endpoint{{Addr: addr("fd00::1"), Ready: true}}}),
	}
}

const (
	webEast = `{"id":"spiffe://example.org/ns/shop/sa/web","zone":"east","at":["10.0.0.1:8080"]}`
	webWest = `{"id":"spiffe://example.org/ns/shop/sa/web","zone":"west","at":["10.0.0.2:8080"]}`
	unknown = `{}`
)

func endpointsOf(name string, all ...Endpoint) Change {
	return slice("shop/"+name, Slice{Service: "web", Ports: []Port{{"http", 8080, config.HTTP}}, Endpoints: all})
}

func TestWhatAnswersAtAnAddress(t *testing.T) {
	web := shop()[2].Object.(*Pod)
	cases := []struct {
		name    string
		changes []Change
		at      string
		want    string
	}{
		{"a service", nil, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[` + webEast + `,` + webWest + `]}`},
		{"its other family", nil, "[fd96::1]:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[{"id":"spiffe://example.org/ns/shop/sa/web","zone":"east","at":["[fd00::1]:8080"]}]}`},
		{"a port that sidecars leave alone", nil, "10.96.0.1:9100", `{"name":"web.shop:9100","outside":true}`},
		{"a port that it does not have", nil, "10.96.0.1:81", unknown},
		{"nobody", nil, "192.0.2.1:443", unknown},
		{"a pod", nil, "10.0.0.2:8080", `{"name":"web.shop:8080","protocol":"HTTP","endpoints":[` + webWest + `]}`},
		{"a pod's port that no service has", nil, "10.0.0.2:1234", `{"name":"web-1.shop:1234","endpoints":[{"id":"spiffe://example.org/ns/shop/sa/web","zone":"west","at":["10.0.0.2:1234"]}]}`},
		{"a pod's port that its sidecar leaves alone", nil, "10.0.0.2:9100", `{"name":"web.shop:9100","outside":true}`},
		{"a pod outside", nil, "10.0.0.3:8080", `{"name":"web.shop:8080","protocol":"HTTP","outside":true}`},
		{"a pod that has ended", []Change{pod("shop/web-1", Pod{Addrs: addrs("10.0.0.2"), Ended: true, Sidecar: everywhere()})}, "10.0.0.2:8080", unknown},
		{"a sidecar that takes one port", []Change{pod("shop/web-1", Pod{ServiceAccount: "web", Addrs: addrs("10.0.0.2"), Sidecar: &Sidecar{Ports: []uint16{1234}}})}, "10.0.0.2:8080", `{"name":"web.shop:8080","protocol":"HTTP","outside":true}`},
		{"one is not ready", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1"), Ready: true}, Endpoint{Addr: addr("10.0.0.2"), Ending: true})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[` + webEast + `]}`},
		{"all are ending", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1")}, Endpoint{Addr: addr("10.0.0.2"), Ending: true})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[` + webWest + `]}`},
		{"none is ready", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1")})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP"}`},
		{"those of the mesh are not ready", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1")}, Endpoint{Addr: addr("10.0.0.3"), Ready: true})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP"}`},
		{"none is there", []Change{endpointsOf("web-a")}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP"}`},
		{"none is of the mesh", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.3"), Ready: true})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","outside":true}`},
		{"some are not pods", []Change{endpointsOf("web-a", Endpoint{Addr: addr("198.51.100.1"), Ready: true})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","outside":true}`},
		{"one is in two slices", []Change{endpointsOf("web-c", Endpoint{Addr: addr("10.0.0.2")})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[` + webEast + `,` + webWest + `]}`},
		{"its slice says the zone", []Change{endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1"), Ready: true, Zone: "north"})}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"HTTP","endpoints":[` + strings.Replace(webEast, "east", "north", 1) + `]}`},
		{"a service that is no more", []Change{{ID: ID{KindService, "shop", "web"}}}, "10.96.0.1:80", unknown},
		{"an address that a younger pod has", []Change{pod("shop/new-0", Pod{ServiceAccount: "new", Created: 2, Addrs: addrs("10.0.0.1"), Node: "n1", Sidecar: everywhere()})}, "10.0.0.1:5", `{"name":"new-0.shop:5","endpoints":[{"id":"spiffe://example.org/ns/shop/sa/new","zone":"east","at":["10.0.0.1:5"]}]}`},
		{"what pods declare", []Change{
			svc("shop/web", Service{Addrs: addrs("10.96.0.1"), Ports: []Port{{"", 80, ""}}}),
			{ID: ID{KindSlice, "shop", "web-b"}},
			slice("shop/web-a", Slice{Service: "web", Ports: []Port{{"", 8080, ""}}, Endpoints: []Endpoint{{Addr: addr("10.0.0.1"), Ready: true}}}),
			pod("shop/web-0", Pod{ServiceAccount: "web", Node: "n1", Addrs: web.Addrs, Sidecar: web.Sidecar, Ports: map[uint16]config.Protocol{8080: config.TCP}}),
		}, "10.96.0.1:80", `{"name":"web.shop:80","protocol":"TCP","endpoints":[` + webEast + `]}`},
	}
	if len(cases) < 22 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := New(domain())
			m.Apply(shop()...)
			m.Apply(c.changes...)
			at := netip.MustParseAddrPort(c.at)
			if diff := cmp.Diff(c.want, string(m.target(at).Encode())); diff != "" {
				t.Error(diff)
			}
			if r := m.Target(at); r.Name != c.at {
				t.Errorf("it is called %s", r.Name)
			}
		})
	}
}

func TestWhichDocumentsAWorkloadGets(t *testing.T) {
	base := append(shop(), policy("shop/all", "", "Allow"), policy("shop/web", "app=web", "Allow"), policy("shop/old", "app=old", "Deny"),
		policy("bank/all", "", "Allow"), policy("outrider-system/floor", "", "Deny"), policy("outrider-system/webs", "app=web", "Deny"))
	broken := func(name, labels string) Change {
		c := policy(name, labels, "Nonsense")
		return c
	}
	before := func(c Change) Change {
		d := *c.Object.(*Document)
		d.Revision = "0123456789abcdef"
		return Change{c.ID, &d}
	}
	cases := []struct {
		name    string
		changes []Change
		want    string // of shop/web-0
	}{
		{"its own, its namespace's and the mesh's", nil, "/floor /webs shop/all shop/web"},
		{"not one that has gone", []Change{gone(policy("shop/web", "", ""))}, "/floor /webs shop/all"},
		{"one that selects it now", []Change{policy("shop/old", "app=web", "Deny")}, "/floor /webs shop/all shop/old shop/web"},
		{"not one that selects others now", []Change{policy("shop/web", "app=old", "Deny")}, "/floor /webs shop/all"},
		{"the last good version of a broken one", []Change{broken("shop/web", "app=old")}, "/floor /webs shop/all shop/web"},
		{"not one that never was good", []Change{broken("shop/new", "")}, "/floor /webs shop/all shop/web"},
		{"one whose last good version only sidecars know", []Change{before(broken("shop/new", ""))}, "/floor /webs shop/all shop/new shop/web"},
		{"the MeshConfig", []Change{mesh("mesh", "AllowAll")}, "/floor /webs shop/all shop/web MeshConfig//mesh"},
		{"not another MeshConfig", []Change{mesh("second", "AllowAll")}, "/floor /webs shop/all shop/web"},
		{"what its new labels select", []Change{pod("shop/web-0", Pod{Labels: map[string]string{"app": "old"}, Sidecar: everywhere()})}, "/floor shop/all shop/old"},
		{"none without a sidecar", []Change{pod("shop/web-0", Pod{Labels: map[string]string{"app": "web"}})}, "held back"},
		{"none once it has ended", []Change{pod("shop/web-0", Pod{Labels: map[string]string{"app": "web"}, Sidecar: everywhere(), Ended: true})}, "held back"},
	}
	if len(cases) < 12 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := New(domain())
			m.Apply(base...)
			m.Apply(c.changes...)
			if diff := cmp.Diff(c.want, names(t, m, "shop/web-0")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A set of more documents than a sidecar takes is not cut to size.
func TestTooManyDocumentsAreHeldBack(t *testing.T) {
	m := New(domain())
	m.Apply(shop()...)
	for i := range 1001 {
		c := policy("shop/p", "", "Allow")
		c.ID.Name += string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		m.Apply(c)
	}
	if got := names(t, m, "shop/web-0"); got != "held back" {
		t.Errorf("%d bytes of names", len(got))
	}
}

func TestOnlyThePodItselfIsAdmitted(t *testing.T) {
	m := New(domain())
	m.Apply(shop()...)
	m.Apply(pod("shop/job-0", Pod{ServiceAccount: "web", Sidecar: everywhere(), Ended: true}))
	cases := []struct{ id, pod, says string }{
		{"spiffe://example.org/ns/shop/sa/web", "web-0", ""},
		{"spiffe://example.org/ns/shop/sa/old", "web-0", "runs as service account"},
		{"spiffe://example.com/ns/shop/sa/web", "web-0", "runs as service account"},
		{"spiffe://example.org/ns/bank/sa/web", "web-0", "runs as service account"},
		{"spiffe://example.org/ns/shop/sa/old", "old-0", "has no sidecar"},
		{"spiffe://example.org/ns/shop/sa/web", "web-9", "no pod"},
		{"spiffe://example.org/ns/shop/sa/web", "job-0", "no pod"},
	}
	if len(cases) < 7 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		err := m.Admit(identitytest.ID(t, c.id), distribute.Key{Namespace: "shop", Name: c.pod})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s as %s: %v", c.id, c.pod, err)
		}
	}
}

// What a change costs is what it affects.
func TestWhomChangesAffect(t *testing.T) {
	ready := slices.Clone(shop()[6].Object.(*Slice).Endpoints)
	ready[0].Ready = false
	cases := []struct {
		name             string
		change           Change
		workloads, addrs int
		gone             int
	}{
		{"a policy of one workload", policy("shop/x", "app=web", "Allow"), 2, 0, 0},
		{"a policy of nobody", policy("bank/x", "", "Allow"), 0, 0, 0},
		{"an object that says what it said", shop()[2], 0, 0, 0},
		{"an endpoint", slice("shop/web-a", Slice{Service: "web", Ports: shop()[6].Object.(*Slice).Ports, Endpoints: ready}), 0, 2 + 3, 0},
		{"a pod's labels", pod("shop/web-1", Pod{Labels: map[string]string{"app": "new"}, ServiceAccount: "web", Node: "n2", Addrs: addrs("10.0.0.2"), Sidecar: everywhere(9100)}), 1, 1 + 2, 0},
		{"a pod that is no more", Change{ID: shop()[2].ID}, 1, 2 + 2, 1},
		{"a pod of another service account", pod("shop/web-1", Pod{Labels: map[string]string{"app": "web"}, ServiceAccount: "x", Node: "n2", Addrs: addrs("10.0.0.2"), Sidecar: everywhere()}), 0, 1 + 2, 1},
		{"a node's zone", Change{ID{Kind: KindNode, Name: "n2"}, &Node{"south"}}, 0, 1 + 2, 0},
	}
	if len(cases) < 8 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := New(domain())
			m.Apply(shop()...)
			a := m.Apply(c.change)
			if got := [3]int{len(a.Workloads), len(a.Addrs), len(a.Gone)}; got != [3]int{c.workloads, c.addrs, c.gone} {
				t.Errorf("affects %d workloads, %d addresses; %d are gone", got[0], got[1], got[2])
			}
		})
	}
}

func TestReplicasAreTheOtherEndpoints(t *testing.T) {
	m := New(domain())
	m.Apply(shop()...)
	m.Apply(endpointsOf("web-a", Endpoint{Addr: addr("10.0.0.1"), Ready: true}, Endpoint{Addr: addr("10.0.0.2"), Ready: true}, Endpoint{Addr: addr("10.0.0.3")}))
	web, self := distribute.Key{Namespace: "shop", Name: "web"}, distribute.Key{Namespace: "shop", Name: "web-0"}
	if got := m.Replicas(web, "http", self); len(got) != 1 || got[0] != netip.MustParseAddrPort("10.0.0.2:8080") {
		t.Errorf("%v", got)
	}
	if got := m.Replicas(self, "http", web); got != nil {
		t.Errorf("%v", got)
	}
}

func TestStandings(t *testing.T) {
	m := New(domain())
	m.Apply(append(shop(), policy("shop/web", "app=web", "Allow"), policy("shop/bad", "", "Nonsense"))...)
	good, ok := m.Standing(ID{config.KindAccessPolicy, "shop", "web"})
	if !ok || good.Invalid || good.Revision == "" || good.Resource != "AccessPolicy/shop/web" || len(good.Concerns) != 2 {
		t.Errorf("%+v", good)
	}
	bad, ok := m.Standing(ID{config.KindAccessPolicy, "shop", "bad"})
	if !ok || !bad.Invalid || bad.Revision != "" || len(bad.Problems) == 0 || len(bad.Concerns) != 0 {
		t.Errorf("%+v", bad)
	}
	if _, ok := m.Standing(ID{config.KindAccessPolicy, "shop", "none"}); ok {
		t.Error("it is not there")
	}
	if all := m.List(); len(all) != 2 || all[0].Name != "bad" {
		t.Errorf("%v", all)
	}
	m.Apply(policy("shop/again", "", "Allow"), policy("outrider-system/floor", "", "Allow"))
	if advice := m.Advice("shop"); len(advice) == 0 {
		t.Error("a rule that another one makes void is no matter")
	}
	if n := m.Sidecars(); n != 2 {
		t.Errorf("%d sidecars", n)
	}
}
