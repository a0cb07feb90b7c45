package bodies_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

// collect is a sink that keeps "name=value".
func collect(limit int) (to *bodies.Sink, all *[]string) {
	all = new([]string)
	return &bodies.Sink{Left: limit, Add: func(name []byte, value string) bool {
		*all = append(*all, string(name)+"="+value)
		return true
	}}, all
}

func leaves(text string, limit int) (all []string, whole, full bool) {
	to, got := collect(limit)
	w := bodies.JSON{Sink: to}
	whole = w.Document("j", text)
	return *got, whole, to.Full
}

func TestLeaves(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		whole      bool
	}{
		{"an object", `{"a":1,"b":{"c":"x","d":[true,null,2.50]}}`, []string{"j.a=1", "j.b.c=x", "j.b.d.0=true", "j.b.d.1=", "j.b.d.2=2.50"}, true},
		{"an array", `[[],[{}],"x"]`, []string{"j.2=x"}, true},
		{"a scalar", ` "x" `, []string{"j=x"}, true},
		{"keys that repeat", `{"a":1,"a":2}`, []string{"j.a=1", "j.a=2"}, true},
		{"an empty key", `{"":{"":1}}`, []string{"j..=1"}, true},
		{"an escape", `{"a":"\u003c"}`, []string{"j.a=<"}, true},
		{"a prefix", `{"a":"x","b":`, []string{"j.a=x"}, false},
		{"a text that is cut off", `{"a":["x","1' or`, []string{"j.a.0=x", "j.a.1=1' or"}, false},
		{"an escape that is cut off", `{"a":"1' or\u00`, []string{`j.a=1' or\u00`}, false},
		{"an escape that is none", `{"a":"x\q","b":1}`, nil, false},
		{"a line end in a text", "[\"a\nb\"]", nil, false},
		{"a number that is none", `{"a":1,"b":01}`, []string{"j.a=1"}, false},
		{"a comma too many", `[1,]`, []string{"j.0=1"}, false},
		{"something behind", `{"a":"x"} x`, []string{"j.a=x"}, false},
		{"not JSON", `x`, nil, false},
		{"nothing", ``, nil, true},
		{"too deep", strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200), nil, false},
	}
	if len(tests) < 17 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, whole, _ := leaves(tt.text, 100)
			if diff := cmp.Diff(tt.want, got); diff != "" || whole != tt.whole {
				t.Errorf("whole %t, -want +got:\n%s", whole, diff)
			}
		})
	}
	if got, whole, full := leaves("[1,2,3]", 2); len(got) != 2 || whole || !full {
		t.Errorf("of 3 values with room for 2: %v, whole %t, full %t", got, whole, full)
	}
}

// FuzzLeaves holds that what is taken for JSON is what encoding/json takes for it, and
// that of that every value is found.
func FuzzLeaves(f *testing.F) {
	for _, s := range []string{`{"a":["x",{"b":"y"}]}`, `[`, `"x"`, `{"a":1}{}`, `{"a":`, `[1e5,-0.1,01]`, `"\ud83d\ude00\x"`, "\"\x7f\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, whole, full := leaves(text, 1000)
		if len(all) > 1000 {
			t.Fatalf("%d values", len(all))
		}
		if full || strings.Trim(text, " \t\r\n") == "" || strings.Count(text, "[")+strings.Count(text, "{") > 100 {
			return
		}
		if want := json.Valid([]byte(text)); whole != want {
			t.Fatalf("%q: whole %t, want %t", text, whole, want)
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			return
		}
		want := 0
		countLeaves(v, &want)
		if len(all) < want { // keys that repeat are more
			t.Errorf("%d values of %d in %q", len(all), want, text)
		}
	})
}

func countLeaves(v any, n *int) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			countLeaves(e, n)
		}
	case []any:
		for _, e := range v {
			countLeaves(e, n)
		}
	default:
		*n++
	}
}
