package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

// maxReported bounds the problems of one error over all files.
const maxReported = 1000

// ParseDocuments parses policy documents. They are accepted as a whole or not
// at all: the error, an [*Invalid], lists the problems of all files. No file
// at all makes valid documents that say nothing.
func ParseDocuments(files []File) (*Documents, error) {
	var r reader
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) }) {
		docs, problems := strict.Split(f.Name, f.Data)
		r.problems = append(r.problems, problems...)
		for _, d := range docs {
			r.read(d)
		}
	}
	r.validateAccess()
	return r.documents()
}

// A reader gathers documents and what is wrong with them.
type reader struct {
	access     []accessDocument
	inspection []InspectionPolicy
	mesh       *MeshConfig
	first      map[string]*strict.Document // by kind, namespace and name
	problems   []Problem
}

// An accessDocument waits for its validation, which sees all policies at once.
type accessDocument struct {
	doc      *strict.Document
	policy   authz.Policy
	problems []Problem // of decoding
}

// A head is what every document has and the types of its kind don't repeat.
type head[T any] struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Body       T      `yaml:",inline"`
}

func (r *reader) read(doc *strict.Document) {
	if p := checkHead(doc, KindAccessPolicy, KindInspectionPolicy, KindMeshConfig); len(p) > 0 {
		// Of an unknown kind, every key would be unknown.
		r.problems = append(r.problems, p...)
		return
	}
	switch doc.Kind {
	case KindAccessPolicy:
		var h head[authz.Policy]
		// With the repetition among them, authz need not report it again in
		// terms of positions.
		decoding := append(doc.Decode(&h), r.unique(doc)...)
		r.access = append(r.access, accessDocument{doc, h.Body, decoding})
	case KindInspectionPolicy:
		var h head[InspectionPolicy]
		decoding, c := doc.Decode(&h), &checker{doc: doc}
		c.inspection(&h.Body)
		r.problems = append(r.problems, merge(append(decoding, r.unique(doc)...), c.problems)...)
		r.inspection = append(r.inspection, h.Body)
	case KindMeshConfig:
		var h head[MeshConfig]
		decoding, c := doc.Decode(&h), &checker{doc: doc}
		c.mesh(&h.Body)
		r.problems = append(r.problems, merge(append(decoding, r.unique(doc)...), c.problems)...)
		r.mesh = &h.Body
	}
}

// unique refuses a second document of the same name, and of MeshConfig any
// second one: which of them would count?
func (r *reader) unique(doc *strict.Document) []Problem {
	key := doc.Object()
	if doc.Kind == KindMeshConfig {
		key = doc.Kind
	} else if doc.Name == "" {
		return nil // reported elsewhere
	}
	if r.first == nil {
		r.first = map[string]*strict.Document{}
	}
	earlier, again := r.first[key]
	if !again {
		r.first[key] = doc
		return nil
	}
	field := "metadata.name"
	if doc.Kind == KindMeshConfig {
		field = "kind"
	}
	return []Problem{doc.Problem(field,
		fmt.Sprintf("%s stands already at %s:%d", key, earlier.File, earlier.Line), "keep one of them")}
}

// validateAccess brings problems of package authz to their place in a file.
func (r *reader) validateAccess() {
	policies := make([]authz.Policy, len(r.access))
	for i, a := range r.access {
		policies[i] = a.policy
	}
	validating := make([][]Problem, len(r.access))
	for _, p := range authz.Validate(policies) {
		validating[p.Index] = append(validating[p.Index], accessProblem(r.access[p.Index].doc, p.Field, p))
	}
	for i, a := range r.access {
		r.problems = append(r.problems, merge(a.problems, validating[i])...)
	}
}

func accessProblem(doc *strict.Document, field string, p authz.Problem) Problem {
	message := p.Reason
	if p.Value != "" {
		message = fmt.Sprintf("%q %s", clipped(p.Value), p.Reason)
	}
	made := doc.Problem(field, message, p.Remedy)
	made.Code = string(p.Code)
	if p.Warning {
		made.Severity = Warning
	}
	return made
}

func (r *reader) documents() (*Documents, error) {
	order(r.problems)
	if err := invalid(bounded(r.problems)); err != nil {
		return nil, err
	}
	d := &Documents{Mesh: r.mesh, Warnings: bounded(r.problems)}
	for _, a := range r.access {
		d.Access = append(d.Access, a.policy)
	}
	d.Inspection = r.inspection
	// Stable: the code of a sort is made once for each type, 16 KB, and this one has a
	// third of it.
	slices.SortStableFunc(d.Access, func(a, b authz.Policy) int { return compare(a.Metadata, b.Metadata) })
	slices.SortStableFunc(d.Inspection, func(a, b InspectionPolicy) int { return compare(a.Metadata, b.Metadata) })
	var err error
	d.Generation, err = d.hash()
	return d, err
}

// bounded keeps errors before warnings when not all can be shown.
func bounded(problems []Problem) []Problem {
	if len(problems) <= maxReported {
		return problems
	}
	kept := slices.Clone(problems)
	slices.SortStableFunc(kept, func(a, b Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	kept = append(kept[:maxReported:maxReported], Problem{
		Severity: Warning, Message: fmt.Sprintf("%d more problems are not shown", len(problems)-maxReported), Remedy: "mend these first",
	})
	return kept
}

func compare(a, b Metadata) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// hash is over the canonical text: YAML writes keys in a fixed order.
func (d *Documents) hash() (string, error) {
	text, err := yaml.Marshal(struct {
		Access     []authz.Policy
		Inspection []InspectionPolicy
		Mesh       *MeshConfig
	}{d.Access, d.Inspection, d.Mesh})
	if err != nil {
		return "", fmt.Errorf("hash the policy documents: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}
