package strict

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A path is where a value stands. It is a list towards the root and rendered
// only when a problem needs it, so that long keys cost nothing.
type path struct {
	parent *path
	step   string // ".listen", "[1]" or `["a/b"]`; "listen" at the top
	depth  int
}

func (p *path) key(name string) *path {
	step := keyStep(name)
	if p == nil {
		return &path{step: strings.TrimPrefix(step, "."), depth: 1}
	}
	return &path{parent: p, step: step, depth: p.depth + 1}
}

func (p *path) index(i int) *path {
	return &path{parent: p, step: indexStep(i), depth: p.level() + 1}
}

func (p *path) level() int {
	if p == nil {
		return 0
	}
	return p.depth
}

func (p *path) String() string {
	var steps []string
	for ; p != nil; p = p.parent {
		steps = append(steps, p.step)
	}
	var b strings.Builder
	for _, step := range slices.Backward(steps) {
		b.WriteString(step)
	}
	return b.String()
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

// keyStep writes a key that could be taken for more than one step in quotes.
func keyStep(name string) string {
	if name == "" || len(name) > maxQuoted {
		return "[" + quote(name) + "]"
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
			return "[" + quote(name) + "]"
		}
	}
	return "." + name
}

// Key appends the step to a key of a mapping to a field path.
func Key(parent, name string) string {
	if parent == "" {
		return strings.TrimPrefix(keyStep(name), ".")
	}
	return parent + keyStep(name)
}

// Index appends the step to an element of a list to a field path.
func Index(parent string, i int) string { return parent + indexStep(i) }

// At returns the line of the value at a field path, or, when the document has
// no such field, the line of the innermost value around the place where it
// would stand.
func (d *Document) At(field string) int {
	n, rest, line := d.root, field, d.Line
	if rest != "" && rest[0] != '[' {
		rest = "." + rest
	}
	for n != nil && rest != "" {
		var at int
		if n, at, rest = descend(n, rest); n != nil {
			line = at
		}
	}
	return line
}

// descend takes the first step of rest.
func descend(n *yaml.Node, rest string) (next *yaml.Node, line int, after string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if after, ok := cutStep(rest, keyStep(n.Content[i].Value)); ok {
				return n.Content[i+1], n.Content[i].Line, after
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if after, ok := cutStep(rest, indexStep(i)); ok {
				return c, c.Line, after
			}
		}
	default: // a scalar holds no fields
	}
	return nil, 0, ""
}

func cutStep(rest, step string) (after string, ok bool) {
	after, ok = strings.CutPrefix(rest, step)
	return after, ok && (after == "" || after[0] == '.' || after[0] == '[')
}
