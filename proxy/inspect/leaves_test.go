package inspect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func leaves(text string, limit int) (all []string, whole, full bool) {
	w := jsonWalk{left: limit, add: func(name, value string) { all = append(all, name+"="+value) }}
	whole = w.document("j", text)
	return all, whole, w.full
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
		{"something behind", `{"a":"x"} x`, []string{"j.a=x"}, false},
		{"not JSON", `x`, nil, false},
		{"nothing", ``, nil, true},
		{"too deep", strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200), nil, false},
	}
	if len(tests) < 11 {
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

// FuzzLeaves holds that of what is JSON every text is found, and that nothing but
// JSON is whole.
func FuzzLeaves(f *testing.F) {
	for _, s := range []string{`{"a":["x",{"b":"y"}]}`, `[`, `"x"`, `{"a":1}{}`, `{"a":`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, whole, full := leaves(text, 1000)
		if len(all) > 1000 {
			t.Fatalf("%d values", len(all))
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil || full {
			return
		}
		want := 0
		countLeaves(v, &want)
		if whole && len(all) < want { // keys that repeat are more
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
