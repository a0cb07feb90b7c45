package findings_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/findings"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/sidecars"
	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/survey"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

var update = flag.Bool("update", false, "rewrite the table of codes")

// A mesh is a survey that a case makes worse.
type mesh = survey.Survey

// healthy is a small mesh in which nothing is wrong: payments and checkout, each with
// a sidecar, and a pod that wants none.
func healthy(t *testing.T) *mesh {
	t.Helper()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := &mesh{
		At: now, Kubernetes: "v1.36.1", System: mutate.ControlPlaneNamespace, WebhookExpires: now.AddDate(0, 0, 80),
		Namespaces: map[string]corev1.Namespace{
			"shop":    {ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled}}},
			"default": {ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		},
		Definitions: map[string]*kube.Definition{}, ControlPlane: deployment(), Webhook: webhook(t, now),
	}
	for _, r := range v1alpha1.Resources() {
		s.Definitions[r.Plural+"."+v1alpha1.Group] = definition()
	}
	s.Pods = []survey.Pod{pod(t, s, "default", "bare"), pod(t, s, "shop", "checkout"), pod(t, s, "shop", "payments")}
	s.Services = []corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "payments"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "payments"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}}
	s.Policies = []kube.Policy{
		document("AccessPolicy", "callers", `{"selector":{"matchLabels":{"app":"payments"}},"action":"Allow","rules":[{"from":[{"principals":["spiffe://cluster.local/ns/shop/sa/checkout"]}]}]}`),
		document("InspectionPolicy", "waf", `{"selector":{"matchLabels":{"app":"payments"}},"mode":"Block","exclusions":[{"rule":942100,"parameter":"q","reason":"legacy","expires":"2027-06-01"}]}`),
		document("MeshConfig", "mesh", `{"mtls":"Strict"}`),
	}
	return s
}

func deployment() *appsv1.Deployment {
	replicas := int32(2)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: mutate.ControlPlaneNamespace, Name: mutate.ControlPlaneName}}
	d.Spec.Replicas, d.Status.ReadyReplicas = &replicas, 2
	d.Spec.Template.Spec.Containers = []corev1.Container{{Args: []string{"serve", "--image=outrider:1"}}}
	return d
}

func webhook(t *testing.T, now time.Time) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	fail := admissionv1.Fail
	return &admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{{
		Name: "pod.inject.outrider.dev", FailurePolicy: &fail,
		ClientConfig: admissionv1.WebhookClientConfig{CABundle: authority(t, now.AddDate(0, 0, 80))},
	}}}
}

// authority is a certificate that expires then.
func authority(t *testing.T, expires time.Time) []byte {
	t.Helper()
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString("a.org"), Warn: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.Issue(spiffeid.RequireFromString("spiffe://a.org/a"), devca.IssueOptions{NotBefore: expires.AddDate(-1, 0, 0), NotAfter: expires})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificates[0].Raw})
}

func definition() *kube.Definition {
	d := new(kube.Definition)
	text := `{"spec":{"versions":[{"name":"v1alpha1","served":true}]},"status":{"conditions":[{"type":"Established","status":"True"}]}}`
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil
	}
	return d
}

// pod is one as the webhook would have made it, ready, whose sidecar says that all is
// well.
func pod(t *testing.T, s *mesh, namespace, name string) survey.Pod {
	t.Helper()
	bare := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: 8080}, {Name: "redis", ContainerPort: 6379},
		}}}},
	}
	m := mutate.Mesh{Image: "outrider:1", ControlPlane: "a:1", ControlPlaneID: "spiffe://cluster.local/a"}
	made, _ := m.Inject(bare, mutate.Namespace{Name: namespace, Labels: s.Namespaces[namespace].Labels})
	p := survey.Pod{Pod: *made}
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0." + fmt.Sprint(len(name))}},
		InitContainerStatuses: []corev1.ContainerStatus{{Name: mutate.InitContainer}, {Name: mutate.Container, Ready: true}},
	}
	if p.Injected() {
		p.Facts = &sidecars.Facts{Ready: true, Generation: "0123456789abcdef", SVIDExpires: s.At.Add(40 * time.Minute), RootExpires: s.At.AddDate(1, 0, 0)}
	}
	return p
}

