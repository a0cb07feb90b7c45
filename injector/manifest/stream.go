package manifest

import (
	"bytes"
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/outrider-mesh/outrider/injector/mutate"
)

// MaxBytes bounds a stream. The API server takes 3 MiB of one object.
const MaxBytes = 64 << 20

// A Result is what became of one object with pods.
type Result struct {
	// Object is "kind/name".
	Object string
	// Changed tells whether it was written anew.
	Changed bool
	// Outcome is that of the pod; of removing, only its Detail is set.
	Outcome mutate.Outcome
}

// Options say how documents are read.
type Options struct {
	// Mesh is what sidecars get.
	Mesh mutate.Mesh
	// Namespace is that of objects that name none.
	Namespace string
}

// Inject puts sidecars into every pod of a stream but those that opt out by their
// label. Who runs it asks for all of them, as the label of a namespace does.
func Inject(stream []byte, opts Options) ([]byte, []Result, error) {
	return each(stream, func(w workload) (map[string]any, Result, error) { return opts.inject(w) })
}

// Remove takes sidecars out.
func Remove(stream []byte) ([]byte, []Result, error) { return each(stream, remove) }

// An edit makes another template of a workload's, or none if nothing changes.
type edit func(workload) (template map[string]any, _ Result, _ error)

// each edits the objects with pods of all documents.
func each(stream []byte, do edit) ([]byte, []Result, error) {
	if len(stream) > MaxBytes {
		return nil, nil, fmt.Errorf("the stream has more than %d bytes", MaxBytes)
	}
	var out []byte
	var all []Result
	var errs []error
	for i, doc := range documents(stream) {
		text, results, err := document(doc, do)
		if err != nil {
			errs = append(errs, fmt.Errorf("document %d: %w", i+1, err))
		}
		out, all = append(out, text...), append(all, results...)
	}
	return out, all, errors.Join(errs...)
}

// documents cuts a stream before each line that begins with "---", so that what they
// are joined to is the stream.
func documents(stream []byte) [][]byte {
	var all [][]byte
	begin := 0
	for at := 0; at < len(stream); {
		end := bytes.IndexByte(stream[at:], '\n') + 1
		if end == 0 {
			end = len(stream) - at
		}
		if at > begin && separates(stream[at:at+end]) {
			all = append(all, stream[begin:at])
			begin = at
		}
		at += end
	}
	return append(all, stream[begin:])
}

func separates(line []byte) bool {
	line = bytes.TrimRight(line, "\r\n")
	return bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- "))
}

// document edits one, which may be a list of objects.
func document(text []byte, do edit) ([]byte, []Result, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return text, nil, err
	}
	items := []any{tree}
	if list, ok := tree["items"].([]any); ok && tree["kind"] == "List" {
		items = list
	}
	var results []Result
	var changed bool
	for _, item := range items {
		object, _ := item.(map[string]any)
		w, ok := workloadOf(object)
		if !ok {
			continue
		}
		template, r, err := do(w)
		if err != nil {
			return text, results, fmt.Errorf("%s: %w", w.object(), err)
		}
		r.Object = w.object()
		if r.Changed {
			w.replace(template)
			changed = true
		}
		results = append(results, r)
	}
	if !changed {
		return text, results, nil
	}
	out, err := yaml.Marshal(tree)
	if begin := bytes.IndexByte(text, '\n') + 1; begin > 0 && separates(text[:begin]) {
		out = append([]byte("---\n"), out...)
	}
	return out, results, err
}
