// Package importertest tries importers with documents that are not quite right.
package importertest

import (
	"fmt"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Unknown adds a field that nobody knows, with a value of each kind, to every mapping of
// a document but those at the places in free, which hold what their owners like. Each
// document that results is tried; at is the field's place, such as
// ".spec.rules[0].unheardOf". It returns how many were.
func Unknown(t *testing.T, document string, free []string, try func(at, document string)) (tried int) {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(document), &root); err != nil {
		t.Fatal(err)
	}
	visit(root.Content[0], "", func(at string, n *yaml.Node) {
		if slices.Contains(free, at) {
			return
		}
		before := n.Content
		for _, value := range []*yaml.Node{scalar("x"), {Kind: yaml.SequenceNode, Content: []*yaml.Node{scalar("x")}}, {Kind: yaml.MappingNode}} {
			n.Content = append(slices.Clip(before), scalar("unheardOf"), value)
			text, err := yaml.Marshal(root.Content[0])
			if err != nil {
				t.Fatal(err)
			}
			try(at+".unheardOf", string(text))
			tried++
		}
		n.Content = before
	})
	return tried
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func visit(n *yaml.Node, at string, mapping func(at string, n *yaml.Node)) {
	switch n.Kind {
	case yaml.MappingNode:
		mapping(at, n)
		for i := 0; i+1 < len(n.Content); i += 2 {
			visit(n.Content[i+1], at+"."+n.Content[i].Value, mapping)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			visit(c, fmt.Sprintf("%s[%d]", at, i), mapping)
		}
	default:
	}
}
