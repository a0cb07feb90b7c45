package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/injector/webhook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// namespaces is a [webhook.Namespaces] of two.
type namespaces struct{}

func (namespaces) Namespace(_ context.Context, name string) (mutate.Namespace, error) {
	switch name {
	case "shop":
		return mutate.Namespace{Name: name, Labels: map[string]string{mutate.Label: mutate.Enabled}}, nil
	case "plain":
		return mutate.Namespace{Name: name}, nil
	}
	return mutate.Namespace{}, errors.New("the API server is away")
}

func mesh() mutate.Mesh {
	return mutate.Mesh{Image: "example.com/outrider:1", ControlPlane: "outrider-injector.outrider-system.svc:15012"}
}

// world is a handler and what it has told.
type world struct {
	*webhook.Handler
	notices []webhook.Notice
	metrics *prometheus.Registry
}

func handler(t testing.TB) *world {
	t.Helper()
	w := &world{metrics: prometheus.NewRegistry()}
	h, err := webhook.NewHandler(webhook.Options{
		Mesh: mesh, Namespaces: namespaces{}, Metrics: webhook.NewMetrics(w.metrics),
		Notify: func(n webhook.Notice) { w.notices = append(w.notices, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h
	return w
}

const owner = `"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"u1","controller":true}]`

// review is what the API server asks about a pod.
func review(namespace, pod, more string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","tomorrow":1,"request":{"uid":"1","resource":{"group":"","version":"v1","resource":"pods"},` +
		`"operation":"CREATE","namespace":"` + namespace + `",` + more + `"object":` + pod + `}}`
}

func pod(metadata, spec string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{` + metadata + `},"spec":{` + spec + `"containers":[{"name":"web","image":"example.com/web:1","tomorrow":true}]}}`
}

func (w *world) post(t testing.TB, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func TestAnswers(t *testing.T) {
	cases := []struct {
		name, body string
		notices    int
	}{
		{"a pod of a labelled namespace", review("shop", pod(owner, ""), ""), 1},
		{"a dry run is answered alike and tells nobody", review("shop", pod(owner, ""), `"dryRun":true,`), 0},
		{"a pod that nobody asked for", review("plain", pod(owner, ""), ""), 0},
		{"a pod that opts out", review("shop", pod(`"labels":{"outrider.dev/inject":"disabled"}`, ""), ""), 0},
		{"a label that is not valid", review("shop", pod(`"labels":{"outrider.dev/inject":"yes"}`, ""), ""), 1},
		{"a pod on its node's network", review("shop", pod(owner, `"hostNetwork":true,`), ""), 1},
		{"one that asks itself", review("plain", pod(`"labels":{"outrider.dev/inject":"enabled"}`, `"hostNetwork":true,`), ""), 1},
		{"an annotation that is not valid", review("shop", pod(`"annotations":{"outrider.dev/memory-limit":"much"}`, ""), ""), 1},
		{"a privileged container, with a remark", review("shop", pod(owner, `"initContainers":[{"name":"`+strings.Repeat("i", 63)+`","securityContext":{"privileged":true}}],`), ""), 1},
	}
	if len(cases) < 9 {
		t.Fatal("cases are missing")
	}
	var b strings.Builder
	for _, c := range cases {
		w := handler(t)
		rec := w.post(t, c.body)
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, rec.Code, rec.Body)
		}
		if answer.Response.UID != "1" || answer.Kind != "AdmissionReview" || answer.APIVersion != "admission.k8s.io/v1" {
			t.Errorf("%s: answered %+v", c.name, answer)
		}
		if len(w.notices) != c.notices {
			t.Errorf("%s: %d notices", c.name, len(w.notices))
		}
		fmt.Fprintf(&b, "== %s\n", c.name)
		describe(t, &b, answer.Response)
	}
	const path = "testdata/answers.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got), refresh with -update and review:\n%s", diff)
	}
}

// describe leaves out the values of patches: those are the golden pods of mutate.
func describe(t *testing.T, b *strings.Builder, r *admissionv1.AdmissionResponse) {
	t.Helper()
	fmt.Fprintf(b, "allowed: %v, audit: %s %s\n", r.Allowed, r.AuditAnnotations["verdict"], r.AuditAnnotations["reason"])
	if r.Result != nil {
		fmt.Fprintf(b, "result: %d %s: %s\n", r.Result.Code, r.Result.Reason, r.Result.Message)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
	if r.Patch == nil {
		return
	}
	var ops []mutate.Operation
	if err := json.Unmarshal(r.Patch, &ops); err != nil || *r.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Errorf("a patch of type %v: %v", r.PatchType, err)
	}
	for _, op := range ops {
		fmt.Fprintf(b, "patch: %s %s\n", op.Op, op.Path)
	}
}

// Whatever is wrong with a question, it is an error of the call: the API server
// refuses the pod, and nobody takes it for a yes.
func TestWhatCannotBeAnsweredFails(t *testing.T) {
	good := review("shop", pod("", ""), "")
	edit := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good review", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	cases := []struct {
		name, method, path, kind, body string
		status                         int
	}{
		{"the good one", "POST", "/inject", "application/json; charset=utf-8", good, 200},
		{"another path", "POST", "/", "application/json", good, 404},
		{"a GET", "GET", "/inject", "application/json", "", 405},
		{"another type", "POST", "/inject", "text/plain", good, 415},
		{"no type", "POST", "/inject", "", good, 415},
		{"nothing", "POST", "/inject", "application/json", "", 400},
		{"no JSON", "POST", "/inject", "application/json", "{", 400},
		{"another kind", "POST", "/inject", "application/json", edit("AdmissionReview", "Review"), 400},
		{"an older version", "POST", "/inject", "application/json", edit("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), 400},
		{"no request", "POST", "/inject", "application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		{"no uid", "POST", "/inject", "application/json", edit(`"uid":"1",`, ""), 400},
		{"another resource", "POST", "/inject", "application/json", edit(`"resource":"pods"`, `"resource":"services"`), 400},
		{"an update", "POST", "/inject", "application/json", edit("CREATE", "UPDATE"), 400},
		{"a subresource", "POST", "/inject", "application/json", edit(`"uid"`, `"subResource":"status","uid"`), 400},
		{"no namespace", "POST", "/inject", "application/json", edit(`"shop"`, `""`), 400},
		{"no pod", "POST", "/inject", "application/json", edit(pod("", ""), `"none"`), 400},
		{"a namespace that can't be looked up", "POST", "/inject", "application/json", edit(`"shop"`, `"lost"`), 500},
		{"too much", "POST", "/inject", "application/json", strings.Repeat(" ", 4<<20) + good, 413},
	}
	if len(cases) < 18 {
		t.Fatal("cases are missing")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.kind)
			rec, w := httptest.NewRecorder(), handler(t)
			w.ServeHTTP(rec, r)
			if rec.Code != c.status {
				t.Errorf("status %d, want %d: %s", rec.Code, c.status, rec.Body)
			}
			if c.status != 200 && (strings.Contains(rec.Body.String(), "allowed") || len(w.notices) > 0) {
				t.Errorf("and yet it was answered: %s", rec.Body)
			}
		})
	}
}

func TestAdmissionsAreCounted(t *testing.T) {
	w := handler(t)
	w.post(t, review("shop", pod("", ""), ""))
	w.post(t, review("shop", pod("", ""), ""))
	w.post(t, review("plain", pod("", ""), ""))
	w.post(t, "{")
	want := `
# HELP outrider_injector_admission_failures_total Questions of the API server that could not be answered; it refuses these pods.
# TYPE outrider_injector_admission_failures_total counter
outrider_injector_admission_failures_total 1
# HELP outrider_injector_admissions_total Pods that the API server asked about, by what became of them and why.
# TYPE outrider_injector_admissions_total counter
outrider_injector_admissions_total{reason="Labelled",verdict="inject"} 2
outrider_injector_admissions_total{reason="NotLabelled",verdict="skip"} 1
`
	err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), "outrider_injector_admissions_total", "outrider_injector_admission_failures_total")
	if err != nil {
		t.Error(err)
	}
}

func TestAHandlerNeedsAMeshAndNamespaces(t *testing.T) {
	for _, o := range []webhook.Options{{Mesh: mesh}, {Namespaces: namespaces{}}} {
		if _, err := webhook.NewHandler(o); err == nil {
			t.Errorf("made of %+v", o)
		}
	}
}
