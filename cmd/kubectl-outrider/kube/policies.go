package kube

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
)

// A Policy is a document of ours as the cluster has it: what it says is not read yet,
// so that it can be read as strictly as a sidecar does.
type Policy struct {
	Kind     string                `json:"kind"`
	Metadata metav1.ObjectMeta     `json:"metadata"`
	Spec     json.RawMessage       `json:"spec"`
	Status   v1alpha1.PolicyStatus `json:"status"`
}

// Policies lists every document of ours, in all namespaces.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	var all []Policy
	for _, r := range v1alpha1.Resources() {
		some, err := list[Policy](ctx, c, within(ours, "", r.Plural), "")
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			p.Kind = r.Kind // an element of a list need not name it
			all = append(all, p)
		}
	}
	return all, nil
}

// Text is the document as a file of a directory would have it: without what only a
// cluster has.
func (p *Policy) Text() ([]byte, error) {
	type metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace,omitempty"`
	}
	spec := p.Spec
	if len(spec) == 0 {
		spec = json.RawMessage("{}")
	}
	return json.MarshalIndent(struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Metadata   metadata        `json:"metadata"`
		Spec       json.RawMessage `json:"spec"`
	}{v1alpha1.GroupVersion().String(), p.Kind, metadata{p.Metadata.Name, p.Metadata.Namespace}, spec}, "", "  ")
}
