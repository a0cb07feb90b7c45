package bodies

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func graphqlTexts(document string, limit int) (all []string, full bool, err error) {
	to := Sink{Left: limit, Add: func(name []byte, value string) bool {
		all = append(all, string(name)+"="+value)
		return true
	}}
	err = GraphQL(document, &to)
	return all, to.Full, err
}

func TestTextsOfGraphQL(t *testing.T) {
	tests := []struct {
		name, document string
		want           []string
		broken         bool
	}{
		{"a query", `{ user(name: "ann", age: 4.5e-3) { id, posts(first: 10) { title } } }`, []string{"graphql.user.name=ann"}, false},
		{"an alias", `query Q($a: Int = 1) { x: user(name: "ann") { id } }`, []string{"graphql.Q.user.name=ann"}, false},
		{
			"objects and lists", `mutation { add(item: {name: "a", tags: ["b", "c"]}, note: "d") }`,
			[]string{"graphql.mutation.add.item.name=a", "graphql.mutation.add.item.tags=b", "graphql.mutation.add.item.tags=c", "graphql.mutation.add.note=d"},
			false,
		},
		{"escapes", `{ a(b: "\u003c\u{3e}\"\\\/\n") }`, []string{"graphql.a.b=<>\"\\/\n"}, false},
		{"a block", `{ a(b: """one "two" \""" three""", c: "") }`, []string{`graphql.a.b=one "two" """ three`, "graphql.a.c="}, false},
		{"a remark", "# \"no\n{ a(b: \"x\") # }\n}", []string{"graphql.a.b=x"}, false},
		{"a fragment", `{ ...F @include(if: $x) } fragment F on User { name(as: "x") }`, []string{"graphql.User.name.as=x"}, false},
		{"nothing", " ", nil, false},
		{"a string without an end", `{ a(b: "x`, nil, true},
		{"a string over two lines", "{ a(b: \"x\ny\") }", nil, true},
		{"a block without an end", `{ a(b: """x\""") }`, nil, true},
		{"not closed", `{ a(b: "x")`, []string{"graphql.a.b=x"}, true},
		{"closed too often", `{ a } }`, nil, true},
		{"no GraphQL", `<script>`, nil, true},
		{"too deep", strings.Repeat("{a", 200) + strings.Repeat("}", 200), nil, true},
		{"an escape that does not exist", `{ a(b: "\x") }`, nil, true},
	}
	if len(tests) < 16 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := graphqlTexts(tt.document, 100)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.broken {
				t.Errorf("error %v, -want +got:\n%s", err, diff)
			}
		})
	}
	if got, full, _ := graphqlTexts(`{a(b: ["x", "y", "z"])}`, 2); len(got) != 2 || !full {
		t.Errorf("of 3 texts with room for 2: %v, full %t", got, full)
	}
}

// FuzzGraphQL holds that a text is found whatever it is and wherever it stands, and that
// any bytes are read to an end.
func FuzzGraphQL(f *testing.F) {
	f.Add(`{ a(b: "x") }`, "y\n\"\\")
	f.Add(`"""`, `"""`)
	f.Add(`{`, "\u2028\x00")
	f.Fuzz(func(t *testing.T, document, text string) {
		if all, _, _ := graphqlTexts(document, 1000); len(all) > 1000 {
			t.Fatalf("%d texts", len(all))
		}
		if !utf8.ValidString(text) {
			return
		}
		var quoted strings.Builder
		for _, r := range text {
			fmt.Fprintf(&quoted, `\u{%x}`, r)
		}
		got, _, err := graphqlTexts(`{ a(b: "`+quoted.String()+`") }`, 10)
		if err != nil || len(got) != 1 || got[0] != "graphql.a.b="+text {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	})
}
