package linkerd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// An authentication is a set of callers: identities, or networks.
type authentication struct {
	principals []string
	networks   []authz.From
}

// empty tells that nobody is left in it, which must not become anybody.
func (a *authentication) empty() bool { return len(a.principals)+len(a.networks) == 0 }

// A policy lets callers in.
type policy struct {
	*importer.Source
	target   reference
	requires []reference
	// from are the callers; nil is everybody.
	from []authz.From
}

// coreGroup tells whether a group is that of Kubernetes' own kinds.
func coreGroup(name string) bool { return name == "" || name == "core" }

func (m *mesh) meshTLS(s *importer.Source) {
	var doc meshTLSDocument
	if !s.Into(&doc) {
		return
	}
	key := reference{Group: group, Kind: s.Kind, Name: doc.Metadata.Name, Namespace: s.Namespace(doc.Metadata, m.opts)}
	a := new(authentication)
	for i, v := range doc.Spec.Identities {
		at := strict.Index("spec.identities", i)
		made, ok := m.identity(v)
		if !ok {
			s.Untranslated(at, strconv.Quote(v)+" has no equal", "write * or ACCOUNT.NAMESPACE.serviceaccount.identity.linkerd.DOMAIN, perhaps with * for the account")
			continue
		}
		a.add(s, at, made)
	}
	for i, ref := range doc.Spec.IdentityRefs {
		at := strict.Index("spec.identityRefs", i)
		made, ok := m.account(ref, key.Namespace)
		if !ok {
			s.Untranslated(at, "only a ServiceAccount and a Namespace have equals", "name one")
			continue
		}
		a.add(s, at, made)
	}
	switch {
	case len(doc.Spec.Identities) > 0 && len(doc.Spec.IdentityRefs) > 0:
		s.Fails("spec", "has identities and identityRefs, of which Linkerd takes one", "remove one of them")
	case len(doc.Spec.Identities)+len(doc.Spec.IdentityRefs) == 0:
		s.Fails("spec", "has neither identities nor identityRefs", "write one of them")
	}
	once(s, m.authentications, key, a)
}

func (a *authentication) add(s *importer.Source, at, principal string) {
	if s.Fits(at, authz.Rule{From: []authz.From{{Principals: []string{principal}}}}) {
		a.principals = append(a.principals, principal)
	}
}

// account is the principal of a service account, or those of a namespace.
func (m *mesh) account(ref reference, namespace string) (string, bool) {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	switch {
	case !coreGroup(ref.Group) || ref.Name == "":
	case ref.Kind == "ServiceAccount":
		return m.spiffe(m.opts.Domain(), namespace, ref.Name), true
	case ref.Kind == "Namespace":
		return m.spiffe(m.opts.Domain(), ref.Name, "*"), true
	}
	return "", false
}

func (m *mesh) spiffe(domain, namespace, account string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", domain, namespace, account)
}

// identity translates a name of Linkerd's: ACCOUNT.NAMESPACE.serviceaccount.
// identity.CONTROL-PLANE.DOMAIN, where the account may have dots and a leading *
// stands for whatever labels. A SPIFFE ID stays what it is.
func (m *mesh) identity(v string) (string, bool) {
	if v == "*" {
		return v, true
	}
	if strings.HasPrefix(v, "spiffe://") {
		return v, !strings.Contains(v, "*")
	}
	who, where, ok := strings.Cut(v, ".serviceaccount.identity.")
	controlPlane, domain, dotted := strings.Cut(where, ".")
	if !ok || !dotted || controlPlane == "" || strings.Contains(where, "*") {
		return "", false
	}
	if domain == "cluster.local" {
		domain = m.opts.Domain()
	}
	if who == "*" {
		return "spiffe://" + domain + "/ns/*", true
	}
	dot := strings.LastIndexByte(who, '.')
	if dot < 1 || strings.Contains(who[dot:], "*") {
		return "", false
	}
	account, namespace := who[:dot], who[dot+1:]
	if account != "*" && strings.Contains(account, "*") {
		return "", false
	}
	return m.spiffe(domain, namespace, account), true
}

func (m *mesh) networks(s *importer.Source) {
	var doc networkDocument
	if !s.Into(&doc) {
		return
	}
	key := reference{Group: group, Kind: s.Kind, Name: doc.Metadata.Name, Namespace: s.Namespace(doc.Metadata, m.opts)}
	a := new(authentication)
	if len(doc.Spec.Networks) == 0 {
		s.Fails("spec.networks", "is missing or empty", "name one")
	}
	var whole []string
	for i, n := range doc.Spec.Networks {
		g, ok := network1(s, strict.Index("spec.networks", i), n)
		switch {
		case !ok:
		case len(g.NotIPBlocks) == 0:
			whole = append(whole, g.IPBlocks...)
		default:
			a.networks = append(a.networks, g)
		}
	}
	if len(whole) > 0 {
		a.networks = append([]authz.From{{IPBlocks: whole}}, a.networks...)
	}
	once(s, m.authentications, key, a)
}

