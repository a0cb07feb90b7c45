package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/outrider-mesh/outrider/authz"
)

func TestAFileWithEveryMistakeNamesEveryMistake(t *testing.T) {
	_, _, err := ParseSidecar("all_wrong.yaml", testdata(t, "all_wrong.yaml"))
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("%v is no *Invalid", err)
	}
	if n := len(invalid.Problems); n < 35 {
		t.Errorf("%d problems are too few", n)
	}
	golden(t, "all_wrong.golden", err.Error()+"\n")
}

func parse(t testing.TB, files ...File) *Documents {
	t.Helper()
	d, err := ParseDocuments(files)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentsWithEveryKey(t *testing.T) {
	d := parse(t, File{"documents.yaml", testdata(t, "documents.yaml")})
	if len(d.Warnings) > 0 {
		t.Errorf("warnings: %v", d.Warnings)
	}
	text, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "documents.golden", string(text))
}

func TestDocumentsAreWrittenAsTheyAreRead(t *testing.T) {
	d := parse(t, File{"documents.yaml", testdata(t, "documents.yaml")},
		File{"w.yaml", []byte(part("InspectionPolicy", "w", "onFailure: {error: Allow}"))})
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "documents.json.golden", string(text)+"\n")
}

func TestNoFilesAreValidAndSayNothing(t *testing.T) {
	d := parse(t)
	if len(d.Access)+len(d.Inspection) > 0 || d.Mesh.WithDefaults().DefaultAccess != DefaultDeny || d.Generation == "" {
		t.Errorf("%+v", d)
	}
}

// part is a small document; text is inserted into its spec.
func part(kind, name, text string) string {
	return fmt.Sprintf("apiVersion: outrider.dev/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: shop}\nspec: {%s}\n", kind, name, text)
}

func TestGenerationIsOfTheContentOnly(t *testing.T) {
	a := part("AccessPolicy", "a", "action: Allow, rules: [{from: [{namespaces: [x]}]}]")
	b := part("InspectionPolicy", "b", "mode: Detect")
	c := part("AccessPolicy", "c", "action: Deny, rules: [{}]")
	base := parse(t, File{"1.yaml", []byte(a + "---\n" + b + "---\n" + c)})
	same := map[string][]File{
		"other files":    {{"x.yaml", []byte(a)}, {"y.yaml", []byte(b)}, {"z.yaml", []byte(c)}},
		"another order":  {{"1.yaml", []byte(c + "---\n" + b + "---\n" + a)}},
		"comments":       {{"1.yaml", []byte("# hello\n" + a + "---\n" + b + "---\n" + c)}},
		"the same again": {{"1.yaml", []byte(a + "---\n" + b + "---\n" + c)}},
	}
	for name, files := range same {
		d := parse(t, files...)
		if d.Generation != base.Generation {
			t.Errorf("%s: generation %s, want %s", name, d.Generation, base.Generation)
		}
		if diff := cmp.Diff(base.Access, d.Access); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, text := range map[string]string{
		"one document less": a + "---\n" + b,
		"another value":     strings.Replace(a, "Allow", "Deny", 1) + "---\n" + b + "---\n" + c,
		"another mode":      a + "---\n" + strings.Replace(b, "Detect", "Block", 1) + "---\n" + c,
	} {
		if parse(t, File{"1.yaml", []byte(text)}).Generation == base.Generation {
			t.Errorf("%s: the generation is the same", name)
		}
	}
}

func TestProblemsOfAllFilesInOrder(t *testing.T) {
	_, err := ParseDocuments([]File{
		{"b.yaml", []byte(part("InspectionPolicy", "b", "mode: block"))},
		{"a.yaml", []byte(part("AccessPolicy", "a", "action: Allow, rules: [{from: [{principals: [x]}]}]"))},
		{"c.yaml", []byte("kind: [")},
		{"d.yaml", []byte(part("AccessPolicy", "a", "action: Deny"))},
	})
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("%v is no *Invalid", err)
	}
	var places []string
	for _, p := range invalid.Problems {
		places = append(places, fmt.Sprintf("%s:%d %s %s", p.File, p.Line, p.Field, p.Severity))
	}
	want := []string{
		"a.yaml:4 spec.rules[0].from[0].principals[0] error",
		"b.yaml:4 spec.mode error",
		"c.yaml:1  error",
		"d.yaml:3 metadata.name error",
		"d.yaml:4 spec.rules warning",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Error(diff)
	}
}

func TestReportsAreBoundedAndErrorsComeFirst(t *testing.T) {
	var files []File
	warned := part("InspectionPolicy", "w%d", "onFailure: {error: Allow, timeout: Allow, overload: Allow}") + "---\n"
	for i := range 4 {
		var b strings.Builder
		for j := range 300 {
			fmt.Fprintf(&b, warned, i*1000+j)
		}
		files = append(files, File{fmt.Sprintf("%d.yaml", i), []byte(b.String())})
	}
	if n := len(parse(t, files...).Warnings); n != maxReported+1 {
		t.Errorf("%d warnings", n)
	}
	files = append(files, File{"z.yaml", []byte("kind: Nothing")})
	var invalid *Invalid
	if _, err := ParseDocuments(files); !errors.As(err, &invalid) || len(invalid.Problems) > maxReported+1 ||
		!slices.ContainsFunc(invalid.Problems, func(p Problem) bool { return p.File == "z.yaml" }) {
		t.Errorf("the error among warnings is not shown: %v", err)
	}
}

