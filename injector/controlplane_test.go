package injector_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/injector/issue/kube"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const system = mutate.ControlPlaneNamespace

// cluster has what the manifests bring, and a labelled namespace.
func cluster() *fake.Clientset {
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: system, Name: name} }
	return fake.NewClientset(
		&corev1.Secret{ObjectMeta: in(injector.CertificateSecret)},
		&corev1.Secret{ObjectMeta: in(kube.StateSecret)},
		&coordinationv1.Lease{ObjectMeta: in(injector.Name)},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: injector.Name}, Webhooks: []admissionv1.MutatingWebhook{{Name: "pod.outrider.dev"}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled}}},
	)
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listeners(t *testing.T) injector.Listeners {
	t.Helper()
	return injector.Listeners{Webhook: listener(t), Metrics: listener(t), Health: listener(t), Issuer: listener(t), Push: listener(t)}
}

// meshConfigs are the custom resources of a cluster.
func meshConfigs(objects ...runtime.Object) *dynamicfake.FakeDynamicClient {
	kinds := map[schema.GroupVersionResource]string{}
	for _, r := range v1alpha1.Resources() {
		kinds[r.GroupVersionResource()] = r.Kind + "List"
	}
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
}

func fetch(t *testing.T, client *http.Client, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// startWith runs a control plane until ctx ends, and returns how it is asked about a
// pod: as the API server does, by what stands in the webhook's configuration.
func startWith(ctx context.Context, t *testing.T, client *fake.Clientset) (<-chan error, injector.Listeners, func(string) (int, string)) {
	t.Helper()
	ls := listeners(t)
	done, post := run(ctx, t, client, injector.Options{
		Client: client, Resources: meshConfigs(), Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "example.com/outrider:1"}, TrustDomain: "shop.example",
	})
	return done, ls, post
}

// run runs a control plane of any kind.
func run(ctx context.Context, t *testing.T, client *fake.Clientset, opts injector.Options) (<-chan error, func(string) (int, string)) {
	t.Helper()
	c, err := injector.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ls := opts.Listeners
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	// The handshake waits for the certificate; that comes with its authority.
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		ServerName: "outrider-injector.outrider-system.svc", InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error { //nolint:contextcheck // it outlives ctx
			configuration, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), injector.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(configuration.Webhooks[0].ClientConfig.CABundle)
			_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: state.ServerName})
			return err
		},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return done, func(metadata string) (int, string) { //nolint:contextcheck // it outlives ctx
		return fetch(t, &http.Client{Transport: transport}, "POST", "https://"+ls.Webhook.Addr().String()+"/inject",
			`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","resource":{"version":"v1","resource":"pods"},`+
				`"operation":"CREATE","namespace":"shop","object":{"metadata":`+metadata+`,"spec":{"containers":[{"name":"web"}]}}}}`)
	}
}

// decoded is the patch of an answer.
func decoded(t *testing.T, body string) string {
	t.Helper()
	var review admissionapi.AdmissionReview
	if err := json.Unmarshal([]byte(body), &review); err != nil {
		t.Fatal(err)
	}
	return string(review.Response.Patch)
}

// From nothing to a pod with a sidecar.
func TestAPodIsInjectedByWhatTheConfigurationSays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done, ls, post := startWith(ctx, t, cluster())
	status, body := post(`{"name":"web"}`)
	if status != http.StatusOK || !strings.Contains(body, `"patchType":"JSONPatch"`) {
		t.Errorf("%d %s", status, body)
	}
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	for url, want := range map[string]string{
		"http://" + ls.Health.Addr().String() + "/healthz/live":  "live\n",
		"http://" + ls.Health.Addr().String() + "/healthz/ready": "ready\n",
		"http://" + ls.Metrics.Addr().String() + "/metrics":      `outrider_injector_admissions_total{reason="Labelled",verdict="inject"} 1`,
	} {
		if status, body := fetch(t, &http.Client{Transport: plain}, "GET", url, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Nobody sends traffic to a replica that can't answer.
func TestWithoutACertificateItIsNotReady(t *testing.T) {
	client := fake.NewClientset(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: injector.Name}})
	ls := listeners(t)
	c, err := injector.New(injector.Options{Client: client, Resources: meshConfigs(), Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "example.com/outrider:1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	status, body := fetch(t, &http.Client{Transport: transport}, "GET", "http://"+ls.Health.Addr().String()+"/healthz/ready", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "no certificate") {
		t.Errorf("%d %s", status, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsMissingIsAnError(t *testing.T) {
	full := injector.Options{
		Client: cluster(), Resources: meshConfigs(), Replica: "a", Mesh: mutate.Mesh{Image: "i"}, Listeners: listeners(t),
	}
	var tried int
	for what, spoil := range map[string]func(*injector.Options){
		"client": func(o *injector.Options) { o.Client = nil }, "replica": func(o *injector.Options) { o.Replica = "" },
		"resources": func(o *injector.Options) { o.Resources = nil }, "an issuer's listener": func(o *injector.Options) { o.Listeners.Issuer = nil },
		"an issuer, with a listener for one": func(o *injector.Options) { o.Identity = new(identity.Publisher) },
		"sense":                              func(o *injector.Options) { o.CA.SVID = 48 * time.Hour },
		"image":                              func(o *injector.Options) { o.Mesh.Image = "" }, "listeners": func(o *injector.Options) { o.Listeners.Health = nil },
	} {
		tried++
		o := full
		spoil(&o)
		if _, err := injector.New(o); err == nil {
			t.Errorf("made without %s", what)
		}
	}
	if tried < 8 {
		t.Errorf("tried %d", tried)
	}
}

// docs/kubernetes.md lists the control plane's metrics, those of the issuer excepted.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	identities, err := os.ReadFile("../docs/identity.md") // its own test has the issuer's
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	ls := listeners(t)
	if _, err := injector.New(injector.Options{Client: cluster(), Resources: meshConfigs(), Replica: "a", Listeners: ls, Mesh: mutate.Mesh{Image: "i"}, Registry: registry}); err != nil {
		t.Fatal(err)
	}
	ours := make(chan *prometheus.Desc, 256)
	registry.Describe(ours)
	close(ours)
	var seen int
	for d := range ours {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, help, _ := strings.Cut(rest, `", help: "`)
		help, _, _ = strings.Cut(help, `", `)
		if !strings.HasPrefix(name, "outrider_") || strings.Contains(string(identities), "\n| `"+name+"` |") {
			continue
		}
		seen++
		if row := regexp.MustCompile("(?m)^\\| `" + name + "` \\|.*\\| " + regexp.QuoteMeta(help) + " \\|$"); !row.Match(page) {
			t.Errorf("no row says of %s: %s", name, help)
		}
	}
	if seen < 5 || seen != strings.Count(string(page), "\n| `outrider_injector_") {
		t.Errorf("%d metrics, and the page has %d", seen, strings.Count(string(page), "\n| `outrider_injector_"))
	}
}
