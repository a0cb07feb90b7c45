package survey

import (
	"errors"
	"slices"

	"github.com/outrider-mesh/outrider/cmd/kubectl-outrider/kube"
	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// Documents reads policies as a sidecar does. One that is not valid is left out, as
// the control plane leaves it out, and its problems are among those returned. Of
// MeshConfig only the one called "mesh" counts.
func Documents(policies []kube.Policy) (*config.Documents, []config.Problem) {
	files, problems := filesOf(policies)
	for {
		documents, err := config.ParseDocuments(files)
		invalid, ok := errors.AsType[*config.Invalid](err)
		switch {
		case err == nil:
			return documents, append(problems, documents.Warnings...)
		case !ok:
			return new(config.Documents), append(problems, config.Problem{Message: err.Error()})
		}
		bad := map[string]bool{}
		for _, p := range invalid.Problems {
			if p.Severity == config.Error {
				bad[p.File] = true
				problems = append(problems, p)
			}
		}
		before := len(files)
		files = slices.DeleteFunc(files, func(f config.File) bool { return bad[f.Name] })
		if len(files) == before {
			// A problem of no file would be found again for ever.
			return new(config.Documents), problems
		}
	}
}

func filesOf(policies []kube.Policy) (files []config.File, problems []config.Problem) {
	for _, p := range policies {
		name := Object(&p)
		text, err := p.Text()
		switch {
		case err != nil:
			problems = append(problems, config.Problem{File: name, Object: name, Message: err.Error()})
		case p.Kind == config.KindMeshConfig && p.Metadata.Name != v1alpha1.MeshConfigName:
		default:
			files = append(files, config.File{Name: name, Data: text})
		}
	}
	return files, problems
}

// Object names a policy: "AccessPolicy shop/payments".
func Object(p *kube.Policy) string {
	if p.Metadata.Namespace == "" {
		return p.Kind + " " + p.Metadata.Name
	}
	return p.Kind + " " + p.Metadata.Namespace + "/" + p.Metadata.Name
}
