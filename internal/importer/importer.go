// Package importer has what translating the policies of other meshes has in
// common: what comes in, what comes out, and how it is said what did not.
//
// A construct is translated so that it means the same, or it is reported with its
// place. What is only half understood is no policy: a field that is not known is
// an error, and so is a construct for which there is no equal here. Where a
// translation is equal but for something that people should know, a note says so.
package importer

import (
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// Options are what no document says.
type Options struct {
	// TrustDomain is that of the mesh; empty means cluster.local.
	TrustDomain string
	// RootNamespace is the namespace whose policies hold everywhere, where the
	// mesh has one.
	RootNamespace string
	// Namespace is that of documents that name none; empty refuses them, for
	// without it a policy would hold for every namespace.
	Namespace string
}

// Domain is the trust domain that applies.
func (o *Options) Domain() string {
	if o.TrustDomain == "" {
		return "cluster.local"
	}
	return o.TrustDomain
}

// A Result is what came of documents.
type Result struct {
	// Policies are in the order of what they were made from. Where something was
	// not translated, what is left out narrows an Allow and widens a Deny; where
	// that can't be, the problem says that LESS IS DENIED.
	Policies []authz.Policy
	// Problems are what was not translated (errors) and what was, with something
	// to know about it (warnings). With an error the policies do not mean what
	// the documents did.
	Problems []strict.Problem
	// Broken tells that a document as a whole was not understood, so that even
	// what is left of the others says nothing.
	Broken bool
}

// Exact tells whether all was translated.
func (r *Result) Exact() bool {
	return !slices.ContainsFunc(r.Problems, func(p strict.Problem) bool { return p.Severity == strict.Error })
}

// Meta is the metadata of a Kubernetes object, as far as policies have any.
type Meta struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Stripped is a document without what the API server adds to it.
func Stripped(d *strict.Document) *strict.Document {
	return d.Without("status", "metadata.creationTimestamp", "metadata.finalizers", "metadata.generation", "metadata.managedFields",
		"metadata.ownerReferences", "metadata.resourceVersion", "metadata.selfLink", "metadata.uid")
}

// Expand replaces lists, as kubectl prints them, by what they hold.
func Expand(docs []*strict.Document) (all []*strict.Document) {
	for _, d := range docs {
		if items := d.Items("items"); d.APIVersion == "v1" && d.Kind == "List" && items != nil {
			all = append(all, items...)
			continue
		}
		all = append(all, d)
	}
	return all
}

// A Source is one document and what was found out about it.
type Source struct {
	*strict.Document
	Problems []strict.Problem
	// Broken tells that the document as a whole has no meaning here.
	Broken bool
}

// Into decodes the document. With any problem it is broken.
func (s *Source) Into(v any) bool {
	problems := s.Decode(v)
	s.Problems = append(s.Problems, problems...)
	s.Broken = s.Broken || len(problems) > 0
	return len(problems) == 0
}

// Fails reports what leaves nothing of the document.
func (s *Source) Fails(field, message, remedy string) {
	s.Broken = true
	s.Untranslated(field, message, remedy)
}

// Untranslated reports that something has no equal here, however often it is found
// to have none.
func (s *Source) Untranslated(field, message, remedy string) {
	if p := s.Problem(field, "not translated: "+message, remedy); !slices.Contains(s.Problems, p) {
		s.Problems = append(s.Problems, p)
	}
}

// Note reports what people should know of a translation.
func (s *Source) Note(field, message string) {
	p := s.Problem(field, message, "")
	p.Severity = strict.Warning
	s.Problems = append(s.Problems, p)
}

// Namespace is where the document is, or with a problem nowhere.
func (s *Source) Namespace(m Meta, o *Options) string {
	switch {
	case m.Namespace != "":
		return m.Namespace
	case o.Namespace == "":
		s.Fails("metadata.namespace", "is missing, and without it the policy would hold in every namespace", "add it, or name the one that is meant with --namespace")
	}
	return o.Namespace
}

// Fits reports why a rule would not be accepted here, at a field of the document,
// and tells whether it is.
func (s *Source) Fits(field string, r authz.Rule) bool {
	ok := true
	for _, p := range authz.Validate([]authz.Policy{{
		Metadata: authz.Metadata{Name: "rule", Namespace: "rule"}, Spec: authz.PolicySpec{Action: authz.Deny, Rules: []authz.Rule{r}},
	}}) {
		if p.Warning {
			continue
		}
		ok = false
		s.Untranslated(field, fmt.Sprintf("%q %s", p.Value, p.Reason), p.Remedy)
	}
	return ok
}

// Finish checks the policies as a whole. What is found then is a fault of the
// translation, and fails it.
func Finish(r *Result) {
	for _, p := range authz.Validate(r.Policies) {
		if !p.Warning {
			r.Broken = true
			r.Problems = append(r.Problems, strict.Problem{Object: p.Document, Field: p.Field, Message: fmt.Sprintf("not translated: %q %s", p.Value, p.Reason), Remedy: p.Remedy})
		}
	}
}
