package strict

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Opaque is a value of any form that is known to be there and is not looked into,
// for whoever has to say that it means nothing here.
type Opaque struct {
	// Line is where it stands; 0 where it is absent.
	Line int
}

// Present tells whether the document has the value.
func (o Opaque) Present() bool { return o.Line > 0 }

// Items returns the elements of a list as documents of their own, such as those
// of the List that kubectl prints; nil for a document without that list.
func (d *Document) Items(key string) []*Document {
	list := Child(d.root, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	all := make([]*Document, 0, len(list.Content))
	for _, n := range list.Content {
		all = append(all, newRoot(d.File, n))
	}
	return all
}

// Without returns a document that has none of the fields, which are paths of keys
// such as "metadata.uid": for what somebody else's program adds to a document
// and nobody reads here. The receiver stays as it is.
func (d *Document) Without(fields ...string) *Document {
	c := *d
	for _, field := range fields {
		c.root = without(c.root, strings.Split(field, "."))
	}
	return &c
}

// without copies the mappings on the way, and leaves the rest shared.
func without(n *yaml.Node, path []string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return n
	}
	c := *n
	c.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Value != path[0]:
		case len(path) == 1:
			continue
		default:
			value = without(value, path[1:])
		}
		c.Content = append(c.Content, key, value)
	}
	return &c
}
