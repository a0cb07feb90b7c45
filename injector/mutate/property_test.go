package mutate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// admitted is what the API server's ServiceAccount plugin makes of a pod: a volume
// with a token, mounted into every container that has nothing in its place.
func admitted(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	const volume = "kube-api-access-abcde"
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volume})
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenPath }) {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: tokenPath, ReadOnly: true})
			}
		}
	}
	return pod
}

// meddled is what a later webhook may do: mount and set something in every
// container, and change the image to that of a registry nearby.
func meddled(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "zone-info"})
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: "zone-info", MountPath: "/zone"})
			list[i].Env = append(list[i].Env, corev1.EnvVar{Name: "ZONE", Value: "a"})
			list[i].Image = "mirror.example/" + list[i].Image
		}
	}
	return pod
}

// volumesSorted makes pods comparable whose volumes were added in another order,
// which means nothing.
func volumesSorted(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	slices.SortFunc(pod.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	return pod
}

// The API server calls the webhook again when a later one has changed the pod.
func TestInjectingAgainChangesNothing(t *testing.T) {
	var injected int
	for _, s := range specimens(t) {
		once, out := s.mesh.Inject(s.pod, s.ns)
		if out.Verdict != mutate.Inject {
			continue
		}
		injected++
		for _, between := range []struct {
			what  string
			alter func(*corev1.Pod) *corev1.Pod
		}{
			{"nothing", func(p *corev1.Pod) *corev1.Pod { return p }},
			{"the API server", admitted},
			{"another webhook", meddled},
			{"both", func(p *corev1.Pod) *corev1.Pod { return meddled(admitted(p)) }},
		} {
			want := between.alter(once)
			twice, out := s.mesh.Inject(want, s.ns)
			if out.Verdict != mutate.Inject {
				t.Errorf("%s after %s: %s", s.name(), between.what, out)
			}
			if diff := cmp.Diff(volumesSorted(want), volumesSorted(twice)); diff != "" {
				t.Errorf("%s after %s (-once +twice):\n%s", s.name(), between.what, diff)
			}
		}
	}
	if injected < 40 {
		t.Errorf("only %d pods were injected", injected)
	}
}

func TestRemovingRestoresThePod(t *testing.T) {
	var injected int
	for _, s := range specimens(t) {
		pod, out := s.mesh.Inject(s.pod, s.ns)
		if out.Verdict != mutate.Inject {
			continue
		}
		injected++
		bare, had, err := mutate.Remove(pod)
		if err != nil || !had {
			t.Errorf("%s: had a sidecar: %v, %v", s.name(), had, err)
		}
		if diff := cmp.Diff(text(t, s.pod), text(t, bare)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", s.name(), diff)
		}
	}
	if injected < 40 {
		t.Errorf("only %d pods were injected", injected)
	}
}

func TestPatchesMakeTheOnePodOfTheOther(t *testing.T) {
	var patched int
	for _, s := range specimens(t) {
		pod, _ := s.mesh.Inject(s.pod, s.ns)
		again, _ := s.mesh.Inject(meddled(admitted(pod)), s.ns)
		for _, pair := range [][2]*corev1.Pod{{s.pod, pod}, {pod, s.pod}, {pod, again}, {again, s.pod}, {pod, pod}} {
			ops, err := mutate.Patch(pair[0], pair[1])
			if err != nil {
				t.Fatal(err)
			}
			if len(ops) > 0 {
				patched++
			}
			got := apply(t, tree(t, pair[0]), ops)
			if diff := cmp.Diff(tree(t, pair[1]), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.name(), diff)
			}
		}
	}
	if patched < 120 {
		t.Errorf("only %d patches", patched)
	}
}

// A field that this program doesn't know is not lost.
func TestPatchesKeepUnknownFields(t *testing.T) {
	s := parse(t, "testdata/pods/probe_http.txtar")
	raw := tree(t, s.pod)
	container := raw["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	container["tomorrow"] = "kept"
	pod, _ := s.mesh.Inject(s.pod, s.ns)
	ops, err := mutate.Patch(s.pod, pod)
	if err != nil {
		t.Fatal(err)
	}
	got := apply(t, raw, ops)
	container = got["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	if container["tomorrow"] != "kept" {
		t.Errorf("the container became %v", container)
	}
}

func tree(t testing.TB, v any) map[string]any {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(out, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// apply is RFC 6902 for the operations that we make. It reads them from JSON, as
// the API server does.
func apply(t testing.TB, document map[string]any, ops []mutate.Operation) map[string]any {
	t.Helper()
	var read []mutate.Operation
	out, err := json.Marshal(ops)
	if err == nil {
		err = json.Unmarshal(out, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	var whole any = document
	for _, op := range read {
		keys := strings.Split(op.Path, "/")[1:]
		for i := range keys {
			keys[i] = strings.ReplaceAll(strings.ReplaceAll(keys[i], "~1", "/"), "~0", "~")
		}
		if whole, err = changed(whole, keys, op); err != nil {
			t.Fatalf("%+v: %v", op, err)
		}
	}
	return whole.(map[string]any)
}

func changed(in any, keys []string, op mutate.Operation) (any, error) {
	last := len(keys) == 1
	switch in := in.(type) {
	case map[string]any:
		old, had := in[keys[0]]
		switch {
		case !last:
			next, err := changed(old, keys[1:], op)
			in[keys[0]] = next
			return in, err
		case op.Op != "add" && !had:
			return nil, fmt.Errorf("there is no %s", keys[0])
		case op.Op == "remove":
			delete(in, keys[0])
		default:
			in[keys[0]] = op.Value
		}
		return in, nil
	case []any:
		i, err := strconv.Atoi(keys[0])
		if err != nil || i > len(in) || i == len(in) && op.Op != "add" {
			return nil, fmt.Errorf("no element %s", keys[0])
		}
		switch {
		case !last:
			in[i], err = changed(in[i], keys[1:], op)
			return in, err
		case op.Op == "add":
			return slices.Insert(in, i, op.Value), nil
		case op.Op == "remove":
			return slices.Delete(in, i, i+1), nil
		default:
			in[i] = op.Value
			return in, nil
		}
	}
	return nil, fmt.Errorf("nothing is at %s", keys[0])
}
