package inspect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestValuesAreCountedWithoutParsing(t *testing.T) {
	cases := []struct {
		body   string
		values int
	}{
		{`1`, 1},
		{`[]`, 0},
		{`{ }`, 0},
		{`[[],{},[ ]]`, 0},
		{`[[],{},1]`, 1},
		{`{"a":1,"b":[1,2,{"c":"d"}],"e":{}}`, 4},
		{`["a,b",",",",\",\"",{"k,":","}]`, 4},
		{`["\\","\\\\",""]`, 3},
		{` [ 1 , 2 ] `, 2},
	}
	const minimum = 9
	if len(cases) < minimum {
		t.Errorf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		if !moreValues([]byte(tt.body), tt.values-1) || moreValues([]byte(tt.body), tt.values) {
			t.Errorf("%s has other than %d values", tt.body, tt.values)
		}
	}
}

func TestTypesThatAreReadAsJSON(t *testing.T) {
	cases := map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "text/json": true, " application/problem+json ;a=b": true,
		"application/x-ndjson": false, "application/jsonl": false, "text/plain": false, "json": false, "": false, "application/json-seq": false,
		"application/connect+json": false, "application/Connect+JSON; charset=utf-8": false,
	}
	if len(cases) < 12 {
		t.Errorf("only %d cases", len(cases))
	}
	for typ, want := range cases {
		if got := readAsJSON(header{{"Content-Type", typ}}); got != want {
			t.Errorf("%q: %t", typ, got)
		}
	}
}

// The engine says the same of what is beyond the limit, and nothing of what is not.
func TestTheRulesAgreeOnTooManyValues(t *testing.T) {
	e := rulesOf(mesh(t).engines[0])
	for _, n := range []int{maxArguments - 10, maxArguments + 1} {
		body := []byte("[" + strings.Repeat(`{"a":"1'"},`, n) + "{}]")
		req := request("POST", "/", jsonType, "Content-Length: 2")
		in := input{body: body, now: testNow, checkpoint: func() error { return nil }}
		f, err := e.evaluate(req, in)
		if err != nil || f.arguments != tooManyValues(req, &in) || f.arguments != (n > maxArguments) {
			t.Errorf("%d values: the rules say %+v, %v", n, f, err)
		}
		if want := overArguments(); f.arguments && (!slices.Equal(f.rules, want.rules) || f.message != want.message || !f.refused || !f.attack) {
			t.Errorf("the rules say %+v, not %+v", f, want)
		}
	}
	if tooManyValues(request("POST", "/", jsonType), &input{body: []byte(strings.Repeat("1,", 2000)), firstArguments: true}) {
		t.Error("the first are to be inspected")
	}
	v := judge(t, mesh(t), request("POST", "/", jsonType), "["+strings.Repeat("1,", maxArguments)+"1]")
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.Arguments || !v.Refuse || !hasRule(v, manyArguments) {
		t.Errorf("verdict %+v", v)
	}
}

func FuzzValuesAreCounted(f *testing.F) {
	for _, s := range []string{`[1,2]`, `{"a":[{},{"b":"c,"}]}`, `"\","`, `[[[]],1]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v any
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if len(s) > 4096 || !json.Valid([]byte(s)) || d.Decode(&v) != nil {
			t.Skip()
		}
		if strings.Contains(s, ":") { // a name that is repeated is one value when it is decoded
			return
		}
		n := countValues(v)
		if moreValues([]byte(s), n) || !moreValues([]byte(s), n-1) {
			t.Errorf("%q has %d values", s, n)
		}
	})
}

func countValues(v any) int {
	n := 0
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += countValues(e)
		}
	case map[string]any:
		for _, e := range v {
			n += countValues(e)
		}
	default:
		n = 1
	}
	return n
}
