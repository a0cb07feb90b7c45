package injector_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	k8stesting "k8s.io/client-go/testing"

	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/webhook"
	"github.com/outrider-mesh/outrider/manifests"
)

// base is every object of manifests/base, read strictly.
func base(t *testing.T) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	err := fs.WalkDir(manifests.Files(), "base", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == "kustomization.yaml" {
			return err
		}
		text, err := fs.ReadFile(manifests.Files(), name)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq(string(text), "\n---\n") {
			object, _, err := decoder.Decode([]byte(doc), nil, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, object)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 12 {
		t.Fatalf("only %d objects", len(all))
	}
	return all
}

// one returns the object of a type.
func one[T runtime.Object](t *testing.T, objects []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T", len(found), *new(T))
	}
	return found[0]
}

// The kustomization must list every file, or it would be left out of the
// installation.
func TestTheKustomizationListsEveryFile(t *testing.T) {
	text, err := fs.ReadFile(manifests.Files(), "base/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(manifests.Files(), "base")
	if err != nil || len(entries) < 8 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if e.Name() != "kustomization.yaml" && !strings.Contains(string(text), "\n- "+e.Name()+"\n") {
			t.Errorf("%s is not listed", e.Name())
		}
	}
}

func TestOverlaysAreRendered(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("there is no kubectl to render them")
	}
	for overlay, want := range map[string]string{
		"base": "kind: MutatingWebhookConfiguration", "overlays/spire": "- --identity-provider=WorkloadAPI", "overlays/ha": "replicas: 3",
	} {
		out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "../manifests/"+overlay).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", overlay, err, out)
		}
	}
}

func TestTheWebhookAsksAboutWhoeverAsks(t *testing.T) {
	c := one[*admissionv1.MutatingWebhookConfiguration](t, base(t))
	if c.Name != injector.Name || len(c.Webhooks) != 2 {
		t.Fatalf("%s has %d entries", c.Name, len(c.Webhooks))
	}
	never := append(mutate.SystemNamespaces(), mutate.ControlPlaneNamespace)
	slices.Sort(never)
	for _, w := range c.Webhooks {
		s := w.ClientConfig.Service
		if s.Name != injector.Name || s.Namespace != mutate.ControlPlaneNamespace || *s.Path != webhook.Path {
			t.Errorf("%s calls %+v", w.Name, s)
		}
		if *w.FailurePolicy != admissionv1.Fail || *w.SideEffects != admissionv1.SideEffectClassNoneOnDryRun || *w.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy {
			t.Errorf("%s fails open, has side effects or is called once", w.Name)
		}
		selectors := append(slices.Clone(w.NamespaceSelector.MatchExpressions), w.ObjectSelector.MatchExpressions...)
		var asks, spares bool
		for _, e := range selectors {
			asks = asks || e.Key == mutate.Label && e.Operator == metav1.LabelSelectorOpIn && slices.Equal(e.Values, []string{mutate.Enabled})
			spares = spares || e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpNotIn && slices.Equal(e.Values, never)
		}
		if !asks || !spares {
			t.Errorf("%s does not select by the label alone (%v), or not the system's namespaces out (%v)", w.Name, asks, spares)
		}
	}
}

func TestTheDeploymentHasWhatTheProgramSays(t *testing.T) {
	objects := base(t)
	d := one[*appsv1.Deployment](t, objects)
	c := d.Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if diff := cmp.Diff(map[string]int32{"webhook": injector.WebhookPort, "issuer": injector.IssuerPort, "push": injector.PushPort, "metrics": injector.MetricsPort, "health": injector.HealthPort}, ports); diff != "" {
		t.Errorf("ports (-program +manifest):\n%s", diff)
	}
	if d.Name != injector.Name || d.Namespace != mutate.ControlPlaneNamespace || d.Spec.Template.Spec.ServiceAccountName != injector.Name || *d.Spec.Replicas != 2 {
		t.Errorf("the Deployment is %s/%s of %s", d.Namespace, d.Name, d.Spec.Template.Spec.ServiceAccountName)
	}
	var secrets []string
	for _, o := range objects {
		if s, ok := o.(*corev1.Secret); ok {
			secrets = append(secrets, s.Name)
			if len(s.Data)+len(s.StringData) > 0 {
				t.Errorf("the Secret %s has content", s.Name)
			}
		}
	}
	slices.Sort(secrets)
	if diff := cmp.Diff([]string{kube.StateSecret, injector.CertificateSecret}, secrets); diff != "" {
		t.Errorf("Secrets (-program +manifest):\n%s", diff)
	}
	served := map[int32]string{}
	for _, p := range one[*corev1.Service](t, objects).Spec.Ports {
		served[p.Port] = p.TargetPort.StrVal
	}
	if diff := cmp.Diff(map[int32]string{443: "webhook", mutate.ControlPort: "issuer", mutate.PushPort: "push"}, served); diff != "" {
		t.Errorf("the Service's ports (-wanted +manifest):\n%s", diff)
	}
	if l := one[*coordinationv1.Lease](t, objects); l.Name != injector.Name {
		t.Errorf("the Lease is %s", l.Name)
	}
	if s := c.SecurityContext; *s.RunAsUser == 0 || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Add) > 0 {
		t.Errorf("the control plane may do too much: %+v", s)
	}
}

