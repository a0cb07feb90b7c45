package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// A workload is an object that is a pod, or makes some.
type workload struct {
	kind, name, namespace string
	// template holds metadata and spec of its pods. It is the object itself if
	// that is a pod.
	template map[string]any
}

// templates says of each kind where its template is; a pod is its own.
func templates(kind string) (path []string, ok bool) {
	switch kind {
	case "Pod":
		return nil, true
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		return []string{"spec", "template"}, true
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	}
	return nil, false
}

func workloadOf(object map[string]any) (workload, bool) {
	w := workload{template: object}
	w.kind, _ = object["kind"].(string)
	path, ok := templates(w.kind)
	if !ok {
		return w, false
	}
	metadata, _ := object["metadata"].(map[string]any)
	w.name, _ = metadata["name"].(string)
	w.namespace, _ = metadata["namespace"].(string)
	for _, key := range path {
		if w.template, ok = w.template[key].(map[string]any); !ok {
			return w, false
		}
	}
	return w, true
}

func (w workload) object() string { return strings.ToLower(w.kind) + "/" + w.name }

// replace puts another template in the place of this one.
func (w workload) replace(template map[string]any) {
	for _, key := range []string{"metadata", "spec"} {
		if value, ok := template[key]; ok {
			w.template[key] = value
		} else {
			delete(w.template, key)
		}
	}
}

// typed reads the template. A field that isn't known would be lost in writing, so it
// is an error.
func (w workload) typed() (*corev1.PodTemplateSpec, error) {
	text, err := json.Marshal(map[string]any{"metadata": w.template["metadata"], "spec": w.template["spec"]})
	if err != nil {
		return nil, err
	}
	t := &corev1.PodTemplateSpec{}
	if err := yaml.UnmarshalStrict(text, t); err != nil {
		return nil, fmt.Errorf("read its pod: %w", err)
	}
	return t, nil
}

func treeOf(t *corev1.PodTemplateSpec) (map[string]any, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	return tree, yaml.Unmarshal(text, &tree)
}

func (o Options) inject(w workload) (map[string]any, Result, error) {
	t, err := w.typed()
	if err != nil {
		return nil, Result{}, err
	}
	ns := mutate.Namespace{Name: w.namespace, Labels: map[string]string{mutate.Label: mutate.Enabled}}
	if ns.Name == "" {
		ns.Name = o.Namespace
	}
	injected, out := o.Mesh.Template(t, w.name, ns)
	r := Result{Outcome: out, Changed: out.Verdict == mutate.Inject}
	if !r.Changed {
		return nil, r, nil
	}
	tree, err := treeOf(injected)
	return tree, r, err
}

func remove(w workload) (map[string]any, Result, error) {
	t, err := w.typed()
	if err != nil {
		return nil, Result{}, err
	}
	bare, had, err := mutate.RemoveTemplate(t)
	if err != nil || !had {
		return nil, Result{Outcome: mutate.Outcome{Decision: mutate.Decision{Detail: "has no sidecar"}}}, err
	}
	tree, err := treeOf(bare)
	return tree, Result{Changed: true, Outcome: mutate.Outcome{Decision: mutate.Decision{Detail: "the sidecar is removed"}}}, err
}
