package crd

import (
	"reflect"
	"strings"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
)

// Definitions are the CustomResourceDefinitions, in the order of [v1alpha1.Resources].
func Definitions(describe Describer) []map[string]any {
	var all []map[string]any
	for _, r := range v1alpha1.Resources() {
		all = append(all, definition(r, describe))
	}
	return all
}

func definition(r v1alpha1.Resource, describe Describer) map[string]any {
	scope := "Namespaced"
	if r.Cluster {
		scope = "Cluster"
	}
	return map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": r.Plural + "." + v1alpha1.Group, "labels": map[string]any{"app.kubernetes.io/part-of": "outrider"}},
		"spec": map[string]any{
			"group": v1alpha1.Group, "scope": scope,
			"names": map[string]any{
				"kind": r.Kind, "listKind": r.Kind + "List", "plural": r.Plural, "singular": strings.ToLower(r.Kind),
				"shortNames": r.Short, "categories": []string{"outrider"},
			},
			"versions": []any{map[string]any{
				"name": v1alpha1.Version, "served": true, "storage": true,
				"subresources":             map[string]any{"status": map[string]any{}},
				"additionalPrinterColumns": columns(r),
				"schema":                   map[string]any{"openAPIV3Schema": root(r, describe)},
			}},
		},
	}
}

// root is the schema of a whole object. That of its metadata is the API server's.
func root(r v1alpha1.Resource, describe Describer) Schema {
	t := reflect.TypeOf(r.Object).Elem()
	s := object(t, describe)
	properties := s["properties"].(Schema)
	properties["apiVersion"], properties["kind"] = Schema{"type": "string"}, Schema{"type": "string"}
	properties["metadata"] = Schema{"type": "object"}
	s["description"] = describe(t, "")
	if r.Cluster {
		s["x-kubernetes-validations"] = []Schema{{
			"rule":    "self.metadata.name == '" + v1alpha1.MeshConfigName + "'",
			"message": "the only " + r.Kind + " of a cluster is called " + v1alpha1.MeshConfigName,
		}}
	}
	return s
}

func column(name, kind, path string) map[string]any {
	return map[string]any{"name": name, "type": kind, "jsonPath": path}
}

// columns are what kubectl get shows.
func columns(r v1alpha1.Resource) []any {
	var all []any
	spec := reflect.TypeOf(r.Object).Elem()
	f, _ := spec.FieldByName("Spec")
	for _, c := range [][2]string{{"Action", "action"}, {"Mode", "mode"}, {"Profile", "profile"}, {"mTLS", "mtls"}, {"Default", "defaultAccess"}} {
		for field := range f.Type.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name == c[1] {
				all = append(all, column(c[0], "string", ".spec."+c[1]))
			}
		}
	}
	all = append(all, column("Accepted", "string", `.status.conditions[?(@.type=="`+v1alpha1.Accepted+`")].status`))
	if r.Kind != "MeshConfig" { // sidecars acknowledge policies; this the control plane reads
		all = append(all, column("Programmed", "string", ".status.sidecars.summary"))
	}
	return append(all, column("Age", "date", ".metadata.creationTimestamp"))
}
