package linkerd_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/authztest"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/internal/importer/importertest"
	"github.com/outrider-mesh/outrider/internal/importer/linkerd"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func translate(text string, opts importer.Options) importer.Result {
	docs, problems := strict.Split("linkerd.yaml", []byte(text))
	r := linkerd.Translate(docs, opts)
	r.Problems = append(problems, r.Problems...)
	return r
}

func show(t *testing.T, r importer.Result) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "# %s: %s\n", p.Severity, strings.TrimPrefix(p.String(), "warning: "))
	}
	for _, p := range r.Policies {
		text, err := yaml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "---\n%s", text)
	}
	return b.String()
}

func TestDocuments(t *testing.T) {
	const least = 3
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < least {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := show(t, translate(string(text), importer.Options{TrustDomain: "mesh.example"}))
		golden := strings.TrimSuffix(file, ".yaml") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func compile(t *testing.T, r importer.Result) *authz.Set {
	t.Helper()
	w := authz.Workload{Namespace: "shop", Name: "payments", TrustDomain: "cluster.local", Labels: map[string]string{"app": "payments"}}
	set, err := authz.Compile(r.Policies, authz.Options{Workload: w, Default: authz.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// compare puts calls to both, and tells how many were for ports with a Server;
// what Linkerd does with others is not in the documents.
func compare(t *testing.T, m maker, mesh *refMesh, r importer.Result, wrong func(got, want bool) bool) (compared int) {
	t.Helper()
	set := compile(t, r)
	for range 60 {
		c := m.call()
		s := mesh.server(c)
		if s == nil {
			continue
		}
		compared++
		if got, want := set.Authorize(c.Request), mesh.allowed(s, c); wrong(got.Allowed, want) {
			t.Fatalf("%v, Linkerd says %t of %+v\n%s%s", got, want, c.Request, show(t, r), mesh.documents())
		}
	}
	return compared
}

// FuzzEqual: where all is translated, every call is decided as Linkerd decides it.
func FuzzEqual(f *testing.F) {
	exact := 0
	for seed := range uint64(400) {
		f.Add(seed)
		if r := translate((maker{Rand: rand.New(rand.NewPCG(seed, 1))}).mesh().documents(), importer.Options{}); r.Exact() {
			exact++
		}
	}
	if exact < 150 {
		f.Fatalf("only %d meshes are translated as a whole", exact)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 1))}
		mesh := m.mesh()
		r := translate(mesh.documents(), importer.Options{})
		for _, p := range r.Problems {
			if p.Severity == strict.Error && !strings.Contains(p.Message, "depends on headers") && !strings.Contains(p.Message, "may have this Server") {
				t.Fatalf("%v\n%s", p, mesh.documents())
			}
		}
		if r.Exact() {
			compare(t, m, mesh, r, func(got, want bool) bool { return got != want })
		}
	})
}

// FuzzLosses: where something is lost, nothing is allowed that Linkerd would deny,
// unless the result says aloud that less is denied.
func FuzzLosses(f *testing.F) {
	for seed := range uint64(400) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 2)), strange: true}
		mesh := m.mesh()
		r := translate(mesh.documents(), importer.Options{})
		for _, p := range r.Problems {
			if strings.Contains(p.Message, "LESS IS DENIED") {
				return
			}
		}
		compare(t, m, mesh, r, func(got, want bool) bool { return got && !want })
	})
}

// FuzzTranslate: no text makes policies that are not valid, or that come without
// an error from text that has one.
func FuzzTranslate(f *testing.F) {
	f.Add(everything)
	f.Add((maker{Rand: rand.New(rand.NewPCG(1, 1)), strange: true}).mesh().documents())
	f.Fuzz(func(t *testing.T, text string) {
		r := translate(text, importer.Options{})
		if !r.Exact() {
			return
		}
		for _, p := range authz.Validate(r.Policies) {
			if !p.Warning {
				t.Error(p)
			}
		}
	})
}

// everything has each field that is translated, and nothing else.
const everything = `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: http, namespace: shop, labels: {team: pay}}
spec:
  podSelector: {matchLabels: {app: payments}, matchExpressions: [{key: tier, operator: In, values: [web]}]}
  port: 8080
  proxyProtocol: HTTP/2
  accessPolicy: deny
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: charges, namespace: shop}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: http}]
  hostnames: [payments.example]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /v1/charges}
      method: POST
      headers: [{type: Exact, name: x-tenant, value: eu}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: charges, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: HTTPRoute, name: charges}
  requiredAuthenticationRefs:
  - {group: policy.linkerd.io, kind: MeshTLSAuthentication, name: callers}
  - {group: policy.linkerd.io, kind: NetworkAuthentication, name: inside}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: callers, namespace: shop}
spec: {identities: [checkout.shop.serviceaccount.identity.linkerd.cluster.local]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: {name: inside, namespace: shop}
spec: {networks: [{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}]}
`

