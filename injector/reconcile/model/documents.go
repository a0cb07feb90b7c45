package model

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/injector/distribute"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// MeshName is the name of the one MeshConfig that counts.
const MeshName = "mesh"

// A document is one as it is in force, and what is said of its present text.
type document struct {
	is       *Document
	problems []config.Problem // of the present text
	invalid  bool             // the present text
	// good is the last version that is valid; nil: there is none. A kept one has no
	// content: what it was is known to those sidecars that have it.
	good     *distribute.Resource
	kept     bool
	selector *authz.Selector // of good
}

func documentName(id ID, scope string) string {
	if id.Kind == config.KindMeshConfig {
		scope = ""
	}
	return push.DocumentName(string(id.Kind), scope, id.Name)
}

// readDocument reads a text with the reader that sidecars have. What it was before is
// not known here.
func readDocument(id ID, is *Document) *document {
	d := &document{is: is}
	parsed, err := config.ParseDocuments([]config.File{{Name: is.name(id), Data: is.Text}})
	invalid, _ := errors.AsType[*config.Invalid](err)
	switch {
	case invalid != nil:
		d.problems, d.invalid = invalid.Problems, true
	case err != nil:
		d.problems, d.invalid = []config.Problem{{Message: err.Error()}}, true
	case id.Kind == config.KindMeshConfig && id.Name != MeshName:
		d.problems, d.invalid = []config.Problem{{
			Field: "metadata.name", Message: fmt.Sprintf("is not %q, so it is without effect", MeshName), Remedy: "there is one MeshConfig; change that",
		}}, true
	default:
		d.problems = parsed.Warnings
		d.good = distribute.NewDocument(is.name(id), is.Text)
		d.selector = selectorOf(parsed)
	}
	return d
}

// selectorOf is that of the one document there is.
func selectorOf(d *config.Documents) *authz.Selector {
	switch {
	case len(d.Access) > 0:
		return d.Access[0].Spec.Selector
	case len(d.Inspection) > 0:
		return d.Inspection[0].Spec.Selector
	}
	return nil
}

// after joins what is known of the document before. A text that is not valid leaves the
// last good version in force. After a start of the control plane nobody here knows that;
// whether there is one is in the object's status.
func (d *document) after(was *document) {
	if !d.invalid {
		return
	}
	switch {
	case was != nil && was.is.Scope == d.is.Scope:
		d.good, d.kept, d.selector = was.good, was.kept, was.selector
	case d.is.Revision != "":
		d.kept, d.selector = true, presumed(d.is.Text)
	}
}

// presumed is the selector of a text that is not valid, as far as it can be read; nil,
// which selects all, if it can't.
func presumed(text []byte) *authz.Selector {
	var d struct {
		Spec struct {
			Selector *authz.Selector `json:"selector"`
		} `json:"spec"`
	}
	if json.Unmarshal(text, &d) != nil {
		return nil
	}
	return d.Spec.Selector
}

// resource is what a pod with these labels gets of it; nil: nothing.
func (d *document) resource(id ID, labels map[string]string) *distribute.Resource {
	switch {
	case d.kept:
		return distribute.Kept(d.is.name(id), d.selector.Matches(labels))
	case d.good != nil && d.selector.Matches(labels):
		return d.good
	}
	return nil
}

func (m *Model) setDocument(a *Affected, id ID, now *document) {
	scope, was := m.documentOf(id)
	if now != nil && was != nil && was.is.Scope == now.is.Scope && string(was.is.Text) == string(now.is.Text) {
		if was.is.Generation != now.is.Generation {
			a.Documents[id] = struct{}{}
		}
		was.is = now.is
		return
	}
	if was == nil && now == nil {
		return
	}
	a.Documents[id] = struct{}{}
	m.edition++
	if was != nil {
		m.touchSelected(a, scope, was)
		delete(m.scopes[scope], id)
		if len(m.scopes[scope]) == 0 {
			delete(m.scopes, scope)
		}
	}
	if now == nil {
		return
	}
	now.after(was)
	if m.scopes[now.is.Scope] == nil {
		m.scopes[now.is.Scope] = map[ID]*document{}
	}
	m.scopes[now.is.Scope][id] = now
	m.touchSelected(a, now.is.Scope, now)
}

// documentOf finds a document; one of a namespace may be about all.
func (m *Model) documentOf(id ID) (scope string, d *document) {
	for _, scope := range []string{id.Namespace, ""} {
		if d := m.scopes[scope][id]; d != nil {
			return scope, d
		}
	}
	return "", nil
}

// touchSelected notes the workloads that a document is about; of a kept one all may
// have it.
func (m *Model) touchSelected(a *Affected, scope string, d *document) {
	selector := d.selector
	if d.kept {
		selector = nil
	}
	for _, k := range m.selected(scope, selector) {
		a.Workloads[k] = struct{}{}
	}
}

// selected are the workloads of a scope with a sidecar that a selector chooses.
func (m *Model) selected(scope string, s *authz.Selector) []distribute.Key {
	var all []distribute.Key
	in := func(namespace string) {
		for name, p := range m.pods[namespace] {
			if p.counts() && s.Matches(p.Labels) {
				all = append(all, distribute.Key{Namespace: namespace, Name: name})
			}
		}
	}
	if scope != "" {
		in(scope)
		return all
	}
	for namespace := range m.pods {
		in(namespace)
	}
	return all
}

// touchDocuments notes the documents that concern a pod: how many have them changes
// with it.
func (m *Model) touchDocuments(a *Affected, id ID, p *Pod) {
	if !p.counts() {
		return
	}
	for _, scope := range []string{id.Namespace, ""} {
		for doc, d := range m.scopes[scope] {
			if d.selector.Matches(p.Labels) {
				a.Documents[doc] = struct{}{}
			}
		}
	}
}

// Documents implements [distribute.Mesh].
func (m *Model) Documents(of distribute.Key) (distribute.Set, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.pods[of.Namespace][of.Name]
	if p == nil || !p.counts() {
		return nil, false
	}
	set := distribute.Set{distribute.NewWorkload(push.Workload{Namespace: of.Namespace, Name: of.Name, Labels: p.Labels})}
	for _, scope := range []string{of.Namespace, ""} {
		for id, d := range m.scopes[scope] {
			if r := d.resource(id, p.Labels); r != nil {
				set = append(set, r)
			}
		}
	}
	if len(set) > push.MaxDocuments {
		return nil, false // more than a sidecar takes; part of them would be another policy
	}
	slices.SortFunc(set, func(x, y *distribute.Resource) int { return cmp.Compare(x.Name, y.Name) })
	return set, true
}
