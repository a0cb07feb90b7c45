package mutate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/mutate"
	"github.com/outrider-mesh/outrider/proxy/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A specimen is one file of testdata/pods: a pod with its namespace and, golden,
// what becomes of it.
type specimen struct {
	path    string
	archive *txtar.Archive
	mesh    mutate.Mesh
	ns      mutate.Namespace
	pod     *corev1.Pod
}

func (s specimen) name() string { return strings.TrimSuffix(filepath.Base(s.path), ".txtar") }

func specimens(t testing.TB) []specimen {
	t.Helper()
	paths, err := filepath.Glob("testdata/pods/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 70 {
		t.Fatalf("only %d pods", len(paths))
	}
	all := make([]specimen, len(paths))
	for i, path := range paths {
		all[i] = parse(t, path)
	}
	return all
}

func installation() mutate.Mesh {
	return mutate.Mesh{
		Image: "example.com/outrider:1", Version: "v1.2.3",
		ControlPlane: "outrider-injector.outrider-system.svc:15012", ControlPlaneID: "spiffe://cluster.local/ns/outrider-system/sa/outrider-injector",
	}
}

func parse(t testing.TB, path string) specimen {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := specimen{path: path, archive: a, mesh: installation(), pod: &corev1.Pod{}}
	var ns corev1.Namespace
	for _, f := range a.Files {
		into := map[string]any{"namespace.yaml": &ns, "mesh.yaml": &s.mesh, "pod.yaml": s.pod}[f.Name]
		if into == nil {
			continue
		}
		if err := yaml.UnmarshalStrict(f.Data, into); err != nil {
			t.Fatalf("%s: %s: %v", path, f.Name, err)
		}
	}
	s.ns = mutate.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
	return s
}

func (s specimen) file(name string) string {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// with returns the archive with a file replaced, or removed when it is empty.
func (s specimen) with(name, text string) {
	files := s.archive.Files[:0:0]
	for _, f := range s.archive.Files {
		if f.Name != name {
			files = append(files, f)
		}
	}
	if text != "" {
		files = append(files, txtar.File{Name: name, Data: []byte(text)})
	}
	s.archive.Files = files
}

func outcomeText(o mutate.Outcome) string {
	text := o.String() + "\n"
	for _, r := range o.Remarks {
		text += "remark: " + r + "\n"
	}
	return text
}

func text(t testing.TB, v any) string {
	t.Helper()
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestPodsBecomeWhatTheGoldenFilesSay(t *testing.T) {
	reasons := map[mutate.Reason]int{}
	for _, s := range specimens(t) {
		t.Run(s.name(), func(t *testing.T) {
			before := text(t, s.pod)
			pod, out := s.mesh.Inject(s.pod, s.ns)
			reasons[out.Reason]++
			if text(t, s.pod) != before {
				t.Error("the pod itself was changed")
			}
			patched := text(t, pod)
			if out.Verdict != mutate.Inject {
				if diff := cmp.Diff(before, patched); diff != "" {
					t.Errorf("%s, and yet it was changed:\n%s", out, diff)
				}
				patched = ""
			}
			if *update {
				s.with("outcome", outcomeText(out))
				s.with("patched.yaml", patched)
				if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(s.file("outcome"), outcomeText(out)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.file("patched.yaml"), patched); diff != "" {
				t.Errorf("pod (-want +got), refresh with -update and review:\n%s", diff)
			}
		})
	}
	for _, r := range mutate.Reasons() {
		if reasons[r] == 0 {
			t.Errorf("no pod shows the reason %s", r)
		}
	}
	if len(reasons) != len(mutate.Reasons()) {
		t.Errorf("Reasons lists %d, and %d were seen", len(mutate.Reasons()), len(reasons))
	}
}

// What the sidecar gets is what it reads, apart from what comes from the control
// plane.
func TestConfigurationsAreRead(t *testing.T) {
	var read int
	for _, s := range specimens(t) {
		pod, out := s.mesh.Inject(s.pod, s.ns)
		if out.Verdict != mutate.Inject {
			continue
		}
		for _, c := range pod.Spec.InitContainers {
			for _, e := range c.Env {
				if e.Name != "OUTRIDER_CONFIG" {
					continue
				}
				read++
				tree := map[string]any{}
				// The kubelet makes one of two.
				if err := yaml.Unmarshal([]byte(strings.ReplaceAll(e.Value, "$$", "$")), &tree); err != nil {
					t.Fatal(err)
				}
				spec := tree["spec"].(map[string]any)
				spec["identity"] = map[string]any{"workloadAPI": map[string]any{}}
				spec["policies"] = map[string]any{"denyAll": true}
				if _, warnings, err := config.ParseSidecar(s.name(), []byte(text(t, tree))); err != nil || len(warnings) > 1 {
					t.Errorf("%s: %v, %v", s.name(), err, warnings)
				}
			}
		}
	}
	if read < 60 {
		t.Errorf("read only %d configurations", read)
	}
}

// The sidecar has no way to the API server, however the pod was made.
func TestOurContainersGetNoTokenOfTheAPIServer(t *testing.T) {
	const at = "/var/run/secrets/kubernetes.io/serviceaccount"
	var looked int
	for _, s := range specimens(t) {
		pod, out := s.mesh.Inject(s.pod, s.ns)
		if out.Verdict != mutate.Inject {
			continue
		}
		pod = admitted(pod)
		volumes := map[string]corev1.Volume{}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = v
		}
		for _, c := range pod.Spec.InitContainers {
			if c.Name != mutate.Container && c.Name != mutate.InitContainer {
				continue
			}
			looked++
			var there int
			for _, m := range c.VolumeMounts {
				v, known := volumes[m.Name]
				if !known {
					t.Errorf("%s: %s mounts %s, which is no volume", s.name(), c.Name, m.Name)
				}
				if m.MountPath == at && v.EmptyDir != nil {
					there++
				} else if m.MountPath == at {
					t.Errorf("%s: %s has %s", s.name(), c.Name, m.Name)
				}
			}
			if there != 1 {
				t.Errorf("%s: %d mounts lie over the token's place in %s", s.name(), there, c.Name)
			}
		}
	}
	if looked < 60 {
		t.Errorf("looked at only %d containers", looked)
	}
}

func ExampleMesh_Inject() {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}}}
	mesh := mutate.Mesh{Image: "example.com/outrider:1", ControlPlane: "outrider-injector.outrider-system.svc:15012"}
	pod, outcome := mesh.Inject(pod, mutate.Namespace{Name: "shop", Labels: map[string]string{mutate.Label: mutate.Enabled}})
	fmt.Println(outcome)
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		fmt.Println(c.Name)
	}
	// Output:
	// inject: Labelled: by the label of the namespace shop
	// outrider-init
	// outrider
	// web
}
