package istio_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/internal/importer/importertest"
	"github.com/outrider-mesh/outrider/internal/importer/istio"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func translate(t testing.TB, text string, opts importer.Options) importer.Result {
	t.Helper()
	docs, problems := strict.Split("istio.yaml", []byte(text))
	r := istio.Translate(docs, opts)
	r.Problems = append(problems, r.Problems...)
	return r
}

// show writes a result as the golden files have it.
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
		got := show(t, translate(t, string(text), importer.Options{TrustDomain: "mesh.example", RootNamespace: "istio-system"}))
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
	set, err := authz.Compile(r.Policies, authz.Options{Workload: authz.Workload{Namespace: "shop", Name: "payments", TrustDomain: "cluster.local"}, Default: authz.AllowAll})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// FuzzEqual: where all is translated, every call is decided as Istio decides it.
func FuzzEqual(f *testing.F) {
	exact := 0
	for seed := range uint64(300) {
		f.Add(seed)
		policies := (maker{Rand: rand.New(rand.NewPCG(seed, 1))}).policies()
		if r := translate(f, documents(policies), importer.Options{}); r.Exact() {
			exact++
		}
	}
	if exact < 150 {
		f.Fatalf("only %d sets of policies are translated as a whole", exact)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 1))}
		policies := m.policies()
		text := documents(policies)
		r := translate(t, text, importer.Options{})
		for _, p := range r.Problems {
			expected := strings.Contains(p.Message, "both would have to match") || strings.Contains(p.Message, "takes an empty one for present")
			if p.Severity == strict.Error && !expected && !strings.Contains(p.Message, "nothing is left of the rule") {
				t.Fatalf("%v\n%s", p, text)
			}
		}
		if !r.Exact() {
			return
		}
		set := compile(t, r)
		for range 40 {
			c := m.call()
			if got, want := set.Authorize(c.Request), allowedBy(policies, c); got.Allowed != want {
				t.Fatalf("%v, Istio says %t of %+v %v\n%s", got, want, c.Request, c.headers, text)
			}
		}
	})
}

// FuzzLosses: where something is lost, nothing is allowed that Istio would deny,
// unless the result says aloud that less is denied.
func FuzzLosses(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 1)), strange: true}
		policies := m.policies()
		text := documents(policies)
		r := translate(t, text, importer.Options{})
		for _, p := range r.Problems {
			if strings.Contains(p.Message, "LESS IS DENIED") {
				return
			}
		}
		set := compile(t, r)
		for range 40 {
			c := m.call()
			if got, want := set.Authorize(c.Request), allowedBy(policies, c); got.Allowed && !want {
				t.Fatalf("%v, Istio denies %+v\n%s", got, c.Request, text)
			}
		}
	})
}

// everything has each field that is translated, and nothing else.
const everything = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: all
  namespace: shop
  labels: {team: pay}
  annotations: {istio.io/dry-run: "true"}
spec:
  selector:
    matchLabels: {app: payments}
  action: DENY
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/shop/sa/checkout"]
        notPrincipals: ["*/sa/x"]
    - source:
        namespaces: [shop]
        notNamespaces: [ops]
    to:
    - operation:
        hosts: [a.example]
        methods: [GET]
        paths: ["/a*"]
        ports: ["80"]
    when:
    - key: request.headers[x-a]
      values: ["1"]
      notValues: ["2"]
    - key: source.ip
      values: ["10.0.0.0/8"]
