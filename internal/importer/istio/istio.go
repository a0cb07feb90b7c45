// Package istio translates Istio's AuthorizationPolicy.
//
// Both engines evaluate alike: a DENY that matches denies, then one of the ALLOW
// policies has to match if there are any. What differs is said in a note or is not
// translated: JWT claims, addresses from X-Forwarded-For, server names, external
// authorizers, policies for gateways, and patterns that reach into a trust domain.
// Istio's names of namespaces and service accounts hold in every trust domain, and
// so do their translations.
package istio

import (
	"maps"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

const (
	// group is the API group of Istio's security policies.
	group = "security.istio.io"
	// dryRun is the annotation of a policy that is tried.
	dryRun = "istio.io/dry-run"
)

// Translate translates documents. Those of other APIs are left alone.
func Translate(docs []*strict.Document, opts importer.Options) importer.Result {
	var r importer.Result
	found := false
	for _, d := range importer.Expand(docs) {
		t := &translator{Source: importer.Source{Document: importer.Stripped(d)}, opts: &opts}
		policies, ours := t.document()
		found = found || ours
		r.Policies = append(r.Policies, policies...)
		r.Problems = append(r.Problems, t.Problems...)
		r.Broken = r.Broken || t.Broken
	}
	if !found {
		r.Broken = true
		r.Problems = append(r.Problems, strict.Problem{Message: "there is no AuthorizationPolicy of Istio", Remedy: "name files that hold one"})
		return r
	}
	importer.Finish(&r)
	if slices.ContainsFunc(r.Policies, named) {
		r.Problems = append(r.Problems, strict.Problem{
			Severity: strict.Warning,
			Message:  "namespaces and service accounts are those of identities of the form spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT; Istio also finds them in longer ones, which it never issues itself",
		})
	}
	r.Problems = append(r.Problems, strict.Problem{
		Severity: strict.Warning,
		Message:  "Istio lets everybody call a workload that no ALLOW policy selects, and Outrider nobody, unless a MeshConfig says defaultAccess: AllowAll",
	})
	return r
}

// named tells whether a policy speaks of namespaces or service accounts.
func named(p authz.Policy) bool {
	for _, r := range p.Spec.Rules {
		for _, g := range r.From {
			if len(g.Namespaces)+len(g.NotNamespaces)+len(g.ServiceAccounts)+len(g.NotServiceAccounts) > 0 {
				return true
			}
		}
	}
	return false
}

// A translator translates one document.
type translator struct {
	importer.Source
	opts *importer.Options
	// namespace is that of the document.
	namespace string
	// deny tells that the policy at hand denies.
	deny bool
	// lost tells that something of the rule at hand was not translated.
	lost bool
}

func (t *translator) untranslated(field, message, remedy string) {
	t.lost = true
	t.Untranslated(field, message, remedy)
}

// document translates, and tells whether the document is of Istio's security API.
func (t *translator) document() (policies []authz.Policy, ours bool) {
	api, version, _ := strings.Cut(t.APIVersion, "/")
	kinds := []string{"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"}
	switch {
	case t.APIVersion == "" || t.Kind == "":
		t.Fails("", "the document has no apiVersion or no kind, so nobody knows what it is", "write both")
		return nil, false
	case api != group && api != "policy.linkerd.io" && slices.Contains(kinds, t.Kind):
		t.Fails("apiVersion", "the kind is Istio's, and the API group is not", "write "+group+"/v1, or remove the document")
	case api != group:
		t.Note("", "is left out: it is no policy of Istio")
		return nil, false
	case version != "v1" && version != "v1beta1":
		t.Fails("apiVersion", "the version is not known", "write "+group+"/v1")
	case t.Kind == "AuthorizationPolicy":
		return t.authorizationPolicy(), true
	case t.Kind == "PeerAuthentication":
		t.peerAuthentication()
	case t.Kind == "RequestAuthentication":
		t.untranslated("", "JSON Web Tokens are not verified here, so LESS IS DENIED", "let the application or a gateway verify them, and remove the document")
	default:
		t.Fails("kind", "the kind is not known", "write AuthorizationPolicy")
	}
	return nil, true
}

func (t *translator) authorizationPolicy() []authz.Policy {
	var doc authorizationPolicy
	if !t.Into(&doc) {
		return nil
	}
	p := authz.Policy{Metadata: authz.Metadata{Name: doc.Metadata.Name, Labels: doc.Metadata.Labels}}
	t.namespace = t.Namespace(doc.Metadata, t.opts)
	if t.namespace != t.opts.RootNamespace || t.opts.RootNamespace == "" {
		p.Metadata.Namespace = t.namespace
	} else {
		t.Note("metadata.namespace", "is the root namespace, so the policy holds in every namespace")
	}
	if !t.action(&doc.Spec, &p.Spec) {
		return nil
	}
	switch doc.Metadata.Annotations[dryRun] {
	case "", "false":
	case "true":
		p.Spec.Mode = authz.DryRun
	default:
		t.Fails(strict.Key("metadata.annotations", dryRun), "is neither true nor false", "write one of them")
	}
	t.workloads(&doc.Spec, &p.Spec)
	t.deny = p.Spec.Action == authz.Deny
	t.rules(doc.Spec.Rules, &p.Spec)
	if t.Broken {
		return nil // it would be for others than it was
	}
	return []authz.Policy{p}
}

// action is false where the policy has no place here.
func (t *translator) action(doc *spec, p *authz.PolicySpec) bool {
	if doc.Provider != nil && doc.Action != "CUSTOM" {
		t.Fails("spec.provider", "a provider belongs to the action CUSTOM", "remove it")
	}
	switch doc.Action {
	case "", "ALLOW":
		p.Action = authz.Allow
	case "DENY":
		p.Action = authz.Deny
	case "AUDIT":
		t.Note("spec.action", "AUDIT decides nothing, so the policy is left out; the access log has every call")
		return false
	case "CUSTOM":
		t.untranslated("spec.action", "there are no external authorizers, so LESS IS DENIED", "write an Allow or a Deny policy in its place")
		return false
	default:
		t.Fails("spec.action", "the action is not known", "write ALLOW or DENY")
		return false
	}
	return true
}

// workloads translates whom the policy is for.
func (t *translator) workloads(doc *spec, p *authz.PolicySpec) {
	if doc.TargetRef != nil {
		t.Fails("spec.targetRef", "policies are for workloads, and not for gateways, waypoints or services", "select the workloads by labels")
	}
	if doc.TargetRefs != nil {
		t.Fails("spec.targetRefs", "policies are for workloads, and not for gateways, waypoints or services", "select the workloads by labels")
	}
	if doc.Selector == nil || len(doc.Selector.MatchLabels) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(doc.Selector.MatchLabels)) {
		if strings.Contains(doc.Selector.MatchLabels[key]+key, "*") {
			t.Fails(strict.Key("spec.selector.matchLabels", key), "labels are compared as they are, without *", "write the label")
		}
	}
	p.Selector = &authz.Selector{MatchLabels: doc.Selector.MatchLabels}
}

