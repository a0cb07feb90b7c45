package linkerd

import (
	"maps"
	"slices"
	"strconv"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
)

// A server is a port of some workloads.
type server struct {
	*importer.Source
	key     reference
	labels  map[string]string
	selects map[string]string
	port    int
	// http tells that nothing but HTTP passes; opaque that nobody looks for it.
	http, opaque bool
	// open are the callers of its accessPolicy; nil where there is none.
	open *policy
	// policies are for all of it.
	policies []*policy
	routes   []*route
	// lost tells that what its callers may do is not understood.
	lost bool
}

func (m *mesh) server(s *importer.Source) {
	var doc serverDocument
	if !s.Into(&doc) {
		return
	}
	srv := &server{
		Source: s, labels: doc.Metadata.Labels,
		key: reference{Group: group, Kind: "Server", Name: doc.Metadata.Name, Namespace: s.Namespace(doc.Metadata, m.opts)},
	}
	if doc.Spec.ExternalWorkloadSelector.Present() || doc.Spec.PodSelector == nil {
		s.Untranslated("spec", "a Server without podSelector has no equal, so LESS IS DENIED", "select the workloads by labels")
		return
	}
	if !srv.selector(doc.Spec.PodSelector) {
		return
	}
	srv.listens(&doc.Spec)
	once(s, m.servers, srv.key, srv)
	m.inOrder = append(m.inOrder, srv)
}

// selector is false where it is not known whom the Server is for.
func (s *server) selector(of *selector) bool {
	s.selects = maps.Clone(of.MatchLabels)
	if s.selects == nil {
		s.selects = map[string]string{}
	}
	for i, e := range of.MatchExpressions {
		at := "spec.podSelector.matchExpressions[" + strconv.Itoa(i) + "]"
		if e.Operator != "In" || len(e.Values) != 1 {
			s.Untranslated(at, "only In with one value has an equal, so LESS IS DENIED", "select the workloads by labels")
			return false
		}
		if v, twice := s.selects[e.Key]; twice && v != e.Values[0] {
			s.Fails(at, "no workload has both labels", "remove one")
			return false
		}
		s.selects[e.Key] = e.Values[0]
	}
	return true
}

// listens reads what is behind the port, and whom the Server itself lets in.
func (s *server) listens(spec *serverSpec) {
	n, err := strconv.Atoi(string(spec.Port))
	if err != nil || !s.Fits("spec.port", authz.Rule{To: []authz.To{{Ports: []int{n}}}}) {
		if err != nil {
			s.Untranslated("spec.port", strconv.Quote(string(spec.Port))+" is no number, and the names of ports are in no policy", "write the number")
		}
		s.lost = true
	}
	if s.port = n; s.lost {
		s.port = 0
	}
	switch spec.ProxyProtocol {
	case "", "unknown":
	case "HTTP/1", "HTTP/2", "gRPC":
		s.http = true
	case "opaque", "TLS":
		s.opaque = true
	default:
		s.Fails("spec.proxyProtocol", strconv.Quote(spec.ProxyProtocol)+" is not known", "write unknown, HTTP/1, HTTP/2, gRPC, opaque or TLS")
	}
	switch spec.AccessPolicy {
	case "", "deny":
	case "all-authenticated":
		s.open = &policy{from: []authz.From{{Principals: []string{"*"}}}}
	case "all-unauthenticated":
		s.open = &policy{}
	case "audit":
		s.open = &policy{}
		s.Note("spec.accessPolicy", "audit lets everybody in, and so does the policy; remove the rule and set mode DryRun to watch whom it would refuse")
	default:
		s.Untranslated("spec.accessPolicy", strconv.Quote(spec.AccessPolicy)+" has no equal, so less is allowed", "write an AuthorizationPolicy with the networks of the cluster")
	}
}

// loses reports that the Server's callers are not known.
func (s *server) loses(where *importer.Source, field, message, remedy string) {
	s.lost = true
	where.Untranslated(field, message, remedy)
}

// everywhere are the policies for all of the Server.
func (s *server) everywhere() []*policy {
	if s.open == nil {
		return s.policies
	}
	return append([]*policy{s.open}, s.policies...)
}

// rules are the ways in.
func (s *server) rules() (rules []authz.Rule) {
	if len(s.routes) == 0 {
		to := authz.To{Ports: []int{s.port}}
		if s.http {
			to.Methods = []string{"*"} // what is not HTTP has none
		}
		for _, p := range s.everywhere() {
			rules = append(rules, authz.Rule{From: p.from, To: []authz.To{to}})
		}
		return rules
	}
	if !s.http {
		s.Note("spec.proxyProtocol", "the routes are for HTTP, so bytes that are not HTTP are not allowed")
	}
	for _, p := range s.everywhere() {
		for _, r := range s.routes {
			rules = append(rules, s.onRoute(p, r, nil)...)
		}
	}
	for _, r := range s.routes {
		for _, p := range r.policies {
			rules = append(rules, s.onRoute(p, r, s.routes)...)
		}
	}
	return rules
}

// onRoute are the rules for a policy's callers on a route, without what belongs to
// others that are more specific and do not have the policy. Headers belong to a
// rule and not to a group of to.
func (s *server) onRoute(p *policy, r *route, others []*route) (rules []authz.Rule) {
	var plain []authz.To
	for i := range r.matches {
		match := &r.matches[i]
		tos := s.without(p, match, others)
		if len(match.headers) == 0 {
			plain = append(plain, tos...)
		} else if len(tos) > 0 {
			rules = append(rules, authz.Rule{From: p.from, To: tos, When: match.headers})
		}
	}
	if len(plain) > 0 {
		rules = append([]authz.Rule{{From: p.from, To: plain}}, rules...)
	}
	return rules
}

// mayMeet tells whether some workload may be selected by both.
func mayMeet(a, b *server) bool {
	for key, value := range a.selects {
		if other, ok := b.selects[key]; ok && other != value {
			return false
		}
	}
	return true
}

// samePort tells whether two Servers may be for one port. One with a name may be any.
func samePort(a, b *server) bool { return a.port == b.port || a.port == 0 || b.port == 0 }

// clash reports servers of which a workload may have two for one port: Linkerd
// takes one of them.
func (m *mesh) clash() {
	for i, b := range m.inOrder {
		for _, a := range m.inOrder[:i] {
			if a.key.Namespace == b.key.Namespace && samePort(a, b) && mayMeet(a, b) {
				b.loses(b.Source, "spec.podSelector", "a workload may have this Server and "+strconv.Quote(a.key.Name)+" for one port, and Linkerd takes either", "select different workloads")
				a.lost = true
			}
		}
	}
}

// attached tells whether a policy is for the route.
func (r *route) attached(p *policy) bool { return slices.Contains(r.policies, p) }