`

// Wherever a field stands that nobody knows, or a known one has another type, the
// import fails.
func TestWhatIsNotKnownFailsTheImport(t *testing.T) {
	if r := translate(t, everything, importer.Options{}); !r.Exact() || len(r.Policies) != 1 {
		t.Fatalf("the document itself is not translated: %v", r.Problems)
	}
	free := []string{".metadata.labels", ".metadata.annotations", ".spec.selector.matchLabels"}
	tried := importertest.Unknown(t, everything, free, func(at, document string) {
		if r := translate(t, document, importer.Options{}); r.Exact() {
			t.Errorf("a field %s is taken: %s", at, document)
		}
	})
	if tried < 30 {
		t.Errorf("tried only %d", tried)
	}
}

// Wherever something is changed that has no equal, the import fails.
func TestWhatHasNoEqualFailsTheImport(t *testing.T) {
	cases := []struct{ old, new string }{
		{"action: DENY", "action: CUSTOM"},
		{"action: DENY", "action: deny"},
		{"security.istio.io/v1", "security.istio.io/v9"},
		{"kind: AuthorizationPolicy", "kind: RequestAuthentication"},
		{"kind: AuthorizationPolicy", "kind: AuthorisationPolicy"},
		{"security.istio.io/v1", "security.istio.oi/v1"},
		{"  namespace: shop\n", ""},
		{`istio.io/dry-run: "true"`, `istio.io/dry-run: "yes"`},
		{"  selector:\n", "  targetRef: {kind: Gateway, name: g}\n  selector:\n"},
		{"  selector:\n", "  targetRefs: []\n  selector:\n"},
		{"  selector:\n", "  provider: {name: g}\n  selector:\n"},
		{"app: payments", `app: "pay*"`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `principals: []`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `principals: ["clus*"]`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `principals: ["*local/ns/shop/sa/checkout"]`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `principals: ["spiffe://cluster.local/ns/shop/sa/checkout"]`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `principals: ["a*b"]`},
		{`principals: ["cluster.local/ns/shop/sa/checkout"]`, `requestPrincipals: ["*"]`},
		{`notPrincipals: ["*/sa/x"]`, `notRequestPrincipals: ["*"]`},
		{`notPrincipals: ["*/sa/x"]`, `remoteIpBlocks: ["10.0.0.0/8"]`},
		{`notPrincipals: ["*/sa/x"]`, `notRemoteIpBlocks: ["10.0.0.0/8"]`},
		{`notPrincipals: ["*/sa/x"]`, `ipBlocks: ["10.0.0.0/33"]`},
		{`notPrincipals: ["*/sa/x"]`, `ipBlocks: ["::ffff:10.0.0.1"]`},
		{`notPrincipals: ["*/sa/x"]`, `serviceAccounts: ["shop/*"]`},
		{`namespaces: [shop]`, `namespaces: ["s*p"]`},
		{`paths: ["/a*"]`, `paths: ["/a//b"]`},
		{`paths: ["/a*"]`, `paths: ["/{**}/b"]`},
		{`ports: ["80"]`, `ports: ["0"]`},
		{`ports: ["80"]`, `ports: ["080"]`},
		{`ports: ["80"]`, `ports: [80]`},
		{`ports: ["80"]`, `ports: [http]`},
		{"methods: [GET]", `methods: ["G*T"]`},
		{"request.headers[x-a]", "connection.sni"},
		{"request.headers[x-a]", "request.auth.claims[iss]"},
		{"request.headers[x-a]", "remote.ip"},
		{"request.headers[x-a]", "experimental.envoy.filters.x[y]"},
		{"request.headers[x-a]", "request.headers[:authority]"},
		{"request.headers[x-a]", "request.headers[host]"},
		{"request.headers[x-a]", "source.colour"},
		{`values: ["1"]`, `values: ["*"]`}, // of a Deny: an empty header is denied by Istio
		{"      values: [\"1\"]\n      notValues: [\"2\"]\n", ""},
		{`values: ["10.0.0.0/8"]`, "values: []"},
	}
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if !strings.Contains(everything, c.old) {
			t.Fatalf("no %q", c.old)
		}
		text := strings.Replace(everything, c.old, c.new, 1)
		r := translate(t, text, importer.Options{})
		if r.Exact() {
			t.Errorf("%q in place of %q is taken", c.new, c.old)
		}
		for _, p := range r.Problems {
			if p.Severity == strict.Error && (p.Line == 0 || p.Remedy == "" && !strings.Contains(p.Message, "did you mean")) {
				t.Errorf("%q in place of %q: no place or no remedy: %v", c.new, c.old, p)
			}
		}
	}
}

// A header that is empty is present in Istio: less may be allowed for it, and not
// more.
func TestPresentHeaders(t *testing.T) {
	cases := []struct {
		action, condition string
		exact             bool
	}{
		{"ALLOW", `values: ["*"]`, true},
		{"ALLOW", `notValues: ["*"]`, false},
		{"DENY", `values: ["*"]`, false},
		{"DENY", `notValues: ["*"]`, true},
	}
	for _, c := range cases {
		text := strings.Replace(everything, "action: DENY", "action: "+c.action, 1)
		text = strings.Replace(text, "      values: [\"1\"]\n      notValues: [\"2\"]\n", "      "+c.condition+"\n", 1)
		r := translate(t, text, importer.Options{})
		if r.Exact() != c.exact || len(r.Problems) < 2 {
			t.Errorf("%s %s: %v", c.action, c.condition, r.Problems)
		}
	}
}

// A name of a namespace without any is that of the option, and never of all.
func TestNamespaceOfTheOption(t *testing.T) {
	text := strings.Replace(everything, "  namespace: shop\n", "", 1)
	r := translate(t, text, importer.Options{Namespace: "pay"})
	if !r.Exact() || r.Policies[0].Metadata.Namespace != "pay" {
		t.Errorf("%+v", r)
	}
}

func TestNothingToImport(t *testing.T) {
	for _, text := range []string{"", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "apiVersion: v1\nkind: List\nitems: []\n", "a: b\n"} {
		if r := translate(t, text, importer.Options{}); r.Exact() {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestLists(t *testing.T) {
	list := "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(everything), "\n", "\n  ") + "\n"
	one, many := translate(t, everything, importer.Options{}), translate(t, list, importer.Options{})
	if diff := cmp.Diff(one.Policies, many.Policies); diff != "" || !many.Exact() {
		t.Errorf("%v %s", many.Problems, diff)
	}
}

// FuzzTranslate: no text makes policies that are not valid, or that come without
// an error from text that has one.
func FuzzTranslate(f *testing.F) {
	f.Add(everything)
	f.Add(documents(maker{Rand: rand.New(rand.NewPCG(1, 1)), strange: true}.policies()))
	f.Add("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nspec: {mtls: {mode: STRICT}}")
	f.Fuzz(func(t *testing.T, text string) {
		r := translate(t, text, importer.Options{})
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