func document(kind, name, spec string) kube.Policy {
	p := kube.Policy{Kind: kind, Spec: json.RawMessage(spec)}
	p.Metadata.Name, p.Metadata.Generation, p.Status.ObservedGeneration = name, 1, 1
	if kind != "MeshConfig" {
		p.Metadata.Namespace = "shop"
	}
	p.Status.Sidecars = v1alpha1.SidecarCounts{Programmed: 1, Total: 1}
	return p
}

func TestAHealthyMeshHasNoFindings(t *testing.T) {
	for _, f := range findings.Check(healthy(t)) {
		t.Error(f)
	}
}

// payments is the pod that most cases are about.
func payments(s *mesh) *survey.Pod { return &s.Pods[2] }

// cases make one thing worse each, and have one finding.
var cases = [...]struct {
	name string
	code findings.Code
	want string // part of the finding's line
	do   func(t *testing.T, s *mesh)
}{
	{"something may not be read", findings.NotRead, "services: can't be read: forbidden", func(_ *testing.T, s *mesh) {
		s.Unread = append(s.Unread, survey.Unread{What: "services", Err: errors.New("forbidden")})
	}},
	{"an old cluster", findings.OldKubernetes, `"v1.28.15+k3s1"`, func(_ *testing.T, s *mesh) { s.Kubernetes = "v1.28.15+k3s1" }},
	{"a cluster without a version", findings.OldKubernetes, `""`, func(_ *testing.T, s *mesh) { s.Kubernetes = "" }},
	{"a definition is missing", findings.NoDefinition, "meshconfigs.outrider.dev", func(_ *testing.T, s *mesh) { s.Definitions["meshconfigs.outrider.dev"] = nil }},
	{"a definition serves another version", findings.DefinitionUnserved, "does not serve v1alpha1", func(_ *testing.T, s *mesh) {
		s.Definitions["meshconfigs.outrider.dev"].Spec.Versions[0].Name = "v1beta1"
	}},
	{"a definition is not established", findings.DefinitionUnserved, "", func(_ *testing.T, s *mesh) {
		s.Definitions["meshconfigs.outrider.dev"].Status.Conditions = nil
	}},
	{"there is no control plane", findings.NoControlPlane, "outrider-system/outrider-injector", func(_ *testing.T, s *mesh) { s.ControlPlane = nil }},
	{"one replica is down", findings.ReplicasNotReady, "1 of 2", func(_ *testing.T, s *mesh) { s.ControlPlane.Status.ReadyReplicas = 1 }},
	{"all replicas are down", findings.NoReplicaReady, "none of 2", func(_ *testing.T, s *mesh) { s.ControlPlane.Status.ReadyReplicas = 0 }},
	{"there is no webhook", findings.NoWebhook, "", func(_ *testing.T, s *mesh) { s.Webhook = nil }},
	{"the webhook fails open", findings.WebhookFailsOpen, "Ignore", func(_ *testing.T, s *mesh) {
		ignore := admissionv1.Ignore
		s.Webhook.Webhooks[0].FailurePolicy = &ignore
	}},
	{"the webhook has no authority yet", findings.WebhookUntrusted, "", func(_ *testing.T, s *mesh) { s.Webhook.Webhooks[0].ClientConfig.CABundle = nil }},
	{"the authority can't be read", findings.WebhookUntrusted, "", func(_ *testing.T, s *mesh) {
		s.Webhook.Webhooks[0].ClientConfig.CABundle = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	}},
	{"the authority has expired", findings.CertificateExpired, "pod.inject", func(t *testing.T, s *mesh) {
		s.Webhook.Webhooks[0].ClientConfig.CABundle = authority(t, s.At.Add(-time.Hour))
	}},
	{"the certificate expires", findings.CertificateExpires, "webhook certificate", func(_ *testing.T, s *mesh) { s.WebhookExpires = s.At.AddDate(0, 0, 29) }},
	{"a namespace's label is mistyped", findings.LabelNotUnderstood, `namespace default: its label outrider.dev/inject is "true"`, func(_ *testing.T, s *mesh) {
		s.Namespaces["default"] = corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{mutate.Label: "true"}}}
	}},
	{"a pod is older than its namespace's label", findings.PodWithoutSidecar, "pod default/bare", func(_ *testing.T, s *mesh) {
		s.Namespaces["default"] = corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{mutate.Label: mutate.Enabled}}}
	}},
	{"a pod would be refused", findings.PodRefused, "HostNetwork", func(_ *testing.T, s *mesh) {
		s.Pods[0].Labels[mutate.Label], s.Pods[0].Spec.HostNetwork = mutate.Enabled, true
	}},
	{"a sidecar crashes", findings.SidecarNotReady, "CrashLoopBackOff", func(_ *testing.T, s *mesh) {
		st := &payments(s).Status.InitContainerStatuses[1]
		st.Ready, st.State.Waiting = false, &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	}},
	{"a sidecar is from last year", findings.SidecarOutdated, "outrider:0", func(_ *testing.T, s *mesh) {
		for i := range payments(s).Spec.InitContainers {
			if c := &payments(s).Spec.InitContainers[i]; c.Name == mutate.Container {
				c.Image = "outrider:0"
			}
		}
	}},
	{"a sidecar says nothing", findings.SidecarSilent, "forbidden", func(_ *testing.T, s *mesh) { payments(s).Facts, payments(s).Err = nil, errors.New("forbidden") }},
	{"there are many sidecars", findings.SidecarsNotAsked, "7 more", func(_ *testing.T, s *mesh) { s.NotAsked = 7 }},
	{"a sidecar has no identity", findings.NoSVID, "", func(_ *testing.T, s *mesh) { payments(s).Facts.SVIDExpires = time.Time{} }},
	{"an SVID has expired", findings.SVIDExpired, "11:59:59", func(_ *testing.T, s *mesh) { payments(s).Facts.SVIDExpires = s.At.Add(-time.Second) }},
	{"an SVID is not renewed", findings.SVIDExpires, "12:09:59", func(_ *testing.T, s *mesh) { payments(s).Facts.SVIDExpires = s.At.Add(10*time.Minute - time.Second) }},
	{"a root expires", findings.RootExpires, "", func(_ *testing.T, s *mesh) { payments(s).Facts.RootExpires = s.At.AddDate(0, 0, 59) }},
	{"plaintext is let in", findings.PlaintextTaken, "3 connections in plaintext were let in, among others from default/bare, 192.0.2.1", func(_ *testing.T, s *mesh) {
		payments(s).Facts.PlaintextTaken, payments(s).PlaintextFrom = 3, []string{"10.0.0.4", "192.0.2.1"}
	}},
	{"plaintext is refused", findings.PlaintextRefused, "and others", func(_ *testing.T, s *mesh) {
		payments(s).Facts.PlaintextRefused, payments(s).PlaintextFrom = 3, []string{"a", "b", "c", "d", "e", "f"}
	}},
	{"one is one", findings.PlaintextRefused, "1 connection in plaintext was refused", func(_ *testing.T, s *mesh) { payments(s).Facts.PlaintextRefused = 1 }},
	{"calls pass by", findings.PassedThrough, "", func(_ *testing.T, s *mesh) { payments(s).Facts.Passed = 1 }},
	{"a port says nothing", findings.PortWithoutProtocol, `port 80 ("web")`, func(_ *testing.T, s *mesh) { s.Services[0].Spec.Ports[0].Name = "web" }},
	{"a document is not valid", findings.DocumentInvalid, "AccessPolicy shop/wrong: spec.action", func(_ *testing.T, s *mesh) {
		s.Policies = append(s.Policies, document("AccessPolicy", "wrong", `{"action":"Maybe"}`))
	}},
	{"a document is questionable", findings.DocumentQuestionable, "Permissive", func(_ *testing.T, s *mesh) { s.Policies[2].Spec = json.RawMessage(`{"mtls":"Permissive"}`) }},
	{"a rule is for everybody", "OUT101", "AccessPolicy shop/all", func(_ *testing.T, s *mesh) {
		s.Policies = append(s.Policies[1:], document("AccessPolicy", "all", `{"selector":{"matchLabels":{"app":"payments"}},"action":"Allow","rules":[{}]}`))
	}},
	{"a rule speaks of HTTP on a port that has none", "OUT107", "AccessPolicy shop/redis", func(_ *testing.T, s *mesh) {
		for i := range payments(s).Spec.InitContainers {
			payments(s).Spec.InitContainers[i].Env = []corev1.EnvVar{{Name: "OUTRIDER_CONFIG", Value: opaqueSidecar}}
		}
		s.Policies = append(s.Policies, document("AccessPolicy", "redis", `{"selector":{"matchLabels":{"app":"payments"}},"action":"Allow","rules":[{"from":[{"principals":["spiffe://cluster.local/ns/shop/sa/a"]}],"to":[{"ports":[6379],"methods":["GET"]}]}]}`))
	}},
	{"sidecars refuse a document", findings.DocumentRejected, "1 of 2 sidecars refuse it: no such rule", func(_ *testing.T, s *mesh) {
		s.Policies[1].Status.Sidecars = v1alpha1.SidecarCounts{Programmed: 1, Rejected: 1, Total: 2}
		s.Policies[1].Status.Conditions = []metav1.Condition{{Type: v1alpha1.Programmed, Message: "no such rule"}}
	}},
	{"a document is under way", findings.DocumentPending, "1 of 2", func(_ *testing.T, s *mesh) { s.Policies[1].Status.Sidecars.Total = 2 }},
	{"a selector is mistyped", findings.SelectsNothing, "AccessPolicy shop/b", func(_ *testing.T, s *mesh) {
		s.Policies = append(s.Policies, document("AccessPolicy", "b", `{"selector":{"matchLabels":{"app":"paiments"}},"action":"Allow","rules":[{"from":[{"principals":["spiffe://cluster.local/a"]}]}]}`))
	}},
	{"a second MeshConfig", findings.MeshConfigIgnored, "MeshConfig default", func(_ *testing.T, s *mesh) { s.Policies = append(s.Policies, document("MeshConfig", "default", `{}`)) }},
	{"a sidecar refused policies", findings.PoliciesRefused, "0123456789abcdef", func(_ *testing.T, s *mesh) { payments(s).Facts.PoliciesRefused = 1 }},
	{"an exclusion has expired", findings.ExclusionExpired, "2026-11-26", func(_ *testing.T, s *mesh) { exclude(s, "2026-11-26") }},
	{"an exclusion expires", findings.ExclusionExpires, "2026-12-10", func(_ *testing.T, s *mesh) { exclude(s, "2026-12-10") }},
	{"requests are not inspected", findings.Uninspected, "4 requests", func(_ *testing.T, s *mesh) { payments(s).Facts.Uninspected = 4 }},
}

