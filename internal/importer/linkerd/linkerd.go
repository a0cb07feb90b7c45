// Package linkerd translates Linkerd's policies: Server, AuthorizationPolicy,
// MeshTLSAuthentication, NetworkAuthentication, and the HTTPRoutes and GRPCRoutes
// of Servers.
//
// A Server becomes an Allow policy for its port, with a rule for each way to be
// authorized. Everything but the Server itself only lets somebody in, so what is
// not translated of it makes the result allow less. A route that is not understood
// is different: its requests would fall to a less specific one, so nothing is
// allowed on the port of its Server.
//
// Linkerd asks only the most specific route that matches. Here any rule may match,
// so the paths, methods and hosts of more specific routes are taken out of the
// rules for less specific ones, unless both let the same callers in. Which route
// is more specific follows the Gateway API: host, path, method; where that depends
// on headers or on the age of routes, it is reported.
package linkerd

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const (
	// group is the API group of Linkerd's policies.
	group = "policy.linkerd.io"
	// gateway is that of routes.
	gateway = "gateway.networking.k8s.io"
)

// Translate translates documents, which refer to each other. Those of other APIs
// are left alone.
func Translate(docs []*strict.Document, opts importer.Options) importer.Result {
	m := &mesh{
		opts: &opts, routes: map[reference]*route{}, authentications: map[reference]*authentication{},
		servers: map[reference]*server{},
	}
	for _, d := range importer.Expand(docs) {
		m.document(&importer.Source{Document: importer.Stripped(d)})
	}
	m.join()
	r := importer.Result{}
	for _, s := range m.inOrder {
		r.Policies = append(r.Policies, m.policy(s))
	}
	for _, s := range m.sources {
		r.Problems = append(r.Problems, s.Problems...)
		r.Broken = r.Broken || s.Broken
	}
	if len(m.inOrder) == 0 {
		r.Broken = true
		if !r.Exact() {
			return r
		}
		r.Problems = append(r.Problems, strict.Problem{Message: "there is no Server of Linkerd", Remedy: "name files that hold one; other policies of Linkerd say nothing without"})
		return r
	}
	importer.Finish(&r)
	r.Problems = append(r.Problems, notes()...)
	return r
}

// notes are what holds whatever the documents say.
func notes() (all []strict.Problem) {
	for _, text := range []string{
		"Linkerd's default policy decides for ports that no Server is for; here an Allow policy that selects a workload is for all of its ports, and opens those it names",
		"Linkerd lets a kubelet's probes through unasked; where they come through the sidecar, name their paths and networks in a policy",
	} {
		all = append(all, strict.Problem{Severity: strict.Warning, Message: text})
	}
	return all
}

// A mesh is what all documents say together. A reference in its maps has a
// namespace.
type mesh struct {
	opts            *importer.Options
	sources         []*importer.Source // in the order of the documents
	servers         map[reference]*server
	inOrder         []*server
	routes          map[reference]*route
	routesInOrder   []*route
	authentications map[reference]*authentication
	policies        []*policy
}

// versions are those of each kind that is known.
func versions(kind string) []string {
	switch kind {
	case "Server":
		return []string{group + "/v1beta1", group + "/v1beta2", group + "/v1beta3"}
	case "AuthorizationPolicy", "MeshTLSAuthentication", "NetworkAuthentication":
		return []string{group + "/v1alpha1"}
	case "HTTPRoute":
		return []string{group + "/v1alpha1", group + "/v1beta1", group + "/v1beta2", group + "/v1beta3", gateway + "/v1beta1", gateway + "/v1"}
	case "GRPCRoute":
		return []string{gateway + "/v1alpha2", gateway + "/v1"}
	}
	return nil
}

// document reads one document, and puts it where others find it.
func (m *mesh) document(s *importer.Source) {
	m.sources = append(m.sources, s)
	api, _, _ := strings.Cut(s.APIVersion, "/")
	known := versions(s.Kind)
	switch {
	case s.APIVersion == "" || s.Kind == "":
		s.Fails("", "the document has no apiVersion or no kind, so nobody knows what it is", "write both")
	case api == group && known == nil:
		m.other(s)
	case known == nil || api == "security.istio.io":
		s.Note("", "is left out: it is no policy of Linkerd")
	case !slices.Contains(known, s.APIVersion):
		s.Fails("apiVersion", "the version is not known for this kind", "write "+known[len(known)-1]+", or remove the document")
	default:
		m.read(s, api)
	}
}

// other reports kinds of Linkerd's API that have no equal.
func (m *mesh) other(s *importer.Source) {
	switch s.Kind {
	case "ServerAuthorization":
		s.Untranslated("", "the kind is deprecated; it is left out, so less is allowed", "write an AuthorizationPolicy in its place")
	case "HTTPLocalRateLimitPolicy":
		s.Untranslated("", "limits are left out, so LESS IS DENIED", "write limit in the rules of the policy")
	case "EgressNetwork":
		s.Note("", "is left out: it is about calls that workloads make")
	default:
		s.Fails("kind", "the kind is not known", "write Server, HTTPRoute, AuthorizationPolicy, MeshTLSAuthentication or NetworkAuthentication")
	}
}

func (m *mesh) read(s *importer.Source, api string) {
	switch s.Kind {
	case "Server":
		m.server(s)
	case "AuthorizationPolicy":
		m.authorizationPolicy(s)
	case "MeshTLSAuthentication":
		m.meshTLS(s)
	case "NetworkAuthentication":
		m.networks(s)
	case "HTTPRoute":
		m.httpRoute(s, api)
	case "GRPCRoute":
		m.grpcRoute(s, api)
	}
}

// once reports a second document of one name.
func once[T any](s *importer.Source, all map[reference]T, key reference, value T) {
	if _, twice := all[key]; twice {
		s.Fails("metadata.name", "another document has the same kind, namespace and name", "remove one of them")
		return
	}
	all[key] = value
}

// policy is what a Server becomes.
func (m *mesh) policy(s *server) authz.Policy {
	p := authz.Policy{
		Metadata: authz.Metadata{Name: s.key.Name, Namespace: s.key.Namespace, Labels: s.labels},
		Spec:     authz.PolicySpec{Action: authz.Allow},
	}
	if len(s.selects) > 0 {
		p.Spec.Selector = &authz.Selector{MatchLabels: s.selects}
	}
	if s.lost {
		s.Note("", "nothing is allowed on the port, because of what was not translated")
		return p
	}
	p.Spec.Rules = s.rules()
	return p
}
