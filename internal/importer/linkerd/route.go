package linkerd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// A route is some of the requests to Servers.
type route struct {
	*importer.Source
	key      reference
	hosts    []string
	parents  []reference
	matches  []match
	policies []*policy
	// lost tells that it is not known which requests are its own.
	lost bool
}

// A match is one alternative of a route.
type match struct {
	// at is where it stands.
	at    string
	hosts []string
	// path is without a slash at its end; exact tells that nothing may follow.
	path  string
	exact bool
	// method is empty for all.
	method  string
	headers []authz.Condition
}

// patterns are the paths of a match.
func (m *match) patterns() []string {
	switch {
	case m.exact:
		return []string{m.path}
	case m.path == "":
		return []string{"/{**}"}
	}
	return []string{m.path, m.path + "/{**}"}
}

// to is a match without its headers.
func (m *match) to(port int) authz.To {
	g := authz.To{Ports: []int{port}, Hosts: m.hosts, Paths: m.patterns()}
	if m.method != "" {
		g.Methods = []string{m.method}
	}
	return g
}

func (r *route) loses(field, message, remedy string) {
	r.lost = true
	r.Untranslated(field, message, remedy)
}

// fits is Fits for what a route asks.
func (r *route) fits(field string, rule authz.Rule) {
	r.lost = !r.Fits(field, rule) || r.lost
}

// routeOf reads what both kinds of routes have; nil where the route is not for
// Servers.
func (m *mesh) routeOf(s *importer.Source, meta importer.Meta, api string, parents []parent, hosts []string) *route {
	namespace := s.Namespace(meta, m.opts)
	r := &route{Source: s, key: reference{Group: api, Kind: s.Kind, Name: meta.Name, Namespace: namespace}}
	for i, p := range parents {
		at := strict.Index("spec.parentRefs", i)
		switch {
		case p.Group != group || p.Kind != "Server":
			s.Note(at, "is no Server, so for it the route is left out")
		case p.Namespace != "" && p.Namespace != namespace:
			s.Untranslated(at, "a route is for Servers of its own namespace", "remove it")
		default:
			if p.Port.Present() || p.SectionName.Present() {
				r.loses(at, "a part of a Server has no equal", "name the Server alone")
			}
			r.parents = append(r.parents, reference{Group: group, Kind: "Server", Name: p.Name, Namespace: namespace})
		}
	}
	if len(r.parents) == 0 {
		return nil
	}
	for i, h := range hosts {
		r.hosts = append(r.hosts, strings.ToLower(h))
		r.fits(strict.Index("spec.hostnames", i), authz.Rule{To: []authz.To{{Hosts: []string{h}}}})
		if strings.Contains(strings.TrimPrefix(h, "*."), "*") || strings.Contains(h, ":") {
			r.loses(strict.Index("spec.hostnames", i), strconv.Quote(h)+" is no name of a host", "write one without port, perhaps with *. before it")
		}
	}
	once(s, m.routes, r.key, r)
	m.routesInOrder = append(m.routesInOrder, r)
	return r
}

// refuses reports what else a rule says.
func (r *route) refuses(at string, u *unsupported) {
	for name, o := range map[string]strict.Opaque{
		"filters": u.Filters, "backendRefs": u.BackendRefs, "timeouts": u.Timeouts, "retry": u.Retry, "sessionPersistence": u.Persistence,
	} {
		if o.Present() {
			r.loses(at+"."+name, "policies say who may call, and do nothing to calls", "remove it")
		}
	}
}

func (m *mesh) httpRoute(s *importer.Source, api string) {
	var doc httpRouteDocument
	if !s.Into(&doc) {
		return
	}
	r := m.routeOf(s, doc.Metadata, api, doc.Spec.ParentRefs, doc.Spec.Hostnames)
	if r == nil {
		return
	}
	for i, rule := range doc.Spec.Rules {
		eachMatch(r, i, &rule.unsupported, rule.Matches, match{}, r.httpMatch)
	}
	r.anything(len(doc.Spec.Rules))
}

// eachMatch reads the matches of rule i. Without one it matches every request; what
// all requests of its kind have in common is in every.
func eachMatch[M any](r *route, i int, u *unsupported, matches []M, every match, read func(at string, m *M)) {
	at := strict.Index("spec.rules", i)
	r.refuses(at, u)
	if len(matches) == 0 {
		every.at, every.hosts = at, r.hosts
		r.matches = append(r.matches, every)
	}
	for j := range matches {
		read(strict.Index(at+".matches", j), &matches[j])
	}
}

// anything reports a route without rules, of which implementations think
// differently.
func (r *route) anything(rules int) {
	if rules == 0 {
		r.loses("spec.rules", "is missing or empty", "write one")
	}
}

