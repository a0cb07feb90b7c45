package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// installation applies the base as a user does, twice: the second time nothing may be
// different.
func (w *world) installation(t *testing.T) {
	first := w.apply(t, "apply", "-k", "manifests/base")
	lines := strings.Split(strings.TrimSpace(first), "\n")
	w.check(t, len(lines) >= 15, "only %d objects:\n%s", len(lines), first)
	for _, line := range lines {
		w.check(t, strings.HasSuffix(line, " created"), "%s", line)
	}
	// kubectl says "configured" of some all the same, as the defaults of the API server
	// are not in the file; what counts is whether the API server sees a change.
	before := w.generations(t)
	w.apply(t, "apply", "-k", "manifests/base")
	diff := cmp.Diff(before, w.generations(t))
	w.check(t, diff == "" && strings.Count(before, "\n") >= 15, "the second time (-before +after):\n%s", diff)
	w.eventually(t, time.Minute, "the API server serves our resources", func() (bool, string) {
		list, err := w.client.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion().String())
		if err != nil {
			return false, err.Error()
		}
		return len(list.APIResources) == 6, "" // three, and the status of each
	})
	for _, r := range v1alpha1.Resources() {
		for _, name := range append([]string{r.Plural}, r.Short...) {
			out := w.apply(t, "get", name, "-A")
			w.check(t, strings.Contains(out, "No resources found"), "kubectl get %s: %s", name, out)
		}
	}
	for _, overlay := range []string{"ha", "spire"} {
		out := w.apply(t, "apply", "--dry-run=server", "-k", "manifests/overlays/"+overlay)
		w.check(t, strings.Contains(out, "deployment.apps/outrider-injector configured"), "%s: %s", overlay, out)
	}
}

// generations are how often each object of the installation has changed.
func (w *world) generations(t *testing.T) string {
	t.Helper()
	return w.apply(t, "get", "-k", "manifests/base", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation}{"\n"}{end}`)
}

// documents puts every example and every mistake to the API server, which keeps none.
func (w *world) documents(t *testing.T) {
	w.namespace(t, "shop", nil, nil)
	var good int
	for _, pattern := range []string{"proxy/config/testdata/documents.yaml", "docs/*.md", "examples/*/*.yaml", "examples/*/*/*.yaml"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			for _, stream := range streams(t, name) {
				if _, err := config.ParseDocuments([]config.File{{Name: name, Data: []byte(stream)}}); err != nil {
					continue // a sidecar's file, or a piece of one
				}
				for _, doc := range split(stream) {
					good++
					err := w.put(t, doc)
					w.check(t, err == "", "%s is refused: %s\n%s", name, err, doc)
				}
			}
		}
	}
	w.check(t, good >= 12, "only %d good documents", good)
	w.policies(t)
	w.mistakes(t)
}

// policies are those by which the engine itself is tested.
func (w *world) policies(t *testing.T) {
	var tried int
	for _, name := range []string{"callers", "evaluation", "requests"} {
		a, err := txtar.ParseFile(filepath.Join(root, "authz/testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if !strings.HasPrefix(f.Name, "policies: ") {
				continue
			}
			for _, doc := range split(string(f.Data)) {
				tried++
				err := w.put(t, "apiVersion: "+config.APIVersion+"\nkind: "+config.KindAccessPolicy+"\n"+doc)
				w.check(t, err == "", "%s: %s: %s\n%s", name, f.Name, err, doc)
			}
		}
	}
	w.check(t, tried >= 70, "only %d policies", tried)
}

// dropped is the mistake that no API server finds: it removes fields without a value
// before it looks at anything, and so a rule loses what would have narrowed it.
const dropped = "from without a value"

// mistakes are documents that a sidecar refuses. Which of them our imitation of an API
// server finds by the schema is in a golden file; the real one must find those at least,
// and with its rules in CEL it finds more.
func (w *world) mistakes(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join(root, "injector/apis/crd/testdata/mistakes.golden"))
	if err != nil {
		t.Fatal(err)
	}
	const unseen = "outrider check only\n"
	expected := map[string]string{}
	for part := range strings.SplitSeq("\n"+string(golden), "\n== ") {
		if name, found, ok := strings.Cut(part, "\n"); ok {
			expected[name] = found + "\n"
		}
	}
	a, err := txtar.ParseFile(filepath.Join(root, "proxy/config/testdata/document_mistakes.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var refused, more int
	for _, f := range a.Files {
		found, known := expected[f.Name]
		w.check(t, known, "%s is in no golden file", f.Name)
		var why string
		for _, doc := range split(string(f.Data)) {
			why += w.put(t, doc)
		}
		if why != "" {
			refused++
		}
		if f.Name == dropped {
			w.check(t, why == "", "the API server has learnt to refuse a field without a value; say so in docs/policy.md: %s", why)
			continue
		}
		if !strings.HasPrefix(unseen, strings.TrimSpace(found)) {
			w.check(t, why != "", "%s: the API server takes what the schema refuses:\n%s", f.Name, found)
		} else if why != "" {
			more++
		}
	}
	t.Logf("of %d mistakes the API server refuses %d, %d of them by rules in CEL", len(a.Files), refused, more)
	w.check(t, len(a.Files) >= 60 && refused*2 >= len(a.Files), "%d of %d", refused, len(a.Files))
}

// put has a document checked as strictly as kubectl asks for, and returns why it was
// refused.
func (w *world) put(t *testing.T, doc string) string {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(doc), &tree); err != nil {
		return err.Error()
	}
	object := &unstructured.Unstructured{Object: tree}
	kind, _ := tree["kind"].(string)
	if _, ok := tree["metadata"].(map[string]any); !ok {
		tree["metadata"] = map[string]any{}
	}
	for _, r := range v1alpha1.Resources() {
		if r.Kind != kind || tree["apiVersion"] != config.APIVersion {
			continue
		}
		return w.create(t, r, object)
	}
	return "there is no such kind: " + kind
}

func (w *world) create(t *testing.T, r v1alpha1.Resource, object *unstructured.Unstructured) string {
	t.Helper()
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	var err error
	if r.Cluster {
		unstructured.RemoveNestedField(object.Object, "metadata", "namespace")
		if object.GetName() == "" {
			object.SetName(v1alpha1.MeshConfigName) // files need none
		}
		_, err = w.resources.Resource(gvr(r)).Create(t.Context(), object, options)
	} else {
		// Namespaces of examples are not there, and none is a name like another.
		if namespace, _, _ := unstructured.NestedString(object.Object, "metadata", "namespace"); namespace != "" {
			object.SetNamespace("shop")
		}
		_, err = w.resources.Resource(gvr(r)).Namespace("shop").Create(t.Context(), object, options)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func gvr(r v1alpha1.Resource) schema.GroupVersionResource { return r.GroupVersionResource() }

// streams are the whole file, or the YAML blocks of a page.
func streams(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".md") {
		return []string{string(text)}
	}
	var all []string
	for part := range strings.SplitSeq(string(text), "\n```yaml\n") {
		if block, _, ok := strings.Cut(part, "\n```"); ok && strings.Contains(block, "kind:") {
			all = append(all, block+"\n")
		}
	}
	return all
}

// split is a stream's documents, without those that say nothing.
func split(stream string) []string {
	var all []string
	for doc := range strings.SplitSeq("\n"+stream, "\n---\n") {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(doc), &tree); err != nil || len(tree) > 0 {
			all = append(all, doc)
		}
	}
	return all
}
