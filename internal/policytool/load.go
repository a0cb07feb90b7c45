package policytool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/authz/trial"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
	"github.com/outrider-mesh/outrider/proxy/feed"
)

// Load reads the policy documents of a directory as a sidecar does.
func Load(ctx context.Context, dir string) (*config.Documents, error) {
	documents := new(config.Documents)
	source := feed.NewDirectory(feed.Options{Dir: dir, Apply: func(d *config.Documents) error {
		documents = d
		return nil
	}})
	if err := source.Load(ctx); err != nil {
		return nil, err
	}
	return documents, nil
}

// ParseWorkload reads "NAMESPACE/NAME" or "NAME", with labels behind:
// "shop/payments,app=payments,tier=web".
func ParseWorkload(text string) (authz.Workload, error) {
	name, labels, _ := strings.Cut(text, ",")
	w := authz.Workload{Name: name, Labels: map[string]string{}}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		w.Namespace, w.Name = namespace, rest
	}
	if w.Name == "" || strings.Contains(w.Name, "/") || strings.Contains(name, "=") {
		return w, fmt.Errorf("workload %q: write NAMESPACE/NAME, and labels behind: shop/payments,app=payments", text)
	}
	if labels == "" {
		return w, nil
	}
	for label := range strings.SplitSeq(labels, ",") {
		key, value, ok := strings.Cut(label, "=")
		if _, twice := w.Labels[key]; !ok || key == "" || twice {
			return w, fmt.Errorf("workload %q: the label %q is not KEY=VALUE, or is there twice", text, label)
		}
		w.Labels[key] = value
	}
	return w, nil
}

// options are what the engine needs to know besides the policies. A trust domain
// that the documents name comes first, as in a sidecar.
func options(d *config.Documents, w authz.Workload) authz.Options {
	mesh := d.Mesh.WithDefaults()
	if mesh.TrustDomain != "" {
		w.TrustDomain = mesh.TrustDomain
	}
	return authz.Options{Workload: w, Default: authz.Access(mesh.DefaultAccess)}
}

// subject compiles the documents for a workload. mode is that of its listener;
// empty: what the documents say.
func subject(d *config.Documents, w authz.Workload, mode config.MTLSMode) (trial.Subject, error) {
	set, err := authz.Compile(d.Access, options(d, w))
	if err != nil {
		return trial.Subject{}, fmt.Errorf("%w; the trust domain can be given with the workload", err)
	}
	if mode == "" {
		mode = d.Mesh.WithDefaults().MTLS
	}
	return trial.Subject{Set: set, Strict: mode != config.Permissive}, nil
}

// readDocuments reads a file of YAML documents.
func readDocuments(path string) ([]*strict.Document, []strict.Problem, error) {
	data, err := config.ReadBounded(path)
	if err != nil {
		return nil, nil, err
	}
	docs, problems := strict.Split(path, data)
	return docs, problems, nil
}

// invalid is an error that lists the problems, or nil.
func invalid(problems []strict.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = errors.New(p.String())
	}
	return errors.Join(errs...)
}