// Wherever a field stands that nobody knows, or a known one has another type, the
// import fails.
func TestWhatIsNotKnownFailsTheImport(t *testing.T) {
	if r := translate(everything, importer.Options{}); !r.Exact() || len(r.Policies) != 1 || len(r.Policies[0].Spec.Rules) != 1 {
		t.Fatalf("the documents themselves are not translated: %v", r.Problems)
	}
	texts := strings.Split(everything, "---\n")
	free, tried := []string{".metadata.labels", ".spec.podSelector.matchLabels"}, 0
	for i := range texts {
		tried += importertest.Unknown(t, texts[i], free, func(at, document string) {
			all := slices.Concat(texts[:i], []string{document}, texts[i+1:])
			if r := translate(strings.Join(all, "---\n"), importer.Options{}); r.Exact() || !r.Broken {
				t.Errorf("a field %s is taken: %s", at, document)
			}
		})
	}
	if tried < 50 {
		t.Errorf("tried only %d", tried)
	}
}

// Wherever something is changed that has no equal, the import fails, and every
// report has a place and a remedy. Policies that are left then allow nothing more.
func TestWhatHasNoEqualFailsTheImport(t *testing.T) {
	cases := []struct{ old, new string }{
		{"policy.linkerd.io/v1beta3\nkind: Server", "policy.linkerd.io/v9\nkind: Server"},
		{"policy.linkerd.io/v1beta3\nkind: Server", "policy.linkerd.oi/v1beta3\nkind: Server"},
		{"kind: Server\n", "kind: Servers\n"},
		{"kind: Server\n", "kind: ServerAuthorization\n"},
		{"kind: Server\n", "kind: HTTPLocalRateLimitPolicy\n"},
		{"kind: NetworkAuthentication\nmeta", "kind: HTTPRoute\nmeta"},
		{"metadata: {name: http, namespace: shop, ", "metadata: {name: http, "},
		{"operator: In, values: [web]", "operator: NotIn, values: [web]"},
		{"operator: In, values: [web]", "operator: In, values: [web, db]"},
		{"operator: In, values: [web]", "operator: Exists"},
		{"key: tier,", "key: app,"},
		{"  podSelector: {", "  externalWorkloadSelector: {"},
		{"  port: 8080", "  port: http"},
		{"  port: 8080", "  port: 0"},
		{"  port: 8080\n", ""},
		{"proxyProtocol: HTTP/2", "proxyProtocol: opaque"},
		{"proxyProtocol: HTTP/2", "proxyProtocol: SMTP"},
		{"accessPolicy: deny", "accessPolicy: cluster-authenticated"},
		{"accessPolicy: deny", "accessPolicy: none"},
		{"kind: Server, name: http}", "kind: Server, name: https}"},
		{"kind: Server, name: http}", "kind: Server, name: http, port: 8080}"},
		{"kind: Server, name: http}", "kind: Server, name: http, sectionName: x}"},
		{"kind: Server, name: http}", "kind: Server, name: http, namespace: other}"},
		{"[payments.example]", `["*"]`},
		{"[payments.example]", `["pay*.example"]`},
		{"[payments.example]", `["payments.example:80"]`},
		{"type: PathPrefix,", "type: RegularExpression,"},
		{"value: /v1/charges", "value: v1/charges"},
		{"value: /v1/charges", "value: /v1//charges"},
		{"value: /v1/charges", "value: /v1/%zz"},
		{"method: POST", `method: "P*"`},
		{"      method: POST\n", "      queryParams: [{name: a, value: b}]\n"},
		{"  - matches:", "  - filters: [{type: RequestRedirect}]\n    matches:"},
		{"  - matches:", "  - timeouts: {request: 1s}\n    matches:"},
		{"type: Exact, name: x-tenant", "type: RegularExpression, name: x-tenant"},
		{"name: x-tenant, value: eu}", "name: x-tenant, value: eu}, {name: X-Tenant, value: us}"},
		{"value: eu}", `value: "eu*"}`},
		{"value: eu}", `value: ""}`},
		{"name: x-tenant", "name: host"},
		{"kind: HTTPRoute, name: charges", "kind: HTTPRoute, name: nothing"},
		{"kind: HTTPRoute, name: charges", "kind: Service, name: charges"},
		{"kind: HTTPRoute, name: charges", "kind: HTTPRoute, name: charges, namespace: other"},
		{"kind: MeshTLSAuthentication, name: callers", "kind: MeshTLSAuthentication, name: nobody"},
		{"kind: NetworkAuthentication, name: inside", "kind: MeshTLSAuthentication, name: callers"},
		{"kind: NetworkAuthentication, name: inside", "kind: NetworkAuthentication, name: inside, namespace: other"},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", "[checkout.shop]"},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", `["*.cluster.local"]`},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", `["check*.shop.serviceaccount.identity.linkerd.cluster.local"]`},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", `["checkout.*.serviceaccount.identity.linkerd.cluster.local"]`},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", `["spiffe://a/b*"]`},
		{"[checkout.shop.serviceaccount.identity.linkerd.cluster.local]", "[]"},
		{"identities: [", "identityRefs: [{kind: Pod, name: x}], identities: ["},
		{"cidr: 10.0.0.0/8", "cidr: 10.0.0.0/99"},
		{"except: [10.9.0.0/16]", "except: [ten]"},
		{"networks: [{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}]", "networks: []"},
	}
	if len(cases) < 50 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if !strings.Contains(everything, c.old) {
			t.Fatalf("no %q", c.old)
		}
		r := translate(strings.Replace(everything, c.old, c.new, 1), importer.Options{})
		if r.Exact() {
			t.Errorf("%q in place of %q is taken", c.new, c.old)
		}
		for _, p := range r.Problems {
			if p.Severity == strict.Error && (p.Line == 0 || p.Remedy == "" && !strings.Contains(p.Message, "did you mean")) {
				t.Errorf("%q in place of %q: no place or no remedy: %v", c.new, c.old, p)
			}
		}
		for _, p := range r.Policies {
			if len(p.Spec.Rules) > 1 || len(p.Spec.Rules) == 1 && !r.Broken && len(p.Spec.Rules[0].From) == 0 {
				t.Errorf("%q in place of %q opens the port: %+v", c.new, c.old, p)
			}
		}
	}
}

