package suggest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/observed"
)

// An access is all that one caller does.
type access struct {
	caller string
	seen
	ports map[uint16]*port
}

// A port is what a caller does on one port.
type port struct {
	// opaque is set once it sent bytes that are not HTTP there.
	opaque *seen
	routes map[string]*route // by pattern
}

type route struct {
	seen
	methods map[string]struct{}
	paths   map[string]struct{}
}

// accesses gathers calls by caller, port and pattern. Patterns are those of all
// callers of a port, so that they are the same for all.
func accesses(calls []*observed.Tally, maxValues int) []*access {
	trees := map[uint16]*tree{}
	for _, t := range calls {
		if t.HTTP {
			if trees[t.Port] == nil {
				trees[t.Port] = &tree{}
			}
			trees[t.Port].add(t.Path)
		}
	}
	for _, tr := range trees {
		tr.generalise(maxValues)
	}
	by := map[string]*access{}
	for _, t := range calls {
		id := t.Peer.String()
		if by[id] == nil {
			by[id] = &access{caller: id, ports: map[uint16]*port{}}
		}
		by[id].add(t, trees[t.Port])
	}
	return slices.SortedFunc(maps.Values(by), func(a, b *access) int { return cmp.Compare(a.caller, b.caller) })
}

func (a *access) add(t *observed.Tally, tr *tree) {
	a.seen.add(t)
	p := a.ports[t.Port]
	if p == nil {
		p = &port{routes: map[string]*route{}}
		a.ports[t.Port] = p
	}
	if !t.HTTP {
		if p.opaque == nil {
			p.opaque = &seen{}
		}
		p.opaque.add(t)
		return
	}
	pattern := tr.pattern(t.Path)
	r := p.routes[pattern]
	if r == nil {
		r = &route{methods: map[string]struct{}{}, paths: map[string]struct{}{}}
		p.routes[pattern] = r
	}
	r.add(t)
	r.methods[t.Method], r.paths[t.Path] = struct{}{}, struct{}{}
}

// groups are what the caller does, as a policy says it: the paths of a port that
// have the same methods are one group. A rule for bytes that are not HTTP covers
// whatever else goes to the port.
func (a *access) groups() (all []authz.To) {
	for _, number := range slices.Sorted(maps.Keys(a.ports)) {
		p := a.ports[number]
		if p.opaque != nil {
			all = append(all, authz.To{Ports: []int{int(number)}})
			continue
		}
		var of []authz.To
		for _, pattern := range slices.Sorted(maps.Keys(p.routes)) {
			methods := slices.Sorted(maps.Keys(p.routes[pattern].methods))
			i := slices.IndexFunc(of, func(g authz.To) bool { return slices.Equal(g.Methods, methods) })
			if i < 0 {
				of = append(of, authz.To{Ports: []int{int(number)}, Methods: methods})
				i = len(of) - 1
			}
			of[i].Paths = append(of[i].Paths, pattern)
		}
		all = append(all, of...)
	}
	return all
}

// rules makes one rule for all callers that do the same.
func rules(all []*access) []Rule {
	var made []Rule
	var members [][]*access
	index := map[string]int{}
	for _, a := range all {
		to := a.groups()
		text, _ := json.Marshal(to) // plain data
		i, ok := index[string(text)]
		if !ok {
			i = len(made)
			index[string(text)] = i
			made = append(made, Rule{Rule: authz.Rule{From: []authz.From{{}}, To: to}})
			members = append(members, nil)
		}
		r := &made[i]
		r.From[0].Principals = append(r.From[0].Principals, a.caller)
		r.Callers = append(r.Callers, Caller{a.caller, a.Evidence})
		members[i] = append(members[i], a)
	}
	for i := range made {
		made[i].Evidence, made[i].Routes = routesOf(members[i])
	}
	return made
}

// routesOf adds up what several callers do.
func routesOf(callers []*access) (Evidence, []Route) {
	type key struct {
		port uint16
		path string
	}
	var total seen
	sums := map[key]*route{}
	sum := func(k key, s *seen) *route {
		if sums[k] == nil {
			sums[k] = &route{methods: map[string]struct{}{}, paths: map[string]struct{}{}}
		}
		sums[k].merge(s)
		return sums[k]
	}
	for _, a := range callers {
		total.merge(&a.seen)
		for number, p := range a.ports {
			if p.opaque != nil {
				sum(key{number, ""}, p.opaque)
			}
			for pattern, r := range p.routes {
				s := sum(key{number, pattern}, &r.seen)
				maps.Copy(s.methods, r.methods)
				maps.Copy(s.paths, r.paths)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b key) int { return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.path, b.path)) })
	var all []Route
	for _, k := range keys {
		r := sums[k]
		all = append(all, Route{Path: k.path, Methods: slices.Sorted(maps.Keys(r.methods)), Paths: len(r.paths), Evidence: r.Evidence})
	}
	return total.Evidence, all
}

// merge adds up what was added up already.
func (s *seen) merge(other *seen) {
	if s.days == nil {
		s.days = map[int64]struct{}{}
	}
	maps.Copy(s.days, other.days)
	s.Hits, s.Days = s.Hits+other.Hits, len(s.days)
	if s.First.IsZero() || other.First.Before(s.First) {
		s.First = other.First
	}
	if other.Last.After(s.Last) {
		s.Last = other.Last
	}
}
