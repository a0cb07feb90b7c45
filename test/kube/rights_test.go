package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/test/kube/pki"
)

// A right is one thing that might be done.
type right struct{ verb, group, resource, subresource, namespace, name string }

// rights asks the API server, as the control plane's service account, about everything
// that an attacker who has its token would like to do. What the manifest lists is
// allowed, and nothing else.
func (w *world) rights(t *testing.T, _ *replica) {
	path, err := w.Authority.Kubeconfig("rights", w.URL, pki.User{Token: w.token(t, system, injector.Name, "", nil)})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	listed := manifest(t)
	var allowed int
	for _, r := range everything() {
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource, Namespace: r.namespace, Name: r.name,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := slices.ContainsFunc(listed, func(g grant) bool { return g.gives(r) })
		if want {
			allowed++
		}
		w.check(t, answer.Status.Allowed == want, "%+v: allowed %v, the manifest says %v", r, answer.Status.Allowed, want)
	}
	t.Logf("rights: %d of %d are allowed", allowed, len(everything()))
	w.check(t, allowed >= 25, "only %d are allowed; the list misses what is used", allowed)
}

// everything is each verb of each resource, for the names that count and one other.
func everything() []right {
	resources := map[string][]string{ // group/resource and the names that somebody may have
		"/namespaces": {}, "/pods": {}, "/pods/exec": {}, "/nodes": {}, "/services": {}, "/endpoints": {}, "/events": {},
		"/secrets":    {"outrider-ca", "outrider-webhook", "outrider-external-ca"},
		"/configmaps": {"outrider-trust"}, "/serviceaccounts": {}, "/serviceaccounts/token": {},
		"apps/replicasets": {}, "apps/deployments": {}, "apps/statefulsets": {}, "apps/daemonsets": {}, "batch/jobs": {},
		"discovery.k8s.io/endpointslices": {}, "coordination.k8s.io/leases": {"outrider-injector"},
		"admissionregistration.k8s.io/mutatingwebhookconfigurations":   {"outrider-injector"},
		"admissionregistration.k8s.io/validatingwebhookconfigurations": {},
		"authentication.k8s.io/tokenreviews":                           {}, "apiextensions.k8s.io/customresourcedefinitions": {},
		"rbac.authorization.k8s.io/clusterroles": {}, "rbac.authorization.k8s.io/rolebindings": {}, "certificates.k8s.io/certificatesigningrequests": {},
		"outrider.dev/meshconfigs": {"mesh"}, "outrider.dev/meshconfigs/status": {"mesh"},
		"outrider.dev/accesspolicies": {}, "outrider.dev/accesspolicies/status": {}, "outrider.dev/inspectionpolicies": {}, "outrider.dev/inspectionpolicies/status": {},
	}
	var all []right
	for full, names := range resources {
		parts := strings.Split(full, "/")
		r := right{group: parts[0], resource: parts[1]}
		if len(parts) == 3 {
			r.subresource = parts[2]
		}
		for _, r.verb = range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			for _, r.namespace = range []string{"", system, "shop"} {
				for _, r.name = range append([]string{"", "another"}, names...) {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// A grant is one rule of the manifest, and where it holds.
type grant struct {
	rule      rbacv1.PolicyRule
	namespace string // empty: everywhere
}

func (g grant) gives(r right) bool {
	resource := r.resource
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	return (g.namespace == "" || g.namespace == r.namespace) && slices.Contains(g.rule.Verbs, r.verb) &&
		slices.Contains(g.rule.APIGroups, r.group) && slices.Contains(g.rule.Resources, resource) &&
		(len(g.rule.ResourceNames) == 0 || slices.Contains(g.rule.ResourceNames, r.name))
}

// manifest are the rules of manifests/base/rbac.yaml.
func manifest(t *testing.T) []grant {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "manifests/base/rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []grant
	for _, doc := range split(string(text)) {
		var role rbacv1.Role // a ClusterRole has the same fields
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			t.Fatal(fmt.Errorf("%w\n%s", err, doc))
		}
		for _, rule := range role.Rules {
			all = append(all, grant{rule, role.Namespace})
		}
	}
	if len(all) < 8 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}