func TestNothingToImport(t *testing.T) {
	for _, text := range []string{"", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "apiVersion: v1\nkind: List\nitems: []\n", "a: b\n"} {
		if r := translate(text, importer.Options{}); r.Exact() {
			t.Errorf("%q is taken", text)
		}
	}
}

// The order of documents means nothing but the order of policies.
func TestOrderOfDocuments(t *testing.T) {
	texts := strings.Split(everything, "---\n")
	want := translate(everything, importer.Options{})
	for i := range texts {
		turned := strings.Join(append(append([]string(nil), texts[i:]...), texts[:i]...), "\n---\n")
		got := translate(turned, importer.Options{})
		if diff := cmp.Diff(want.Policies, got.Policies); diff != "" || !got.Exact() {
			t.Errorf("%v %s", got.Problems, diff)
		}
	}
}

// The more specific route decides, whoever may call the other.
func TestTheMoreSpecificRouteDecides(t *testing.T) {
	narrow, wide := "checkout", "ops"
	cases := []struct{ narrow, wide, method, path string }{
		{"path: {value: /a}", "path: {value: /}", "GET", "/a/b"},
		{"path: {value: /a}", "path: {value: /}, method: GET", "GET", "/a"},
		{"path: {value: /a/b}", "path: {value: /a}", "GET", "/a/b"},
		{"path: {type: Exact, value: /a}", "path: {value: /a}", "GET", "/a"},
		{"path: {type: Exact, value: /a}", "path: {value: /a}, method: GET", "GET", "/a"},
		{"path: {value: /a}, method: PUT", "path: {value: /a}", "PUT", "/a"},
		{"path: {value: /a}, method: PUT", "path: {value: /}", "PUT", "/a/b/c"},
	}
	for _, c := range cases {
		m := &refMesh{
			servers:  []refServer{{name: "s", selector: "{}", port: "80", protocol: "HTTP/2", access: "deny"}},
			policies: []refPolicy{{name: "n", kind: "HTTPRoute", target: "n", required: []string{narrow}}, {name: "w", kind: "HTTPRoute", target: "w", required: []string{wide}}},
		}
		text := m.documents()
		for name, match := range map[string]string{"n": c.narrow, "w": c.wide} {
			text += "---\napiVersion: policy.linkerd.io/v1beta3\nkind: HTTPRoute\nmetadata: {name: " + name + ", namespace: shop}\n" +
				"spec:\n  parentRefs: [{group: policy.linkerd.io, kind: Server, name: s}]\n  rules: [{matches: [{" + match + "}]}]\n"
		}
		r := translate(text, importer.Options{})
		if !r.Exact() {
			t.Errorf("%+v: %v", c, r.Problems)
			continue
		}
		set := compile(t, r)
		for caller, want := range map[string]bool{authztest.Account("shop", "checkout"): true, authztest.Account("ops", "x"): false} {
			q := &authz.Request{Peer: spiffeid.RequireFromString(caller), Port: 80, HTTP: true, Method: c.method, Path: c.path, Header: authztest.Header{}}
			if got := set.Authorize(q); got.Allowed != want {
				t.Errorf("%+v: %s: %v", c, caller, got)
			}
		}
	}
}
