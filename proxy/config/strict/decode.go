package strict

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Object names the document as problems do: its kind and its name.
func (d *Document) Object() string {
	switch {
	case d.Name == "" && d.Namespace == "":
		return d.Kind
	case d.Name == "":
		return strings.TrimSpace(d.Kind + " in " + d.Namespace)
	case d.Namespace == "":
		return strings.TrimSpace(d.Kind + " " + d.Name)
	}
	return strings.TrimSpace(d.Kind + " " + d.Namespace + "/" + d.Name)
}

// Problem makes an error about one field of the document and finds its line.
func (d *Document) Problem(field, message, remedy string) Problem {
	return Problem{
		File: d.File, Line: d.At(field), Object: d.Object(),
		Field: field, Message: message, Remedy: remedy,
	}
}

// Decode fills into, a non-nil pointer, from the document and returns every
// problem found on the way. What could be read is filled in even then: an
// element that could not be read stands in its list as the zero value, so that
// indexes mean the same before and after.
func (d *Document) Decode(into any) []Problem {
	dec := &decoder{doc: d}
	dec.value(d.root, reflect.ValueOf(into).Elem(), nil)
	return truncate(d.File, dec.problems)
}

type decoder struct {
	doc      *Document
	problems []Problem
}

func (d *decoder) report(n *yaml.Node, p *path, message, remedy string) {
	d.problems = append(d.problems, Problem{
		File: d.doc.File, Line: n.Line, Object: d.doc.Object(),
		Field: p.String(), Message: message, Remedy: remedy,
	})
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
	opaqueType   = reflect.TypeFor[Opaque]()
)

// full tells that looking for more problems is a waste of time.
func (d *decoder) full() bool { return len(d.problems) > maxProblems }

func (d *decoder) value(n *yaml.Node, v reflect.Value, p *path) {
	if d.full() || !d.plain(n, p) {
		return
	}
	switch {
	case v.Type() == opaqueType:
		v.Set(reflect.ValueOf(Opaque{Line: n.Line}))
	case v.Kind() == reflect.Pointer:
		elem := reflect.New(v.Type().Elem())
		d.value(n, elem.Elem(), p)
		v.Set(elem)
	case v.CanAddr() && v.Addr().Type().Implements(textType):
		d.text(n, v, p)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, p)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, p)
	case v.Kind() == reflect.Slice:
		d.list(n, v, p)
	default:
		d.scalar(n, v, p)
	}
}

// plain refuses what no document of ours needs and what makes YAML surprising:
// anchors and aliases (which also expand without bound), tags, and keys
// without a value (which would silently mean "everything" in a policy).
func (d *decoder) plain(n *yaml.Node, p *path) bool {
	switch {
	case p.level() > maxDepth:
		d.report(n, p.parent, fmt.Sprintf("nested deeper than %d levels", maxDepth), "flatten it")
	case n.Kind == yaml.AliasNode:
		d.report(n, p, "alias "+quote("*"+n.Value)+" is not supported", "write the value out")
	case n.Anchor != "":
		d.report(n, p, "anchor "+quote("&"+n.Anchor)+" is not supported", "remove it and write the value out where it is needed")
	case n.Style&yaml.TaggedStyle != 0:
		d.report(n, p, "tag "+quote(n.Tag)+" is not supported", "remove it")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.report(n, p, "has no value", "give it one or remove the key")
	default:
		return true
	}
	return false
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, p, "text")
		return
	}
	// The assertion holds: value has asked the type.
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			v.SetZero()
			d.report(n, p, clip(err.Error()), "")
		}
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, p, "a mapping")
		return
	}
	known := fields(v)
	d.pairs(n, p, func(key, value *yaml.Node) {
		field, ok := known[key.Value]
		if !ok {
			d.report(key, p.key(key.Value), "unknown field", Suggest(key.Value, slices.Collect(maps.Keys(known))))
			return
		}
		d.value(value, field, p.key(key.Value))
	})
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, p, "a mapping")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, p, func(key, value *yaml.Node) {
		at := p.key(key.Value)
		if tag := key.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
			d.report(key, at, "the key is "+describe(key)+", not text", "quote it: "+quote(key.Value))
			return
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(value, elem, at)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), elem)
	})
}

// pairs calls yield for every key that is usable and occurs for the first time.
func (d *decoder) pairs(n *yaml.Node, p *path, yield func(key, value *yaml.Node)) {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.report(key, p, "a key is "+describe(key)+", not text", "write a plain word")
			continue
		}
		at := p.key(key.Value)
		if !d.plain(key, at) {
			continue
		}
		if line, again := first[key.Value]; again {
			d.report(key, at, fmt.Sprintf("repeated: it already stands on line %d", line), "keep one of them")
			continue
		}
		first[key.Value] = key.Line
		yield(key, value)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, p *path) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, p, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, v.Index(i), p.index(i))
	}
}

// fields maps the keys of a struct to its settable fields.
func fields(v reflect.Value) map[string]reflect.Value {
	known := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			maps.Copy(known, fields(v.Field(i)))
		case name != "" && name != "-":
			known[name] = v.Field(i)
		}
	}
	return known
}
