package corpus

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseLine(t *testing.T) {
	cases := []struct {
		name, text string
		want       Sample
	}{
		{"the least", `{"label":"benign","method":"GET","target":"/"}`, Sample{Label: Benign, Method: "GET", Target: "/"}},
		{
			"everything",
			` {"label":"attack","id":"sqli-1","method":"POST","target":"/a?b=' or 1","headers":[["Host","x"],["X-A"," b "]],"body":"ü\u0000","tags":["sqli","body"]} `,
			Sample{
				ID: "sqli-1", Label: Attack, Method: "POST", Target: "/a?b=' or 1", Tags: []string{"sqli", "body"},
				Header: []Field{{"Host", "x"}, {"X-A", "b"}}, Body: []byte("ü\x00"),
			},
		},
		{
			"a body that is no text", `{"label":"attack","method":"PUT","target":"*","body_base64":"/wA="}`,
			Sample{Label: Attack, Method: "PUT", Target: "*", Body: []byte{0xff, 0}},
		},
		{
			"a replacement character that is meant, in both ways", `{"label":"attack","method":"PUT","target":"/","body":"` + "\ufffd" + `\uFFFD"}`,
			Sample{Label: Attack, Method: "PUT", Target: "/", Body: []byte("\ufffd\ufffd")},
		},
	}
	if len(cases) < 4 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseLine([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseLineRefuses(t *testing.T) {
	cases := []struct {
		name, text string
		says       []string
	}{
		{"no JSON", `GET /`, []string{"not a JSON object"}},
		{"no object", `["attack"]`, []string{"not a JSON object"}},
		{"half an object", `{"label":"attack"`, []string{"not JSON"}},
		{"half a value", `{"label":"atta`, []string{"not JSON"}},
		{"two objects", `{"label":"attack","method":"GET","target":"/"}{}`, []string{`"{}" follows the object`}},
		{"not UTF-8", `{"label":"attack","method":"GET","target":"/` + "\xff" + `"}`, []string{"body_base64"}},
		{"an unknown key", `{"label":"attack","method":"GET","target":"/","lable":1}`, []string{`no key "lable"`}},
		{"a key in another case", `{"Label":"attack","method":"GET","target":"/"}`, []string{`no key "Label"`, "label is missing"}},
		{"a key twice", `{"label":"attack","method":"GET","target":"/","method":"PUT"}`, []string{`"method" stands there twice`}},
		{"nothing", `{}`, []string{"label is missing", "method is missing", "target is missing"}},
		{"another label", `{"label":"bad","method":"GET","target":"/"}`, []string{`label is "bad"`}},
		{"null", `{"label":"attack","method":"GET","target":null}`, []string{"target is no string"}},
		{"a number", `{"label":"attack","method":"GET","target":"/","id":7}`, []string{"id is no string"}},
		{"an empty id", `{"label":"attack","method":"GET","target":"/","id":""}`, []string{`id "" is empty`}},
		{"an id for no terminal", `{"label":"attack","method":"GET","target":"/","id":"a\u001b"}`, []string{"cannot be printed"}},
		{"an id that would be a comment", `{"label":"attack","method":"GET","target":"/","id":"#1"}`, []string{"begins with #"}},
		{"half a surrogate pair", `{"label":"attack","method":"GET","target":"/","body":"\ud800"}`, []string{"body holds half a surrogate pair"}},
		{"both bodies", `{"label":"attack","method":"PUT","target":"/","body":"","body_base64":""}`, []string{"exclude each other"}},
		{"broken base64", `{"label":"attack","method":"PUT","target":"/","body_base64":"a"}`, []string{"body_base64: "}},
		{"base64 with bits left over", `{"label":"attack","method":"PUT","target":"/","body_base64":"/x=="}`, []string{"body_base64: "}},
		{"headers as an object", `{"label":"attack","method":"GET","target":"/","headers":{"a":"b"}}`, []string{"headers is no array"}},
		{"a header of one", `{"label":"attack","method":"GET","target":"/","headers":[["a"]]}`, []string{`headers[0]: write ["name", "value"]`}},
		{"a header's name", `{"label":"attack","method":"GET","target":"/","headers":[["a","b"],["a b","c"]]}`, []string{`headers[1]: name "a b" is no token`}},
		{"a header of two lines", `{"label":"attack","method":"GET","target":"/","headers":[["a","b\nc"]]}`, []string{"line break"}},
		{"a tag twice", `{"label":"attack","method":"GET","target":"/","tags":["a","a"]}`, []string{`tag "a" stands there twice`}},
		{"no tag", `{"label":"attack","method":"GET","target":"/","tags":"a"}`, []string{"tags is no array"}},
		{"too many tags", `{"label":"attack","method":"GET","target":"/","tags":[` + strings.Repeat(`"a",`, maxTags) + `"a"]}`, []string{"more than 16 tags"}},
		{"a tunnel", `{"label":"attack","method":"CONNECT","target":"a:1"}`, []string{"CONNECT asks for a tunnel"}},
		{"an empty target", `{"label":"attack","method":"GET","target":""}`, []string{"the target is empty"}},
		{"several problems at once", `{"label":"x","method":"G T","target":"/","nope":1}`, []string{`no key "nope"`, `label is "x"`, `method "G T"`}},
	}
	if len(cases) < 30 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseLine([]byte(c.text))
			if err == nil {
				t.Fatalf("read %+v", s)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v; want %q in it", err, says)
				}
			}
		})
	}
}

func TestAsManyHeadersAndProblemsAsThereMayBe(t *testing.T) {
	pairs := func(n int) string { return `[` + strings.Repeat(`["a","b"],`, n-1) + `["a","b"]]` }
	line := func(headers string) []byte {
		return []byte(`{"label":"attack","method":"GET","target":"/","headers":` + headers + `}`)
	}
	if s, err := parseLine(line(pairs(maxFields))); err != nil || len(s.Header) != maxFields {
		t.Errorf("%d fields, %v", len(s.Header), err)
	}
	if _, err := parseLine(line(pairs(maxFields + 1))); err == nil {
		t.Error("more than the bound is read")
	}
	_, err := parseLine(line(`[` + strings.Repeat(`1,`, 100) + `1]`))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxProblems {
		t.Errorf("%d problems, want %d", n, maxProblems)
	}
}

// writeLine is what parseLine reads.
func writeLine(t *testing.T, s Sample) []byte {
	t.Helper()
	object := map[string]any{"label": s.Label, "method": s.Method, "target": s.Target}
	if s.ID != "" {
		object["id"] = s.ID
	}
	if s.Tags != nil {
		object["tags"] = s.Tags
	}
	pairs := [][2]string{}
	for _, f := range s.Header {
		pairs = append(pairs, [2]string{f.Name, f.Value})
	}
	object["headers"] = pairs
	if utf8.Valid(s.Body) {
		object["body"] = string(s.Body)
	} else {
		object["body_base64"] = s.Body // which encoding/json writes so
	}
	line, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// What was read can be written, and reads the same again.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"label":"benign","method":"GET","target":"/"}`,
		`{"label":"attack","id":"sqli-1","method":"POST","target":"/a?b=' or 1","headers":[["Host","x"],["X-A"," b "]],"body":"ü\u0000","tags":["sqli"]}`,
		`{"label":"attack","method":"PUT","target":"*","body_base64":"/wA="}`,
		`{"label":"attack","method":"PUT","target":"/\ud800\ufffd"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseLine(line)
		if err != nil {
			return
		}
		again, err := parseLine(writeLine(t, s))
		if err != nil {
			t.Fatalf("written, it is not read again: %v", err)
		}
		if d := cmp.Diff(s, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
