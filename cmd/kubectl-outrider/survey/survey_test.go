package survey_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kubetest"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// The library ends a connection whose other end has closed before a second later.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// shop is the cluster that the plugin's sessions have.
func shop(t *testing.T) (*kubetest.Server, *kube.Client) {
	t.Helper()
	s, err := kubetest.Start("../testdata/clusters/shop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, s.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.New(kube.Options{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func read(t *testing.T, c *kube.Client, o survey.Options) *survey.Survey {
	t.Helper()
	o.System = "outrider-system"
	s, err := survey.Read(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAMeshIsRead(t *testing.T) {
	_, c := shop(t)
	s := read(t, c, survey.Options{MostAsked: 10})
	if len(s.Unread) > 0 || s.Kubernetes != "v1.36.1" || len(s.Definitions) != 3 || s.ControlPlane == nil || s.Webhook == nil || len(s.Namespaces) != 2 || len(s.Services) != 1 || len(s.Policies) != 3 {
		t.Errorf("%+v", s)
	}
	if s.WebhookExpires.Year() != 2100 {
		t.Errorf("the webhook's certificate expires at %v", s.WebhookExpires)
	}
	var names []string
	for i := range s.Pods {
		names = append(names, s.Pods[i].String())
	}
	if got := strings.Join(names, " "); got != "outrider-system/injector-1 shop/checkout shop/legacy shop/payments-6c8d4f-abcde" {
		t.Errorf("pods %s", got)
	}
	checkout, payments := s.Pods[1], s.Pods[3]
	if checkout.Facts != nil || checkout.Err == nil {
		t.Errorf("a sidecar that says nothing said %+v, %v", checkout.Facts, checkout.Err)
	}
	if payments.Facts == nil || payments.Facts.PlaintextRefused != 3 || len(payments.PlaintextFrom) != 1 {
		t.Fatalf("%+v, from %v", payments.Facts, payments.PlaintextFrom)
	}
	for address, want := range map[string]string{payments.PlaintextFrom[0]: "shop/legacy", "::ffff:10.0.0.2": "shop/checkout", "192.0.2.1": "192.0.2.1", "\x1b[31m": `"\x1b[31m"`} {
		if got := s.Caller(address); got != want {
			t.Errorf("%q is %s, want %s", address, got, want)
		}
	}
}

func TestAskingIsBounded(t *testing.T) {
	_, c := shop(t)
	if s := read(t, c, survey.Options{Namespace: "shop", MostAsked: 1}); s.NotAsked != 1 || len(s.Pods) != 3 {
		t.Errorf("%d not asked, of %d pods", s.NotAsked, len(s.Pods))
	}
	if s := read(t, c, survey.Options{Namespace: "shop", Selector: "app=payments"}); s.NotAsked != 1 || len(s.Pods) != 1 {
		t.Errorf("%d not asked, of %d pods", s.NotAsked, len(s.Pods))
	}
}

// Whoever may read little learns as much as they may.
func TestWhatIsForbiddenIsNoted(t *testing.T) {
	server, c := shop(t)
	forbidden := []string{
		"/api/v1/namespaces", "/api/v1/services", "/apis/outrider.dev/v1alpha1/accesspolicies",
		"/apis/apps/v1/namespaces/outrider-system/deployments/outrider-injector",
		"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/outrider-injector",
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/meshconfigs.outrider.dev",
		"/api/v1/namespaces/outrider-system/pods",
	}
	for _, path := range forbidden {
		server.Refuse(path, http.StatusForbidden)
	}
	s := read(t, c, survey.Options{MostAsked: 10})
	if len(s.Unread) != len(forbidden) || len(s.Pods) != 4 {
		t.Errorf("%d pods; not read %v", len(s.Pods), s.Unread)
	}
	if _, there := s.Definitions["meshconfigs.outrider.dev"]; there {
		t.Error("a definition that could not be read is taken for one that is not there")
	}
	server.Refuse("/version", http.StatusUnauthorized)
	if _, err := survey.Read(t.Context(), c, survey.Options{}); err == nil {
		t.Error("a cluster of which nothing can be read is surveyed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := survey.Read(ctx, c, survey.Options{}); err == nil {
		t.Error("an interrupted survey is whole")
	}
}

func policy(kind, name, spec string) kube.Policy {
	p := kube.Policy{Kind: kind, Spec: json.RawMessage(spec)}
	p.Metadata.Name = name
	if kind != config.KindMeshConfig {
		p.Metadata.Namespace = "shop"
	}
	return p
}

// One mistake must not take the others' policies out of the explanation.
func TestDocumentsLeaveOutWhatIsNotValid(t *testing.T) {
	documents, problems := survey.Documents([]kube.Policy{
		policy(config.KindAccessPolicy, "good", `{"action":"Allow","rules":[{"from":[{"principals":["spiffe://a.org/b"]}]}]}`),
		policy(config.KindAccessPolicy, "bad", `{"action":"Alow"}`),
		policy(config.KindAccessPolicy, "worse", `"text"`),
		policy(config.KindMeshConfig, "default", `{"mtls":"Permissive"}`),
		policy(config.KindMeshConfig, "mesh", `{"mtls":"Strict"}`),
		policy(config.KindInspectionPolicy, "waf", `{"mode":"Block"}`),
	})
	if len(documents.Access) != 1 || len(documents.Inspection) != 1 || documents.Mesh == nil || documents.Mesh.Spec.MTLS != config.Strict {
		t.Errorf("%+v", documents)
	}
	about := map[string]bool{}
	for _, p := range problems {
		about[p.File] = true
	}
	if len(about) != 2 || !about["AccessPolicy shop/bad"] || !about["AccessPolicy shop/worse"] {
		t.Errorf("problems %v", problems)
	}
}
