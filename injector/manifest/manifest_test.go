package manifest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/injector/manifest"
	"github.com/outrider-mesh/outrider/injector/mutate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func options() manifest.Options {
	return manifest.Options{Namespace: "default", Mesh: mutate.Mesh{
		Image: "example.com/outrider:1", Version: "v1.2.3", ControlPlane: mutate.ControlPlaneAddress("outrider-system"),
		ControlPlaneID: mutate.ControlPlaneID("cluster.local", "outrider-system"),
	}}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(read(t, name)), string(got)); diff != "" {
		t.Errorf("%s (-want +got), refresh with -update and review:\n%s", name, diff)
	}
}

func TestAStreamIsInjected(t *testing.T) {
	out, results, err := manifest.Inject(read(t, "shop.yaml"), options())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shop.injected.yaml", out)
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintln(&b, r.Object, r.Changed, r.Outcome)
	}
	golden(t, "shop.results", []byte(b.String()))
	if len(results) < 8 {
		t.Errorf("only %d objects", len(results))
	}

	again, _, err := manifest.Inject(out, options())
	if diff := cmp.Diff(string(out), string(again)); diff != "" || err != nil {
		t.Errorf("injecting again changes something (%v):\n%s", err, diff)
	}
	bare, _, err := manifest.Remove(out)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shop.removed.yaml", bare)
	if strings.Contains(string(bare), "outrider-") || strings.Contains(string(bare), mutate.StatusAnnotation) {
		t.Error("something of a sidecar was left")
	}
}

func TestWhatHasNoPodsStaysByteForByte(t *testing.T) {
	for _, text := range []string{
		"", "\n", "# nothing\n", "---\n---\n", "kind: Service # a comment\nspec: {a:   b}\n", "--- # first\nkind: ConfigMap\n---\nkind: Secret",
		"kind: Pod\nmetadata: {labels: {outrider.dev/inject: disabled}}   # opted out\nspec: {containers: [{name: a}]}\n",
		"kind: Deployment\nspec: {}\n", "kind: List\nitems: [{kind: Service}]\n",
	} {
		out, _, err := manifest.Inject([]byte(text), options())
		if err != nil || string(out) != text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
		if out, _, err = manifest.Remove([]byte(text)); err != nil || string(out) != text {
			t.Errorf("%q became %q by removing, %v", text, out, err)
		}
	}
}

func TestMistakesAreErrors(t *testing.T) {
	cases := map[string]string{
		"kind: Pod\nspec: {containers: [{name: a, imagee: b}]}\n": `document 1: pod/: read its pod: `,
		"a: b\n---\nkind: {": "document 2: ",
	}
	for text, want := range cases {
		if _, _, err := manifest.Inject([]byte(text), options()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := manifest.Remove(bytes.Repeat([]byte("\n"), manifest.MaxBytes+1)); err == nil {
		t.Error("a stream of any length was read")
	}
}

// Whatever comes, what is not changed is not changed by a byte.
func FuzzInject(f *testing.F) {
	f.Add(read(f, "shop.yaml"))
	f.Add([]byte("---\r\nkind: Pod\r\n--- \nkind: List\nitems: [1]\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 1<<16 {
			return
		}
		out, results, err := manifest.Inject(stream, options())
		if err != nil {
			return
		}
		for _, r := range results {
			if r.Changed {
				return
			}
		}
		if !bytes.Equal(out, stream) {
			t.Errorf("%q became %q", stream, out)
		}
	})
}
