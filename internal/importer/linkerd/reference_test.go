package linkerd_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
)

// The reference decides as Linkerd's documentation and the Gateway API say, request
// by request, and knows nothing of policies here. Everything is in namespace shop.
type (
	refMesh struct {
		servers  []refServer
		routes   []refRoute
		policies []refPolicy
	}
	refServer struct {
		name, selector, port, protocol, access string
	}
	refRoute struct {
		name, server string
		hosts        []string
		matches      []refMatch
	}
	refMatch struct {
		kind, path, method, header, query string
	}
	refPolicy struct {
		name, kind, target string
		required           []string // names of authentications, below
	}
	// facts are those of a call, and of what has no equal here.
	facts struct {
		*authz.Request
		header, query string
	}
)

// authentications are the same in each mesh.
func authentications() map[string]string {
	return map[string]string{
		"checkout": "kind: MeshTLSAuthentication\nmetadata: {name: checkout, namespace: shop}\nspec: {identities: [checkout.shop.serviceaccount.identity.linkerd.cluster.local]}\n",
		"ops":      "kind: MeshTLSAuthentication\nmetadata: {name: ops, namespace: shop}\nspec: {identityRefs: [{kind: Namespace, name: ops}]}\n",
		"anybody":  "kind: MeshTLSAuthentication\nmetadata: {name: anybody, namespace: shop}\nspec: {identities: [\"*\"]}\n",
		"inside":   "kind: NetworkAuthentication\nmetadata: {name: inside, namespace: shop}\nspec: {networks: [{cidr: 10.0.0.0/8, except: [10.0.0.9]}, {cidr: 192.0.2.1}]}\n",
	}
}

func (f *facts) fulfils(name string) bool {
	id := ""
	if !f.Peer.IsZero() {
		id = f.Peer.String()
	}
	switch name {
	case "checkout":
		return id == authztest.Account("shop", "checkout")
	case "ops":
		return strings.HasPrefix(id, "spiffe://cluster.local/ns/ops/sa/")
	case "anybody":
		return id != ""
	case "inside":
		return f.Source == netip.MustParseAddr("192.0.2.1") || f.Source.As4()[0] == 10 && f.Source != netip.MustParseAddr("10.0.0.9")
	}
	return false // there is none: the policy is ignored
}

func (m *refMesh) server(f *facts) *refServer {
	for i := range m.servers {
		s := &m.servers[i]
		if s.selector != "{app: other}" && (s.port == fmt.Sprint(f.Port) || s.port == "web" && f.Port == 80) {
			return s
		}
	}
	return nil
}

func (m *refMesh) allowed(s *refServer, f *facts) bool {
	in := s.access == "all-unauthenticated" || s.access == "all-authenticated" && f.fulfils("anybody") ||
		s.access == "cluster-authenticated" && f.fulfils("anybody") && f.Source.As4()[0] == 10
	r, routed := m.route(s, f)
	if routed && r == nil {
		return false // 404
	}
	if !f.HTTP && (s.protocol == "HTTP/2" || routed) {
		return false
	}
	for i := range m.policies {
		p := &m.policies[i]
		applies := p.kind == "Namespace" || p.kind == "Server" && p.target == s.name || p.kind == "HTTPRoute" && r != nil && p.target == r.name
		if applies && !slices.ContainsFunc(p.required, func(name string) bool { return !f.fulfils(name) }) {
			return true
		}
	}
	return in
}

// route is the most specific one that matches; routed tells whether the
// Server has any.
func (m *refMesh) route(s *refServer, f *facts) (best *refRoute, routed bool) {
	var mark [5]int
	for i := range m.routes {
		r := &m.routes[i]
		if r.server != s.name {
			continue
		}
		routed = true
		host := r.host(f)
		if host < 0 || !f.HTTP {
			continue
		}
		for _, match := range r.matches {
			if score, ok := match.score(f); ok {
				score[0] = host
				if best == nil || slices.Compare(score[:], mark[:]) > 0 {
					best, mark = r, score
				}
			}
		}
	}
	return best, routed
}