// permissions are "verb resource/name" of everything that is allowed.
func permissions(objects []runtime.Object) []string {
	var all []string
	add := func(rules []rbacv1.PolicyRule) {
		for _, r := range rules {
			names := r.ResourceNames
			if len(names) == 0 {
				names = []string{"*"}
			}
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					for _, name := range names {
						all = append(all, verb+" "+resource+"/"+name)
					}
				}
			}
		}
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *rbacv1.ClusterRole:
			add(o.Rules)
		case *rbacv1.Role:
			add(o.Rules)
		}
	}
	slices.Sort(all)
	return all
}

// restricted are the resources of which not every object may be asked for.
var restricted = []string{"secrets", "leases", "mutatingwebhookconfigurations", "configmaps", "meshconfigs"}

// named is the same of something that was asked.
func named(a k8stesting.Action) string {
	name := "*"
	switch a := a.(type) {
	case k8stesting.GetAction: // patches as well
		name = a.GetName()
	case k8stesting.UpdateAction: // what is created is of this kind too, and has no name to be restricted to
		if o, ok := a.GetObject().(metav1.Object); ok && a.GetVerb() == "update" {
			name = o.GetName()
		}
	case k8stesting.ListAction:
		name = selected(a.GetListRestrictions().Fields)
	case k8stesting.WatchAction:
		name = selected(a.GetWatchRestrictions().Fields)
	}
	resource := a.GetResource().Resource
	if !slices.Contains(restricted, resource) {
		name = "*"
	}
	if sub := a.GetSubresource(); sub != "" {
		resource += "/" + sub
	}
	return a.GetVerb() + " " + resource + "/" + name
}

// selected is the one name that a list or a watch is about.
func selected(s fields.Selector) string {
	if name, ok := s.RequiresExactMatch("metadata.name"); ok {
		return name
	}
	return "*"
}

// Everything that the control plane asks it may, and nothing else may it ask.
func TestPermissionsAreWhatIsUsed(t *testing.T) {
	objects := base(t)
	owned := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}
	}
	client := fake.NewClientset(append(slices.Clone(objects),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled}}},
		&appsv1.ReplicaSet{ObjectMeta: owned("rs")}, &appsv1.StatefulSet{ObjectMeta: owned("sts")},
		&appsv1.DaemonSet{ObjectMeta: owned("ds")}, &batchv1.Job{ObjectMeta: owned("job")})...)
	written := make(chan struct{}, 4)
	client.PrependReactor("create", "events", func(k8stesting.Action) (bool, runtime.Object, error) {
		written <- struct{}{}
		return false, nil, nil
	})
	// One namespace has to be told of the roots, another one has been told of others.
	stale := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "stale", Name: kube.TrustConfigMap}}
	if err := errors.Join(client.Tracker().Add(stale), client.Tracker().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "stale"}})); err != nil {
		t.Fatal(err)
	}
	reviewing(client)
	resources := meshConfigs(meshConfig(map[string]any{"mtls": "Strict"}), accessPolicy("callers", "Allow"), inspectionPolicy("waf"))
	ctx, cancel := context.WithCancel(t.Context())
	ls := listeners(t)
	done, post := run(ctx, t, client, injector.Options{
		Client: client, Resources: resources, Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "example.com/outrider:1"}, TrustDomain: "shop.example",
	})
	s := sidecar(t.Context(), t, client, ls.Issuer.Addr().String(), "good")
	eventually(t, "a sidecar has an identity", func() bool { return s.Current().Ready() })
	actions := func() (used []string) {
		for _, a := range slices.Concat(client.Actions(), resources.Actions()) {
			used = append(used, named(a))
		}
		return used
	}
	for _, last := range []string{"update configmaps/" + kube.TrustConfigMap, "update meshconfigs/status/mesh", "patch accesspolicies/status/*", "patch inspectionpolicies/status/*"} {
		eventually(t, last, func() bool { return slices.Contains(actions(), last) })
	}
	for _, owner := range [][2]string{{"ReplicaSet", "rs"}, {"StatefulSet", "sts"}, {"DaemonSet", "ds"}, {"Job", "job"}} {
		status, body := post(`{"name":"web","ownerReferences":[{"apiVersion":"v1","kind":"` + owner[0] + `","name":"` + owner[1] + `","uid":"` + owner[1] + `","controller":true}]}`)
		if status != 200 {
			t.Errorf("%d %s", status, body)
		}
		<-written
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	used := actions()
	slices.Sort(used)
	if diff := cmp.Diff(permissions(objects), slices.Compact(used)); diff != "" {
		t.Errorf("(-allowed +used):\n%s", diff)
	}
}