func TestAnExclusionExpiresAtTheBeginningOfItsDay(t *testing.T) {
	day := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	e := Exclusion{Expires: Date{day}}
	if e.Expired(day.Add(-time.Nanosecond)) || !e.Expired(day) {
		t.Error("it expires at another time")
	}
	if (Exclusion{}).Expired(day) {
		t.Error("one without a date expires")
	}
}

func TestClashes(t *testing.T) {
	cases := []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{":80", "127.0.0.1:80", true},
		{":80", "[::1]:80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::]:80", "127.0.0.1:80", true},
		{"[::]:80", "0.0.0.0:80", true},
		{":80", ":80", true},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
	}
	for _, tt := range cases {
		a, ok := parseAddress(tt.a)
		b, ok2 := parseAddress(tt.b)
		if !ok || !ok2 {
			t.Fatalf("%s or %s is refused", tt.a, tt.b)
		}
		if a.clashes(b) != tt.want || b.clashes(a) != tt.want {
			t.Errorf("%s and %s: %v and %v, want %v", tt.a, tt.b, a.clashes(b), b.clashes(a), tt.want)
		}
	}
}

func TestReaches(t *testing.T) {
	cases := []struct {
		listener, target string
		want             bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "10.0.0.1:80", false},
		{":80", "127.0.0.1:80", true},
		{":80", "10.0.0.1:80", false},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"10.0.0.1:80", "10.0.0.1:80", true},
		{":0", "127.0.0.1:0", false},
	}
	for _, tt := range cases {
		l, _ := parseAddress(tt.listener)
		a, _ := parseAddress(tt.target)
		if got := l.reaches(a); got != tt.want {
			t.Errorf("%s to %s: %v, want %v", tt.target, tt.listener, got, tt.want)
		}
	}
}

// FuzzSidecar checks that what is accepted means the same when it is written
// anew, and never panics.
func FuzzSidecar(f *testing.F) {
	f.Add(goodSidecar)
	f.Add(least)
	f.Add(string(testdata(f, "sidecar.yaml")))
	f.Add(string(testdata(f, "all_wrong.yaml")))
	for _, m := range sidecarMistakes[:20] {
		f.Add(strings.Replace(goodSidecar, m.old, m.new, 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _, err := ParseSidecar("sidecar.yaml", []byte(text))
		if err != nil {
			return
		}
		again, err := yaml.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		s2, _, err := ParseSidecar("sidecar.yaml", again)
		if err != nil {
			t.Fatalf("rewritten as\n%s\n%v", again, err)
		}
		again2, err := yaml.Marshal(s2)
		if err != nil || string(again) != string(again2) {
			t.Errorf("%v: %s", err, cmp.Diff(string(again), string(again2)))
		}
	})
}

// FuzzDocuments checks that accepted documents keep their generation when they
// are written anew, each in a file of its own.
func FuzzDocuments(f *testing.F) {
	f.Add(goodDocuments)
	f.Add(string(testdata(f, "documents.yaml")))
	for _, m := range documentMistakes[:20] {
		f.Add(strings.Replace(goodDocuments, m.old, m.new, 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDocuments([]File{{"p.yaml", []byte(text)}})
		if err != nil {
			return
		}
		again, err := ParseDocuments(rewrite(t, d))
		if err != nil {
			t.Fatalf("rewritten: %v", err)
		}
		if d.Generation != again.Generation {
			t.Errorf("generation %s, rewritten %s: %s", d.Generation, again.Generation, cmp.Diff(d, again))
		}
	})
}

func rewrite(t *testing.T, d *Documents) (files []File) {
	t.Helper()
	add := func(v any) {
		text, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{fmt.Sprintf("%d.yaml", len(files)), text})
	}
	for _, p := range d.Access {
		add(head[authz.Policy]{APIVersion, KindAccessPolicy, p})
	}
	for _, p := range d.Inspection {
		add(head[InspectionPolicy]{APIVersion, KindInspectionPolicy, p})
	}
	if d.Mesh != nil {
		add(head[MeshConfig]{APIVersion, KindMeshConfig, *d.Mesh})
	}
	return files
}

// The custom resources are these types too, read and written as JSON.
func TestKeysAreTheSameInJSON(t *testing.T) {
	var fields int
	var visit func(t reflect.Type, at string)
	visit = func(of reflect.Type, at string) {
		for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[Date]() {
			return
		}
		for f := range of.Fields() {
			fields++
			js, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			ya, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if js != ya || js == "" {
				t.Errorf("%s.%s is %q in JSON and %q in YAML", at, f.Name, js, ya)
			}
			visit(f.Type, at+"."+f.Name)
		}
	}
	for _, doc := range []any{authz.Policy{}, InspectionPolicy{}, MeshConfig{}} {
		visit(reflect.TypeOf(doc), fmt.Sprintf("%T", doc))
	}
	if fields < 50 {
		t.Errorf("looked at only %d fields", fields)
	}
}

func TestDatesInJSON(t *testing.T) {
	var e Exclusion
	if err := json.Unmarshal([]byte(`{"rule": 1, "expires": "2027-01-31"}`), &e); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(e); err != nil || string(text) != `{"rule":1,"reason":"","expires":"2027-01-31"}` {
		t.Errorf("%s %v", text, err)
	}
	if text, err := json.Marshal(Exclusion{Rule: 1}); err != nil || string(text) != `{"rule":1,"reason":""}` {
		t.Errorf("%s %v", text, err)
	}
	for _, bad := range []string{`"2027-01-31T00:00:00Z"`, `"soon"`, `20270131`} {
		if err := json.Unmarshal([]byte(bad), new(Date)); err == nil {
			t.Errorf("%s is a date", bad)
		}
	}
}