func (r *route) httpMatch(at string, h *httpMatch) {
	m := match{at: at, hosts: r.hosts, method: h.Method}
	if h.QueryParams.Present() {
		r.loses(at+".queryParams", "policies do not look at queries", "write the match without")
	}
	if h.Path != nil {
		r.path(at+".path", h.Path, &m)
	}
	m.headers = r.headers(at+".headers", h.Headers)
	r.add(m)
}

func (r *route) path(at string, p *valueMatch, m *match) {
	switch p.Type {
	case "Exact":
		m.exact = true
	case "", "PathPrefix":
	default:
		r.loses(at+".type", strconv.Quote(p.Type)+" has no equal", "write Exact or PathPrefix")
	}
	value := p.Value
	switch {
	case value == "":
		value = "/" // the default
	case value[0] != '/':
		r.loses(at+".value", strconv.Quote(value)+" does not begin with a slash", "write one that does")
	}
	// A prefix with a slash at its end is one without. What would be a pattern
	// here is only itself there.
	m.path = strings.NewReplacer("*", "%2A", "{", "%7B", "}", "%7D").Replace(value)
	if !m.exact {
		m.path = strings.TrimSuffix(m.path, "/")
	}
}

// add checks that a match can be written.
func (r *route) add(m match) {
	r.fits(m.at, authz.Rule{To: []authz.To{m.to(1)}, When: m.headers})
	if strings.Contains(m.method, "*") {
		r.loses(m.at+".method", strconv.Quote(m.method)+" is no method", "write one")
	}
	r.matches = append(r.matches, m)
}

func (r *route) headers(at string, headers []headerMatch) (all []authz.Condition) {
	var names []string
	for i, h := range headers {
		field := strict.Index(at, i)
		name := strings.ToLower(h.Name)
		switch {
		case h.Type != "" && h.Type != "Exact":
			r.loses(field+".type", strconv.Quote(h.Type)+" has no equal", "write Exact")
		case h.Value == "" || strings.ContainsAny(h.Value, "*"):
			r.loses(field+".value", strconv.Quote(h.Value)+" would be a pattern here, or nothing", "write the match without")
		case slices.Contains(names, name):
			r.loses(field+".name", strconv.Quote(h.Name)+" is there twice", "remove one")
		}
		names = append(names, name)
		all = append(all, authz.Condition{Header: name, Values: []string{h.Value}})
	}
	return all
}

func (m *mesh) grpcRoute(s *importer.Source, api string) {
	var doc grpcRouteDocument
	if !s.Into(&doc) {
		return
	}
	r := m.routeOf(s, doc.Metadata, api, doc.Spec.ParentRefs, doc.Spec.Hostnames)
	if r == nil {
		return
	}
	for i, rule := range doc.Spec.Rules {
		eachMatch(r, i, &rule.unsupported, rule.Matches, match{method: "POST"}, r.grpcMatch)
	}
	r.anything(len(doc.Spec.Rules))
}

// grpcMatch: a call of gRPC is POST /SERVICE/METHOD.
func (r *route) grpcMatch(at string, g *grpcMatch) {
	m := match{at: at, hosts: r.hosts, method: "POST", headers: r.headers(at+".headers", g.Headers)}
	if n := g.Method; n != nil {
		switch {
		case n.Type != "" && n.Type != "Exact":
			r.loses(at+".method.type", strconv.Quote(n.Type)+" has no equal", "write Exact")
		case n.Service == "" || strings.ContainsAny(n.Service+n.Method, "/*{}"):
			r.loses(at+".method", "a match without a service has no equal, nor one with patterns", "name the service")
		case n.Method == "":
			m.path = "/" + n.Service
		default:
			m.path, m.exact = "/"+n.Service+"/"+n.Method, true
		}
	}
	r.add(m)
}

// attachRoutes gives routes to their Servers.
func (m *mesh) attachRoutes() {
	for _, r := range m.routesInOrder {
		m.attachRoute(r)
	}
}

func (m *mesh) attachRoute(r *route) {
	for i, p := range r.parents {
		at := strict.Index("spec.parentRefs", i)
		s := m.servers[p]
		if s == nil {
			r.Untranslated(at, "there is no such Server in what is imported, so less is allowed", "import it as well")
			continue
		}
		s.lost = s.lost || r.lost
		switch {
		case s.opaque:
			s.loses(r.Source, at, "the Server is not for HTTP, so its routes mean nothing", "remove the route, or mend proxyProtocol")
		case slices.ContainsFunc(s.routes, func(other *route) bool { return other.key.Kind != r.key.Kind }):
			s.loses(r.Source, at, "a Server has routes of one kind", "write all as one kind")
		}
		s.routes = append(s.routes, r)
	}
}
