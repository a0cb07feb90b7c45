package mutate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// BenchmarkInject is what a pod costs: the sidecar, its configuration and the patch,
// over all pods of testdata in turn. A workload's first pod has its configuration made.
func BenchmarkInject(b *testing.B) {
	for name, texts := range map[string]*mutate.Texts{"the first pod": nil, "further pods": mutate.NewTexts()} {
		b.Run(name, func(b *testing.B) {
			all := specimens(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := all[i%len(all)]
				s.mesh.Texts = texts
				pod, _ := s.mesh.Inject(s.pod, s.ns)
				if _, err := mutate.Patch(s.pod, pod); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What is kept of one pod is right for another only if all that it depends on is equal.
func TestKeptTextsChangeNothing(t *testing.T) {
	texts, injected := mutate.NewTexts(), 0
	for range 2 { // the second time everything is there
		for _, s := range specimens(t) {
			want, out := s.mesh.Inject(s.pod, s.ns)
			for _, capture := range []string{s.mesh.Capture, mutate.CaptureModes()[0]} {
				other := s.mesh
				other.Texts, other.Capture, other.Push = texts, capture, "elsewhere.example:1"
				other.Inject(s.pod, s.ns)
			}
			s.mesh.Texts = texts
			got, _ := s.mesh.Inject(s.pod, s.ns)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-anew +kept):\n%s", s.name(), diff)
			}
			if out.Verdict == mutate.Inject {
				injected++
			}
		}
	}
	if injected < 80 {
		t.Errorf("only %d pods were injected", injected)
	}
}
