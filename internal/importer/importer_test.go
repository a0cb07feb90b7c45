package importer_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/authz"
	"github.com/outrider-mesh/outrider/internal/importer"
	"github.com/outrider-mesh/outrider/proxy/config/strict"
)

func TestNetwork(t *testing.T) {
	cases := []struct {
		text, want string
	}{
		{"10.0.0.1", "10.0.0.1"},
		{"10.1.2.3/8", "10.0.0.0/8"}, // bits beyond the length are ignored
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8::1/64", "2001:db8::/64"},
		{"::ffff:10.0.0.1", ""}, // nobody knows which of the two is meant
		{"::ffff:10.0.0.0/104", ""},
		{"fe80::1%eth0", ""},
		{"10.0.0.0/33", ""},
		{"10.0.0.0/", ""},
		{"ten", ""},
		{"", ""},
	}
	if len(cases) < 11 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got, ok := importer.Network(c.text); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q: %q, %t; want %q", c.text, got, ok, c.want)
		}
	}
}

// What a translation makes of documents is checked as a whole, and is broken when
// it is no policy.
func TestFinish(t *testing.T) {
	good := authz.Policy{Metadata: authz.Metadata{Name: "a", Namespace: "shop"}, Spec: authz.PolicySpec{Action: authz.Allow}}
	r := importer.Result{Policies: []authz.Policy{good}}
	if importer.Finish(&r); r.Broken || !r.Exact() {
		t.Errorf("%+v", r)
	}
	r.Policies = append(r.Policies, good)
	if importer.Finish(&r); !r.Broken || r.Exact() {
		t.Errorf("two policies of one name: %+v", r)
	}
}

// Of a document in a list all is found, with its line.
func TestSource(t *testing.T) {
	docs, problems := strict.Split("list.yaml", []byte("apiVersion: v1\nkind: List\nitems:\n- kind: A\n  metadata: {name: x, uid: y}\n  spec: {}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	all := importer.Expand(docs)
	if len(all) != 1 {
		t.Fatalf("%d documents", len(all))
	}
	s := importer.Source{Document: importer.Stripped(all[0])}
	var doc struct {
		Kind     string        `yaml:"kind"`
		Metadata importer.Meta `yaml:"metadata"`
	}
	if s.Into(&doc) || !s.Broken || len(s.Problems) != 1 || s.Problems[0].Line != 6 || s.Problems[0].Field != "spec" {
		t.Errorf("%+v", s.Problems)
	}
	s.Untranslated("metadata.name", "x", "y")
	s.Untranslated("metadata.name", "x", "y")
	s.Note("", "z")
	if len(s.Problems) != 3 || !strings.Contains(s.Problems[1].String(), "list.yaml:5: A x: metadata.name: not translated: x; y") || s.Problems[2].Severity != strict.Warning {
		t.Errorf("%v", s.Problems)
	}
	if got := s.Namespace(doc.Metadata, &importer.Options{Namespace: "shop"}); got != "shop" || len(s.Problems) != 3 {
		t.Errorf("%q", got)
	}
	if got := s.Namespace(doc.Metadata, &importer.Options{}); got != "" || len(s.Problems) != 4 {
		t.Errorf("%q %v", got, s.Problems)
	}
}
