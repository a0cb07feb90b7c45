package mutate

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// An Operation is one of a JSON patch (RFC 6902 §4).
type Operation struct {
	Op    string `json:"op"`   // add, remove or replace
	Path  string `json:"path"` // a JSON pointer (RFC 6901)
	Value any    `json:"value,omitempty"`
}

// Patch lists what makes the one pod of the other. It touches nothing that is equal
// in both: an API server newer than this program knows fields that are in neither,
// and elements of lists keep theirs.
func Patch(before, after *corev1.Pod) ([]Operation, error) {
	from, err := treeOfPod(before)
	if err != nil {
		return nil, err
	}
	to, err := treeOfPod(after)
	if err != nil {
		return nil, err
	}
	var p patch
	p.value("", from, to)
	return p, nil
}

// treeOfPod is the pod as its JSON would be read, in a third of the time.
func treeOfPod(pod *corev1.Pod) (map[string]any, error) {
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("take the pod apart: %w", err)
	}
	return tree, nil
}

type patch []Operation

func (p *patch) add(op, path string, value any) { *p = append(*p, Operation{op, path, value}) }

func (p *patch) value(path string, from, to any) {
	switch to := to.(type) {
	case map[string]any:
		if from, ok := from.(map[string]any); ok {
			p.object(path, from, to)
			return
		}
	case []any:
		if from, ok := from.([]any); ok && p.list(path, from, to) {
			return
		}
	}
	if !reflect.DeepEqual(from, to) {
		p.add("replace", path, to)
	}
}

// pointer escapes a key for a JSON pointer (RFC 6901 §3).
func pointer(path, key string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func (p *patch) object(path string, from, to map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if _, stays := to[key]; !stays {
			p.add("remove", pointer(path, key), nil)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if old, had := from[key]; had {
			p.value(pointer(path, key), old, to[key])
		} else {
			p.add("add", pointer(path, key), to[key])
		}
	}
}

// list takes elements out, puts others in and goes into those that stay, if these
// can be told by their names and keep their order.
func (p *patch) list(path string, from, to []any) bool {
	old, oldOK := named(from)
	next, nextOK := named(to)
	if !oldOK || !nextOK {
		return false
	}
	stays := func(in []string) func(string) bool {
		return func(name string) bool { return !slices.Contains(in, name) }
	}
	kept := slices.DeleteFunc(slices.Clone(old), stays(next))
	if !slices.Equal(kept, slices.DeleteFunc(slices.Clone(next), stays(old))) {
		return false
	}
	for i, name := range slices.Backward(old) {
		if !slices.Contains(next, name) {
			p.add("remove", path+"/"+strconv.Itoa(i), nil)
		}
	}
	for i, name := range next {
		at := path + "/" + strconv.Itoa(i)
		if was := slices.Index(old, name); was >= 0 {
			p.value(at, from[was], to[i])
		} else {
			p.add("add", at, to[i])
		}
	}
	return true
}

// named are the names of a list's elements, if each has one of its own.
func named(list []any) (names []string, ok bool) {
	seen := map[string]bool{}
	for _, element := range list {
		object, _ := element.(map[string]any)
		name, _ := object["name"].(string)
		if name == "" || seen[name] {
			return nil, false
		}
		seen[name] = true
		names = append(names, name)
	}
	return names, true
}
