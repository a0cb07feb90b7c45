package v1alpha1_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/outrider-mesh/outrider/injector/apis/v1alpha1"
	"github.com/outrider-mesh/outrider/proxy/config"
)

const documents = "../../../proxy/config/testdata/documents.yaml"

// decoded are the documents that have every key, read as a client of the API
// server reads them: strictly.
func decoded(t *testing.T) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	text, err := os.ReadFile(documents)
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		object, _, err := codecs.UniversalDeserializer().Decode([]byte(part+"\n"), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		all = append(all, object)
	}
	if len(all) < 3 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

// A document means the same to the API server's clients and to a sidecar.
func TestResourcesAreTheDocuments(t *testing.T) {
	text, err := os.ReadFile(documents)
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.ParseDocuments([]config.File{{Name: "documents.yaml", Data: text}})
	if err != nil {
		t.Fatal(err)
	}
	var access, inspection, mesh int
	for _, object := range decoded(t) {
		var diff string
		switch o := object.(type) {
		case *v1alpha1.AccessPolicy:
			access++
			for _, p := range want.Access {
				if p.Metadata.Name == o.Name {
					diff = cmp.Diff(p.Spec, o.Spec)
				}
			}
		case *v1alpha1.InspectionPolicy:
			inspection++
			diff = cmp.Diff(want.Inspection[0].Spec, o.Spec)
		case *v1alpha1.MeshConfig:
			mesh++
			diff = cmp.Diff(want.Mesh.Spec, o.Spec)
		}
		if diff != "" {
			t.Errorf("%T (-document +resource):\n%s", object, diff)
		}
	}
	if access != len(want.Access) || inspection != 1 || len(want.Inspection) != 1 || mesh != 1 {
		t.Errorf("saw %d, %d and %d documents of the kinds", access, inspection, mesh)
	}
}

func TestCopiesAreEqualAndShareNothing(t *testing.T) {
	for _, object := range decoded(t) {
		before := text(t, object)
		dup := object.DeepCopyObject()
		if diff := cmp.Diff(before, text(t, dup)); diff != "" {
			t.Errorf("%T (-object +copy):\n%s", object, diff)
		}
		scramble(reflect.ValueOf(dup))
		if text(t, dup) == before {
			t.Fatalf("%T: the test changed nothing", object)
		}
		if diff := cmp.Diff(before, text(t, object)); diff != "" {
			t.Errorf("%T changed with its copy:\n%s", object, diff)
		}
	}
}

func TestListsAreCopied(t *testing.T) {
	for _, r := range v1alpha1.Resources() {
		list := reflect.New(reflect.TypeOf(r.List).Elem())
		items := list.Elem().FieldByName("Items")
		items.Set(reflect.MakeSlice(items.Type(), 1, 1))
		dup := list.Interface().(runtime.Object).DeepCopyObject()
		reflect.ValueOf(dup).Elem().FieldByName("Items").Index(0).FieldByName("Name").SetString("changed")
		if items.Index(0).FieldByName("Name").String() != "" {
			t.Errorf("the items of %T are shared", dup)
		}
	}
}

func text(t *testing.T, object any) string {
	t.Helper()
	out, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// scramble changes every string that can be reached.
func scramble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scramble(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scramble(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("x" + v.String())
	default:
	}
}