// rules translates all rules. One of which something was lost is left out of an
// Allow, which then allows less. A Deny keeps the rest of it, and denies more,
// unless nothing is left, which would deny everything.
func (t *translator) rules(rules []rule, p *authz.PolicySpec) {
	for i := range rules {
		t.lost = false
		at := strict.Index("spec.rules", i)
		r := t.rule(at, &rules[i])
		switch empty := len(r.From)+len(r.To)+len(r.When) == 0; {
		case !t.lost:
		case p.Action == authz.Allow:
			t.Note(at, "the rule is left out, so less is allowed")
			continue
		case empty:
			t.untranslated(at, "nothing is left of the rule, so it is left out, and LESS IS DENIED", "write it anew")
			continue
		default:
			t.Note(at, "the rule goes without what was not translated, so more is denied")
		}
		p.Rules = append(p.Rules, r)
	}
}

// peerAuthentication is about mutual TLS, which is strict here unless somebody
// says otherwise.
func (t *translator) peerAuthentication() {
	var doc peerAuthentication
	if !t.Into(&doc) {
		return
	}
	if m := doc.Spec.MTLS; m != nil && m.Mode == "STRICT" && len(doc.Spec.PortLevelMTLS) == 0 {
		t.Note("spec.mtls.mode", "is what Outrider does without being told")
		return
	}
	t.untranslated("spec.mtls", "only mode STRICT without exceptions has an equal", "set mtls: Permissive on a listener or in MeshConfig, where it has to be, and remove the document")
}
