package strict

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const listed = `apiVersion: v1
kind: List
items:
- apiVersion: a/v1
  kind: A
  metadata: {name: one, uid: x, creationTimestamp: null}
  status: {}
- {kind: B, metadata: {name: two, namespace: shop}}
- 7
`

func TestItems(t *testing.T) {
	docs, problems := Split("list.yaml", []byte(listed))
	if len(docs) != 1 || len(problems) > 0 {
		t.Fatal(docs, problems)
	}
	var got []string
	for _, d := range docs[0].Items("items") {
		got = append(got, fmt.Sprintf("%s:%d %s %q", d.File, d.Line, d.APIVersion, d.Object()))
	}
	want := []string{`list.yaml:4 a/v1 "A one"`, `list.yaml:8  "B shop/two"`, `list.yaml:9  ""`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(docs[0].Items("kind")) + len(docs[0].Items("nothing")); n > 0 {
		t.Errorf("%d documents in what is no list", n)
	}
}

func TestWithout(t *testing.T) {
	docs, _ := Split("list.yaml", []byte(listed))
	one := docs[0].Items("items")[0]
	var into struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name string `yaml:"name"`
		} `yaml:"metadata"`
	}
	if problems := one.Decode(&into); len(problems) != 3 {
		t.Errorf("want uid, creationTimestamp and status to be unknown: %v", problems)
	}
	stripped := one.Without("status", "metadata.uid", "metadata.creationTimestamp", "metadata.name.x", "other")
	if problems := stripped.Decode(&into); len(problems) > 0 || into.Metadata.Name != "one" {
		t.Errorf("%v: %+v", problems, into)
	}
	if problems := one.Decode(&into); len(problems) != 3 {
		t.Errorf("the document itself has changed: %v", problems)
	}
	// A field that is left is still found at its line.
	if got := stripped.At("metadata.name"); got != 6 {
		t.Errorf("line %d", got)
	}
}

func TestOpaque(t *testing.T) {
	docs, _ := Split("a.yaml", []byte("a: {b: [1, {c: d}]}\nx: 1\n"))
	var into struct {
		A Opaque `yaml:"a"`
		X Opaque `yaml:"x"`
		Z Opaque `yaml:"z"`
	}
	if problems := docs[0].Decode(&into); len(problems) > 0 || into.A.Line != 1 || into.X.Line != 2 || into.Z.Present() {
		t.Errorf("%v %+v", problems, into)
	}
}
