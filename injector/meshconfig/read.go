package meshconfig

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// A Fixed is what is decided when the control plane starts, because its own
// identity depends on it. A MeshConfig that says otherwise is not accepted.
type Fixed struct {
	// TrustDomain is that of the control plane.
	TrustDomain string
	// Provider is where the control plane and its sidecars get identities.
	Provider config.IdentityProvider
}

// read returns what a document says; problems if it can't be used.
func (f Fixed) read(object *unstructured.Unstructured) (config.MeshSpec, []config.Problem) {
	text, err := json.Marshal(map[string]any{
		"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(),
		"metadata": map[string]any{"name": object.GetName()}, "spec": object.Object["spec"],
	})
	if err != nil {
		return config.MeshSpec{}, []config.Problem{{Severity: config.Error, Message: err.Error()}}
	}
	docs, err := config.ParseDocuments([]config.File{{Name: object.GetName(), Data: text}})
	if err != nil {
		if invalid, ok := errors.AsType[*config.Invalid](err); ok {
			return config.MeshSpec{}, invalid.Problems
		}
		return config.MeshSpec{}, []config.Problem{{Severity: config.Error, Message: err.Error()}}
	}
	return docs.Mesh.Spec, append(f.contradictions(docs.Mesh.Spec), docs.Warnings...)
}

// contradictions are what can't become true while this control plane runs.
func (f Fixed) contradictions(spec config.MeshSpec) []config.Problem {
	var all []config.Problem
	if td := spec.TrustDomain; td != "" && td != f.TrustDomain {
		all = append(all, config.Problem{
			Severity: config.Error, Field: "spec.trustDomain", Message: fmt.Sprintf("is %q, and the control plane is of %q", td, f.TrustDomain),
			Remedy: "start the control plane with --trust-domain, or remove this",
		})
	}
	if p := spec.Identity.Provider; p != "" && p != f.Provider {
		all = append(all, config.Problem{
			Severity: config.Error, Field: "spec.identity.provider", Message: fmt.Sprintf("is %s, and the control plane was started for %s", p, f.Provider),
			Remedy: "start the control plane with --identity-provider, or remove this",
		})
	}
	return all
}

// failed tells whether one of the problems keeps the document from being used.
func failed(problems []config.Problem) bool {
	for _, p := range problems {
		if p.Severity == config.Error {
			return true
		}
	}
	return false
}

// findings are problems as a status lists them.
func findings(problems []config.Problem) []v1alpha1.Finding {
	var all []v1alpha1.Finding
	for _, p := range problems[:min(len(problems), v1alpha1.MaxLint)] {
		severity := v1alpha1.SeverityError
		if p.Severity != config.Error {
			severity = v1alpha1.SeverityWarning
		}
		all = append(all, v1alpha1.Finding{Code: cmp.Or(p.Code, uncoded), Severity: severity, Field: p.Field, Message: text(p)})
	}
	return all
}

// uncoded stands for problems that have no code of their own.
const uncoded = "OUT000"

func text(p config.Problem) string {
	if p.Remedy == "" {
		return p.Message
	}
	return p.Message + "; " + p.Remedy
}
