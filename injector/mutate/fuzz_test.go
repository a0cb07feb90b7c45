package mutate_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// Pods come from whoever may create some. Whatever they hold, injecting is
// repeatable and can be undone, and the patch says all of it.
func FuzzInject(f *testing.F) {
	for _, s := range specimens(f) {
		out, err := json.Marshal(s.pod)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out, s.ns.Annotations["openshift.io/sa.scc.uid-range"])
	}
	mesh := installation()
	f.Fuzz(func(t *testing.T, data []byte, uids string) {
		pod := &corev1.Pod{}
		if len(data) > 1<<16 || json.Unmarshal(data, pod) != nil {
			return
		}
		ns := mutate.Namespace{
			Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled},
			Annotations: map[string]string{"openshift.io/sa.scc.uid-range": uids},
		}
		once, out := mesh.Inject(pod, ns)
		if out.Verdict != mutate.Inject {
			if diff := cmp.Diff(pod, once); diff != "" {
				t.Fatalf("%s, and yet it was changed:\n%s", out, diff)
			}
			return
		}
		if pod.Spec.HostNetwork {
			t.Error("a pod on its node's network was injected")
		}
		twice, _ := mesh.Inject(once, ns)
		if diff := cmp.Diff(text(t, volumesSorted(once)), text(t, volumesSorted(twice))); diff != "" {
			t.Errorf("(-once +twice):\n%s", diff)
		}
		ops, err := mutate.Patch(pod, once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree(t, once), apply(t, tree(t, pod), ops)); diff != "" {
			t.Errorf("the patch makes something else (-want +got):\n%s", diff)
		}
		if mutate.Injected(pod) {
			return // it said so already, so there is nothing that it was before
		}
		bare, _, err := mutate.Remove(once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text(t, pod), text(t, bare)); diff != "" {
			t.Errorf("removing leaves (-before +after):\n%s", diff)
		}
	})
}