const opaqueSidecar = `apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments, namespace: shop}
spec:
  identity: {workloadAPI: {}}
  policies: {denyAll: true}
  inbound: [{name: inbound, capture: true, ports: [{port: 6379, protocol: TCP}]}]
`

func exclude(s *mesh, until string) {
	s.Policies[1].Spec = json.RawMessage(strings.ReplaceAll(string(s.Policies[1].Spec), "2027-06-01", until))
}

func TestEachCodeIsFound(t *testing.T) {
	seen := map[findings.Code]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := healthy(t)
			c.do(t, s)
			all := findings.Check(s)
			if len(all) != 1 || all[0].Code != c.code || !strings.Contains(all[0].String(), c.want) || all[0].Remedy == "" {
				t.Errorf("findings %q, want one of %s with %q", all, c.code, c.want)
			}
			seen[c.code] = true
		})
	}
	for _, e := range findings.Codes() {
		if !seen[e.Code] {
			t.Errorf("no case finds %s: %s", e.Code, e.Meaning)
		}
	}
	if len(seen) < 38 {
		t.Errorf("only %d codes", len(seen))
	}
}

// What could not be read says nothing of whether it is there.
func TestWhatIsForbiddenIsNotMissing(t *testing.T) {
	s := healthy(t)
	s.ControlPlane, s.Webhook = nil, nil
	for _, what := range []string{"deployment outrider-system/outrider-injector", "mutatingwebhookconfiguration outrider-injector"} {
		s.Unread = append(s.Unread, survey.Unread{What: what, Err: errors.New("forbidden")})
	}
	for _, f := range findings.Check(s) {
		if f.Code != findings.NotRead {
			t.Error(f)
		}
	}
}