// network1 translates one network with its exceptions. Without one of those it
// would be larger than it was, so then there is none.
func network1(s *importer.Source, at string, n network) (g authz.From, ok bool) {
	ok = true
	block := func(field, text string) string {
		made, is := importer.Network(text)
		if !is {
			s.Untranslated(field, strconv.Quote(text)+" is no address and no network", "write one such as 10.0.0.0/8")
		}
		is = is && s.Fits(field, authz.Rule{From: []authz.From{{IPBlocks: []string{made}}}})
		ok = ok && is
		return made
	}
	g.IPBlocks = []string{block(at+".cidr", n.CIDR)}
	for i, e := range n.Except {
		g.NotIPBlocks = append(g.NotIPBlocks, block(strict.Index(at+".except", i), e))
	}
	return g, ok
}

func (m *mesh) authorizationPolicy(s *importer.Source) {
	var doc policyDocument
	if !s.Into(&doc) {
		return
	}
	namespace := s.Namespace(doc.Metadata, m.opts)
	if doc.Spec.RequiredAuthenticationRefs == nil {
		s.Fails("spec.requiredAuthenticationRefs", "is missing", "name an authentication; only [] lets everybody in")
		return
	}
	p := &policy{Source: s, target: doc.Spec.TargetRef, requires: *doc.Spec.RequiredAuthenticationRefs}
	if p.target.Namespace != "" && p.target.Namespace != namespace {
		s.Untranslated("spec.targetRef.namespace", "a policy is for its own namespace", "remove it")
		return
	}
	p.target.Namespace = namespace
	if len(p.requires) == 0 {
		s.Note("spec.requiredAuthenticationRefs", "is empty, which lets everybody in")
	}
	m.policies = append(m.policies, p)
}

// callers are those that fulfil every requirement; false, with a report, where one
// is not known.
func (m *mesh) callers(p *policy) bool {
	var principals []string
	var networks []authz.From
	identities, places := 0, 0
	for i, ref := range p.requires {
		a, ok := m.required(p, strict.Index("spec.requiredAuthenticationRefs", i), ref)
		if !ok {
			return false
		}
		if len(a.principals) > 0 {
			identities, principals = identities+1, a.principals
		} else {
			places, networks = places+1, a.networks
		}
	}
	if identities > 1 || places > 1 {
		p.Untranslated("spec.requiredAuthenticationRefs", "Linkerd takes one authentication of a kind", "put what is required into one")
		return false
	}
	if places == 0 && identities > 0 {
		networks = []authz.From{{}}
	}
	for _, g := range networks {
		g.Principals = principals
		p.from = append(p.from, g)
	}
	return true
}

func (m *mesh) required(p *policy, at string, ref reference) (*authentication, bool) {
	if principal, ok := m.account(ref, p.target.Namespace); ok && ref.Kind == "ServiceAccount" {
		a := new(authentication)
		a.add(p.Source, at, principal)
		return a, !a.empty()
	}
	if ref.Namespace == "" {
		ref.Namespace = p.target.Namespace
	}
	a := m.authentications[ref]
	switch {
	case a == nil:
		p.Untranslated(at, fmt.Sprintf("there is no %s %s/%s in what is imported; the policy is left out, so less is allowed", ref.Kind, ref.Namespace, ref.Name), "import it as well")
	case a.empty():
		p.Untranslated(at, "nothing of the authentication was translated; the policy is left out, so less is allowed", "mend that")
	default:
		return a, true
	}
	return nil, false
}

// join puts policies and routes where they belong.
func (m *mesh) join() {
	m.attachRoutes()
	for _, p := range m.policies {
		if m.callers(p) {
			m.attach(p)
		}
	}
	m.clash()
}

// attach gives a policy to what it is for.
func (m *mesh) attach(p *policy) {
	const at, remedy = "spec.targetRef", "import it as well, or remove the policy"
	switch t := p.target; {
	case t.Kind == "Namespace" && coreGroup(t.Group):
		if t.Name != t.Namespace {
			p.Untranslated(at, "a policy is for its own namespace", "write its name")
			return
		}
		for _, s := range m.inOrder {
			if s.key.Namespace == t.Name {
				s.policies = append(s.policies, p)
			}
		}
	case t.Kind == "Server" && t.Group == group:
		if s := m.servers[t]; s != nil {
			s.policies = append(s.policies, p)
			return
		}
		p.Untranslated(at, "there is no such Server in what is imported; the policy is left out", remedy)
	case slices.Contains([]string{"HTTPRoute", "GRPCRoute"}, t.Kind) && (t.Group == group || t.Group == gateway):
		if r := m.routes[t]; r != nil {
			r.policies = append(r.policies, p)
			return
		}
		p.Untranslated(at, "there is no such route of a Server in what is imported; the policy is left out", remedy)
	default:
		p.Untranslated(at, fmt.Sprintf("%q of %q is no target of policies", t.Kind, t.Group), "write a Namespace, Server, HTTPRoute or GRPCRoute")
	}
}
