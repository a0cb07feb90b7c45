package model

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A cluster makes up changes, and remembers what is there.
type cluster struct {
	*rand.Rand

	now map[ID]Change
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func (c *cluster) namespace() string { return pick(c.Rand, "shop", "bank") }

func (c *cluster) address() netip.Addr {
	return pick(c.Rand, addr(fmt.Sprintf("10.0.0.%d", 1+c.IntN(6))), addr(fmt.Sprintf("fd00::%d", 1+c.IntN(2))))
}

func (c *cluster) protocol() config.Protocol { return pick(c.Rand, "", "", config.HTTP, config.TCP) }

func (c *cluster) pod() Change {
	p := Pod{
		Labels:         map[string]string{"app": pick(c.Rand, "web", "db"), "tier": pick(c.Rand, "1", "2")},
		ServiceAccount: pick(c.Rand, "web", "db"), Node: pick(c.Rand, "n1", "n2"), Created: int64(c.IntN(3)), Ended: c.IntN(8) == 0,
		Sidecar: pick(c.Rand, nil, everywhere(), everywhere(), everywhere(90), &Sidecar{Ports: []uint16{80}}),
		Ports:   map[uint16]config.Protocol{80: c.protocol()},
	}
	for range c.IntN(3) {
		if a := c.address(); !slices.Contains(p.Addrs, a) {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return pod(fmt.Sprintf("%s/p%d", c.namespace(), c.IntN(5)), p)
}

// service makes one of four, each with addresses of its own, as the API server does.
func (c *cluster) service() Change {
	i := c.IntN(2)
	ns := c.namespace()
	s := Service{Ports: []Port{{"a", 80, c.protocol()}, {"b", 81, c.protocol()}}[:1+c.IntN(2)]}
	if c.IntN(4) > 0 {
		s.Addrs = addrs(fmt.Sprintf("10.96.%d.%d", len(ns), i+1), fmt.Sprintf("fd96::%d:%d", len(ns), i+1))[:1+c.IntN(2)]
	}
	if ns == "bank" { // both names have four letters
		for j, a := range s.Addrs {
			s.Addrs[j] = a.Next().Next()
		}
	}
	return svc(fmt.Sprintf("%s/s%d", ns, i), s)
}

func (c *cluster) slice() Change {
	s := Slice{Service: fmt.Sprintf("s%d", c.IntN(2)), Ports: []Port{{"a", pick[uint16](c.Rand, 80, 90), c.protocol()}, {"b", 81, ""}}[:1+c.IntN(2)]}
	for range c.IntN(4) {
		s.Endpoints = append(s.Endpoints, Endpoint{Addr: c.address(), Zone: pick(c.Rand, "", "z"), Ready: c.IntN(2) == 0, Ending: c.IntN(3) == 0})
	}
	return slice(fmt.Sprintf("%s/e%d", c.namespace(), c.IntN(4)), s)
}

func (c *cluster) document() Change {
	if c.IntN(6) == 0 {
		return mesh(pick(c.Rand, "mesh", "mash"), pick(c.Rand, "Deny", "AllowAll", "Nonsense"))
	}
	return policy(fmt.Sprintf("%s/d%d", pick(c.Rand, "shop", "bank", "outrider-system"), c.IntN(3)),
		pick(c.Rand, "", "app=web", "app=db", "tier=1"), pick(c.Rand, "Allow", "Deny", "Nonsense"))
}

func (c *cluster) change() Change {
	var made Change
	switch c.IntN(10) {
	case 0, 1, 2:
		made = c.pod()
	case 3, 4:
		made = c.service()
	case 5, 6:
		made = c.slice()
	case 7:
		made = Change{ID{Kind: KindNode, Name: pick(c.Rand, "n1", "n2")}, &Node{pick(c.Rand, "", "east", "west")}}
	default:
		made = c.document()
	}
	if c.IntN(4) == 0 {
		made = gone(made)
	}
	return made
}

// remember keeps what is there; of a document also its last good version, after which
// the broken one comes.
func (c *cluster) remember(made Change, good map[ID]Change) {
	if made.Object == nil {
		delete(c.now, made.ID)
		delete(good, made.ID)
		return
	}
	c.now[made.ID] = made
	if d, ok := made.Object.(*Document); ok && !readDocument(made.ID, d).invalid {
		good[made.ID] = made
	}
}

// asked is every address that somebody may want to know of.
func asked() []netip.AddrPort {
	var all []netip.AddrPort
	for _, port := range []uint16{80, 81, 90} {
		for i := range 6 {
			all = append(all, netip.AddrPortFrom(addr(fmt.Sprintf("10.0.0.%d", i+1)), port), netip.AddrPortFrom(addr(fmt.Sprintf("10.96.4.%d", i+1)), port),
				netip.AddrPortFrom(addr(fmt.Sprintf("fd00::%d", i+1)), port), netip.AddrPortFrom(addr(fmt.Sprintf("fd96::4:%d", i+1)), port))
		}
	}
	return all
}

// told is what sidecars were told: of addresses, documents and standings. It is
// refreshed only where a change says so.
type told struct {
	targets   map[netip.AddrPort]string
	documents map[distribute.Key]map[string]string
	standings map[ID]string
}

func (o *told) refresh(m *Model, of func(netip.Addr) bool, workloads func(distribute.Key) bool, documents func(ID) bool) {
	for _, at := range asked() {
		if of(at.Addr()) {
			o.targets[at] = string(m.target(at).Encode())
		}
	}
	for _, ns := range []string{"shop", "bank"} {
		for i := range 5 {
			if k := (distribute.Key{Namespace: ns, Name: fmt.Sprintf("p%d", i)}); workloads(k) {
				delete(o.documents, k)
				if set, ok := m.Documents(k); ok {
					o.documents[k] = map[string]string{}
					for _, r := range set {
						o.documents[k][r.Name] = r.Version
					}
				}
			}
		}
	}
	for _, kind := range []Kind{config.KindAccessPolicy, config.KindMeshConfig} {
		for _, ns := range []string{"shop", "bank", "outrider-system", ""} {
			for _, name := range []string{"d0", "d1", "d2", "mesh", "mash"} {
				if id := (ID{kind, ns, name}); documents(id) {
					delete(o.standings, id)
					if s, ok := m.Standing(id); ok {
						o.standings[id] = fmt.Sprint(s.Revision, s.Invalid, s.Kept, len(s.Concerns), len(s.Problems))
					}
				}
			}
		}
	}
}

func newTold() *told {
	return &told{map[netip.AddrPort]string{}, map[distribute.Key]map[string]string{}, map[ID]string{}}
}

func always[T any](T) bool { return true }

func in[T comparable](set map[T]struct{}) func(T) bool {
	return func(v T) bool { _, ok := set[v]; return ok }
}

// Whoever is told only of what changes say is affected knows in the end what somebody
// knows who comes last and asks for everything; and the model is what it would be had
// it been made of the objects as they are now, in any order.
func TestWhatIsAffectedIsAllThatChanges(t *testing.T) {
	const runs, steps = 150, 80
	var changes, known, calls, outside, documents int
	for run := range runs {
		c := &cluster{rand.New(rand.NewPCG(uint64(run), 7)), map[ID]Change{}}
		m, heard, good := New(domain()), newTold(), map[ID]Change{}
		heard.refresh(m, always, always, always)
		for range steps {
			var batch []Change
			for range 1 + c.IntN(3) {
				made := c.change()
				batch = append(batch, made)
				c.remember(made, good)
			}
			changes += len(batch)
			a := m.Apply(batch...)
			heard.refresh(m, in(a.Addrs), in(a.Workloads), in(a.Documents))
		}
		anew := New(domain())
		for _, id := range shuffled(c.Rand, good) {
			anew.Apply(good[id])
		}
		for _, id := range shuffled(c.Rand, c.now) {
			anew.Apply(c.now[id])
		}
		want := newTold()
		want.refresh(anew, always, always, always)
		if diff := cmp.Diff(want.targets, heard.targets, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Fatalf("run %d: targets (-anew +told):\n%s", run, diff)
		}
		if diff := cmp.Diff(want.documents, heard.documents); diff != "" {
			t.Fatalf("run %d: documents (-anew +told):\n%s", run, diff)
		}
		if diff := cmp.Diff(want.standings, heard.standings); diff != "" {
			t.Fatalf("run %d: standings (-anew +told):\n%s", run, diff)
		}
		for _, at := range asked() {
			target := m.target(at)
			known, calls, outside = known+one(target.Known()), calls+target.Len(), outside+one(target.Outside)
		}
		for _, d := range want.documents {
			documents += len(d) - 1
		}
		for _, c := range c.now { // nothing is left of what is no more
			m.Apply(gone(c))
		}
		if n := len(m.pods) + len(m.podsAt) + len(m.services) + len(m.slices) + len(m.vips) + len(m.users) + len(m.zones) + len(m.scopes); n > 0 {
			t.Fatalf("run %d: %d entries of what is no more", run, n)
		}
	}
	if changes < 20_000 || known < 2000 || calls < 1000 || outside < 800 || documents < 1000 {
		t.Errorf("only %d changes, %d known addresses, %d endpoints, %d addresses outside, %d documents", changes, known, calls, outside, documents)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func shuffled(r *rand.Rand, of map[ID]Change) []ID {
	all := slices.SortedFunc(maps.Keys(of), func(a, b ID) int { return cmpID(a, b) })
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func cmpID(a, b ID) int {
	if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return 0
}