// host is how specific the best host is that matches; -1 where none does.
func (r *refRoute) host(f *facts) int {
	if len(r.hosts) == 0 {
		return 0
	}
	best, got := -1, strings.ToLower(f.Host)
	for _, h := range r.hosts {
		if suffix, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(got, suffix) {
			best = max(best, len(h))
		} else if h == got {
			best = max(best, 1000)
		}
	}
	return best
}

func (m *refMatch) score(f *facts) (score [5]int, ok bool) {
	ok = m.query == "" || m.query == f.query
	prefix := strings.TrimSuffix(m.path, "/")
	switch m.kind {
	case "Exact":
		ok = ok && f.Path == m.path
		score[1] = 1000
	default:
		ok = ok && (f.Path == prefix || strings.HasPrefix(f.Path, prefix+"/"))
		score[1] = len(prefix)
	}
	if m.method != "" {
		ok = ok && f.Method == m.method
		score[2] = 1
	}
	if m.header != "" {
		ok = ok && f.header == m.header
		score[3] = 1
	}
	return score, ok
}

// A maker draws meshes and calls from vocabularies small enough for them to meet
// often. With strange, it uses what has no equal here.
type maker struct {
	*rand.Rand
	strange bool
}

func (m maker) pick(of ...string) string { return of[m.IntN(len(of))] }

// odd is a value that has no equal, now and then.
func (m maker) odd(plain, strange string) string {
	if m.strange && m.IntN(6) == 0 {
		return strange
	}
	return plain
}

func (m maker) mesh() *refMesh {
	all := &refMesh{}
	for i := range 1 + m.IntN(6)/3 {
		all.servers = append(all.servers, refServer{
			name: fmt.Sprintf("s%d", i), selector: m.pick("{app: payments}", "{app: payments}", "{app: payments}", "{app: other}", "{}"),
			port: m.odd(m.pick("80", "80", "80", "8080", "9090"), "web"), protocol: m.pick("unknown", "HTTP/2", "HTTP/2"),
			access: m.odd(m.pick("deny", "deny", "deny", "deny", "deny", "all-authenticated", "all-unauthenticated"), "cluster-authenticated"),
		})
	}
	for i := range m.IntN(5) {
		r := refRoute{name: fmt.Sprintf("r%d", i), server: "s0"}
		if m.IntN(4) == 0 {
			r.server = fmt.Sprintf("s%d", m.IntN(len(all.servers)))
		}
		if m.IntN(6) == 0 {
			r.hosts = slices.Compact([]string{m.pick("a.example", "*.example"), m.pick("a.example", "b.example")})
		}
		for range 1 + m.IntN(4)/3 {
			r.matches = append(r.matches, m.match())
		}
		all.routes = append(all.routes, r)
	}
	for i := range 1 + m.IntN(4) {
		p := refPolicy{name: fmt.Sprintf("p%d", i), kind: m.pick("Server", "HTTPRoute", "HTTPRoute", "HTTPRoute", "HTTPRoute", "Namespace"), target: "shop"}
		switch p.kind {
		case "Server":
			p.target = fmt.Sprintf("s%d", m.IntN(len(all.servers)))
		case "HTTPRoute":
			if len(all.routes) == 0 {
				continue
			}
			p.target = fmt.Sprintf("r%d", m.IntN(len(all.routes)))
		}
		for _, name := range []string{m.odd(m.pick("checkout", "ops", "anybody", ""), "nobody"), m.pick("inside", "", "", "")} {
			if name != "" {
				p.required = append(p.required, name)
			}
		}
		all.policies = append(all.policies, p)
	}
	return all
}