// These must not be taken for mistakes.
func TestWhatIsMeantIsNotFound(t *testing.T) {
	for name, do := range map[string]func(s *mesh){
		"a pod that asks for another image": func(s *mesh) {
			payments(s).Annotations[mutate.Prefix+"image"] = "mine:1"
			for i := range payments(s).Spec.InitContainers {
				payments(s).Spec.InitContainers[i].Image = "mine:1"
			}
		},
		"a node agent in a labelled namespace": func(s *mesh) {
			p := s.Pods[0]
			p.Namespace, p.Spec.HostNetwork = "shop", true
			s.Pods[0] = p
		},
		"a status that is about an older document": func(s *mesh) {
			s.Policies[0].Metadata.Generation, s.Policies[0].Status.Sidecars = 2, v1alpha1.SidecarCounts{Rejected: 1, Total: 1}
		},
		"a selector in a namespace that was not read": func(s *mesh) {
			s.Policies[0].Metadata.Namespace, s.Pods = "elsewhere", nil
			s.Policies[1].Metadata.Namespace = "elsewhere"
		},
		"a port of UDP": func(s *mesh) {
			s.Services[0].Spec.Ports[0] = corev1.ServicePort{Name: "dns", Protocol: corev1.ProtocolUDP}
		},
		"a service of strangers":  func(s *mesh) { s.Services[0].Spec.Selector["app"], s.Services[0].Spec.Ports[0].Name = "others", "web" },
		"an application protocol": func(s *mesh) { s.Services[0].Spec.Ports[0] = corev1.ServicePort{AppProtocol: new("kubernetes.io/h2c")} },
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy(t)
			do(s)
			for _, f := range findings.Check(s) {
				t.Error(f)
			}
		})
	}
}

func TestCodesAreStableAndExplained(t *testing.T) {
	form := regexp.MustCompile(`^OUT[2-6]\d\d$`)
	last := findings.Code("")
	for _, e := range findings.Codes() {
		if !form.MatchString(string(e.Code)) || e.Code <= last || e.Meaning == "" || e.Remedy == "" || e.Severity != findings.Error && e.Severity != findings.Warning {
			t.Errorf("%+v, after %s", e, last)
		}
		last = e.Code
	}
}

// docs/kubectl.md lists every code.
func TestCodesAreDocumented(t *testing.T) {
	const begin, end = "<!-- codes: generated by `go test ./cmd/kubectl-outrider/findings -update` -->\n", "<!-- end of codes -->"
	const page = "../../../docs/kubectl.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the codes", page)
	}
	var b strings.Builder
	b.WriteString("| code | severity | meaning | what to do |\n|---|---|---|---|\n")
	for _, e := range findings.Codes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Code, e.Severity, e.Meaning, e.Remedy)
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +page):\n%s", diff)
	}
}