func (m maker) match() refMatch {
	r := refMatch{kind: m.pick("Exact", "PathPrefix", "PathPrefix"), path: m.pick("/", "/a", "/a/b", "/a/"), method: m.pick("", "", "GET", "PUT"), query: m.odd("", "1")}
	if m.IntN(16) == 0 {
		r.header = "1"
	}
	return r
}

func (m maker) call() *facts {
	r := &authz.Request{
		Source: netip.MustParseAddr(m.pick("10.0.0.9", "10.0.0.8", "192.0.2.1", "172.16.0.1")), Port: 80,
		HTTP: m.IntN(8) > 0,
	}
	if m.IntN(4) == 0 {
		r.Port = 8080
	}
	f := &facts{Request: r, query: m.pick("", "1")}
	if r.HTTP {
		r.Method, r.Host, r.Path = m.pick("GET", "PUT"), m.pick("a.example", "B.Example", "c"), m.pick("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab")
		f.header = m.pick("", "1", "2")
		r.Header = authztest.Header{}
		if f.header != "" {
			r.Header = authztest.Header{{"x-a", f.header}}
		}
	}
	if id := m.pick("", authztest.Account("shop", "checkout"), authztest.Account("ops", "x"), "spiffe://other.example/ns/shop/sa/checkout"); id != "" {
		r.Peer = spiffeid.RequireFromString(id)
	}
	return f
}

// documents writes a mesh.
func (m *refMesh) documents() string {
	var b strings.Builder
	doc := func(api, format string, args ...any) {
		fmt.Fprintf(&b, "---\napiVersion: %s\n"+format, append([]any{api}, args...)...)
	}
	for _, text := range authentications() {
		doc("policy.linkerd.io/v1alpha1", "%s", text)
	}
	for _, r := range m.routes {
		doc("policy.linkerd.io/v1beta3", "kind: HTTPRoute\nmetadata: {name: %s, namespace: shop}\nspec:\n  parentRefs: [{group: policy.linkerd.io, kind: Server, name: %s}]\n", r.name, r.server)
		if len(r.hosts) > 0 {
			fmt.Fprintf(&b, "  hostnames: [%q, %q]\n", r.hosts[0], r.hosts[len(r.hosts)-1])
		}
		b.WriteString("  rules:\n  - matches:\n")
		for _, match := range r.matches {
			fmt.Fprintf(&b, "    - path: {type: %s, value: %s}\n", match.kind, match.path)
			if match.method != "" {
				fmt.Fprintf(&b, "      method: %s\n", match.method)
			}
			if match.header != "" {
				fmt.Fprintf(&b, "      headers: [{name: X-A, value: %q}]\n", match.header)
			}
			if match.query != "" {
				fmt.Fprintf(&b, "      queryParams: [{name: q, value: %q}]\n", match.query)
			}
		}
	}
	for _, p := range m.policies {
		group := "policy.linkerd.io"
		if p.kind == "Namespace" {
			group = "core"
		}
		var refs []string
		for _, name := range p.required {
			kind := "MeshTLSAuthentication"
			if name == "inside" {
				kind = "NetworkAuthentication"
			}
			refs = append(refs, "{group: policy.linkerd.io, kind: "+kind+", name: "+name+"}")
		}
		doc("policy.linkerd.io/v1alpha1", "kind: AuthorizationPolicy\nmetadata: {name: %s, namespace: shop}\nspec: {targetRef: {group: %s, kind: %s, name: %s}, requiredAuthenticationRefs: [%s]}\n",
			p.name, group, p.kind, p.target, strings.Join(refs, ", "))
	}
	for _, s := range m.servers {
		doc("policy.linkerd.io/v1beta3", "kind: Server\nmetadata: {name: %s, namespace: shop}\nspec: {podSelector: {matchLabels: %s}, port: %s, proxyProtocol: %s, accessPolicy: %s}\n",
			s.name, s.selector, s.port, s.protocol, s.access)
	}
	return b.String()
}
