package strict

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

type colour string

func (colour) Values() []string { return []string{"Red", "Green"} }

type inner struct {
	Text string `yaml:"text,omitempty"`
	Deep *inner `yaml:"deep,omitempty"`
}

type flat struct {
	Flat string `yaml:"flat,omitempty"`
}

// everything has a field of every supported type.
type everything struct {
	Text     string             `yaml:"text,omitempty"`
	Colour   colour             `yaml:"colour,omitempty"`
	Truth    bool               `yaml:"truth,omitempty"`
	Int      int                `yaml:"int,omitempty"`
	Small    int8               `yaml:"small,omitempty"`
	Natural  uint16             `yaml:"natural,omitempty"`
	Float    float64            `yaml:"float,omitempty"`
	Duration time.Duration      `yaml:"duration,omitempty"`
	Address  netip.Addr         `yaml:"address"` // the library takes it for empty whatever it is
	List     []string           `yaml:"list,omitempty"`
	Lists    [][]int            `yaml:"lists,omitempty"`
	Map      map[string]string  `yaml:"map,omitempty"`
	Inners   map[string]inner   `yaml:"inners,omitempty"`
	Inner    inner              `yaml:"inner,omitempty"`
	Pointer  *inner             `yaml:"pointer,omitempty"`
	Number   *int               `yaml:"number,omitempty"`
	Children []inner            `yaml:"children,omitempty"`
	Flat     flat               `yaml:",inline"`
	Skipped  string             `yaml:"-"`
	Times    map[string]float64 `yaml:"times,omitempty"`
	untagged string             //nolint:unused // there for a document to name
}

func decode(t testing.TB, text string) (everything, []Problem) {
	t.Helper()
	docs, problems := Split("f.yaml", []byte(text))
	var v everything
	if len(docs) > 0 {
		problems = append(problems, docs[0].Decode(&v)...)
	}
	return v, problems
}

var equal = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(everything{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

func TestDecodesEverySupportedType(t *testing.T) {
	n := 7
	want := everything{
		Text: "2027-01-01", Colour: "Green", Truth: true, Int: -5, Small: -128, Natural: 65535, Float: 1.5,
		Duration: 90 * time.Second, Address: netip.MustParseAddr("::1"),
		List: []string{"a", "b"}, Lists: [][]int{{1}, {2, 3}},
		Map: map[string]string{"a.b/c": "d"}, Inners: map[string]inner{"x": {Text: "y"}},
		Inner: inner{Text: "t", Deep: &inner{Text: "u"}}, Pointer: &inner{}, Number: &n,
		Children: []inner{{Text: "c"}}, Flat: flat{Flat: "f"}, Times: map[string]float64{"t": 2},
	}
	for name, text := range map[string]string{
		"YAML": `
text: 2027-01-01
colour: Green
truth: true
int: -5
small: -128
natural: 65535
float: 1.5
duration: 1m30s
address: "::1"
list: [a, 'b']
lists:
- [1]
- - 2
  - 3
map: {a.b/c: d}
inners: {x: {text: y}}
inner: {text: t, deep: {text: u}}
pointer: {}
number: 7
children: [{text: c}]
flat: f
times: {t: 2}
`,
		"JSON": `{"text":"2027-01-01","colour":"Green","truth":true,"int":-5,"small":-128,"natural":65535,"float":1.5,
			"duration":"1m30s","address":"::1","list":["a","b"],"lists":[[1],[2,3]],"map":{"a.b/c":"d"},
			"inners":{"x":{"text":"y"}},"inner":{"text":"t","deep":{"text":"u"}},"pointer":{},"number":7,
			"children":[{"text":"c"}],"flat":"f","times":{"t":2}}`,
	} {
		got, problems := decode(t, text)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRefuses(t *testing.T) {
	cases := []struct{ name, text, field, message string }{
		{"a key that is skipped", "Skipped: x", "Skipped", "unknown field"},
		{"a key named like an untagged field", "untagged: x", "untagged", "unknown field"},
		{"a key named like its Go field", "Text: x", "Text", "unknown field"},
		{"nothing", "text:", "text", "has no value"},
		{"null", "text: null", "text", "has no value"},
		{"a tilde", "pointer: ~", "pointer", "has no value"},
		{"nothing in a list", "list: [a, ]\nchildren: [null]", "children[0]", "has no value"},
		{"a number for text", "text: 1", "text", "expected text, got the number 1"},
		{"a hexadecimal number for text", "text: 0x10", "text", "expected text, got the number 0x10"},
		{"a word of no list", "colour: Blue", "colour", `"Blue" is not known here`},
		{"text for truth", "truth: 'true'", "truth", `expected true or false, got "true"`},
		{"a YAML 1.1 truth", "truth: on", "truth", `expected true or false, got "on"`},
		{"text for a number", "int: '1'", "int", `expected a whole number in plain decimal digits, got "1"`},
		{"underscores", "int: 1_000", "int", "expected a whole number in plain decimal digits, got the number 1_000"},
		{"hexadecimal", "int: 0x10", "int", "expected a whole number in plain decimal digits, got the number 0x10"},
		{"minus nothing", "int: -0", "int", "expected a whole number in plain decimal digits, got the number -0"},
		{"a number beyond eight bits", "small: 128", "small", "the number 128 is out of range"},
		{"a negative natural number", "natural: -1", "natural", "the number -1 is out of range"},
		{"a natural number beyond sixteen bits", "natural: 65536", "natural", "the number 65536 is out of range"},
		{"no number", "float: .nan", "float", "expected a number, got the number .nan"},
		{"an infinite number", "float: .inf", "float", "expected a number, got the number .inf"},
		{"text for a float", "float: '1.5'", "float", `expected a number, got "1.5"`},
		{"a list for a float", "float: [1]", "float", "expected a number, got a list"},
		{"a duration without unit", "duration: 5", "duration", "expected a duration, got the number 5"},
		{"a duration that is a list", "duration: []", "duration", "expected a duration, got a list"},
		{"text its type refuses", "address: here", "address", `ParseAddr("here"): unable to parse IP`},
		{"a mapping for text its type reads", "address: {}", "address", "expected text, got a mapping"},
		{"a mapping for a list", "list: {}", "list", "expected a list, got a mapping"},
		{"a list for a mapping", "map: []", "map", "expected a mapping, got a list"},
		{"a list for a struct", "inner: []", "inner", "expected a mapping, got a list"},
		{"a problem deep inside", "lists: [[1], [2, x]]", "lists[1][1]", `expected a whole number in plain decimal digits, got "x"`},
		{"a problem behind a key with dots", "inners: {a.b/c: {txt: x}}", `inners["a.b/c"].txt`, "unknown field"},
		{"a problem behind a pointer", "pointer: {deep: {text: 1}}", "pointer.deep.text", "expected text, got the number 1"},
		{"a key that is a number", "map: {1: a}", "map.1", "the key is the number 1, not text"},
		{"a key that is nothing", "map: {~: a}", `map["~"]`, "has no value"},
		{"a key that is a mapping", "map: {{a: b}: c}", "map", "a key is a mapping, not text"},
		{"a key that is an alias", "text: &a b\nmap: {*a : c}", "map", "a key is an alias, not text"},
		{"a repeated key", "text: a\ntext: b", "text", "repeated: it already stands on line 1"},
		{"a repeated key of a map", "map: {a: b, 'a': c}", "map.a", "repeated: it already stands on line 1"},
		{"an anchor on a key", "&k text: a", "text", `anchor "&k" is not supported`},
		{"an anchor on a mapping", "map: &m {a: b}", "map", `anchor "&m" is not supported`},
		{"an alias", "list: [&a b, *a]", "list[1]", `alias "*a" is not supported`},
		{"a tag", "text: !!str 1", "text", `tag "!!str" is not supported`},
		{"a tag of one's own", "pointer: !thing {}", "pointer", `tag "!thing" is not supported`},
		{"a merge", "<<: {text: a}", `["<<"]`, "unknown field"},
		{"deep nesting", "inner: " + strings.Repeat("{deep: ", 40) + "{}" + strings.Repeat("}", 40), "inner" + strings.Repeat(".deep", 31), "nested deeper than 32 levels"},
	}
	if len(cases) < 45 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := decode(t, tt.text)
			for _, p := range problems {
				if p.Field == tt.field && p.Message == tt.message {
					return
				}
			}
			t.Errorf("want %q at %q, got %v", tt.message, tt.field, problems)
		})
	}
}

func TestReportsEveryProblemAndReadsTheRest(t *testing.T) {
	got, problems := decode(t, "text: 1\nint: x\nlist: [a, 2, c]\nnope: 1\ntruth: true\n")
	var lines []string
	for _, p := range problems {
		lines = append(lines, fmt.Sprintf("%d %s", p.Line, p.Field))
	}
	if diff := cmp.Diff([]string{"1 text", "2 int", "3 list[1]", "4 nope"}, lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(everything{List: []string{"a", "", "c"}, Truth: true}, got, equal); diff != "" {
		t.Error(diff)
	}
}

func TestSplit(t *testing.T) {
	cases := []struct {
		name, text string
		kinds      []string // with lines
		problems   []string
	}{
		{"nothing", "", nil, nil},
		{"comments and empty documents", "# a\n---\n---\n# b\n", nil, nil},
		{"one document", "kind: A\n", []string{"A:1"}, nil},
		{"two documents", "kind: A\n---\nkind: B\n", []string{"A:1", "B:3"}, nil},
		{"a leading marker", "---\nkind: A\n", []string{"A:2"}, nil},
		{"a document on the marker's line", "--- {kind: A}\n--- {kind: B}\n", []string{"A:1", "B:2"}, nil},
		{"documents ended by dots", "kind: A\n...\n---\nkind: B\n...\n", []string{"A:1", "B:4"}, nil},
		{"line ends of another system", "kind: A\r\n---\r\nkind: B\r\n", []string{"A:1", "B:3"}, nil},
		{"a byte order mark", "\ufeffkind: A\n---\nkind: B\n", []string{"A:1", "B:3"}, nil},
		{"dashes inside of a value", "kind: A\ntext: |\n  ---\n  x\n", []string{"A:1"}, nil},
		{"more than three dashes", "kind: A----\n", []string{"A----:1"}, nil},
		{
			"a broken document among others", "kind: A\n---\nkind: [\n---\nkind: C\n",
			[]string{"A:1", "C:5"},
			[]string{"f.yaml:3: did not find expected node content; mend the YAML syntax"},
		},
		{
			"a broken first line", "kind: ]\n", nil,
			[]string{"f.yaml:1: did not find expected node content; mend the YAML syntax"},
		},
		{
			"a tab", "a:\n  b: c\n\td: e\n", nil,
			[]string{"f.yaml:2: found a tab character that violates indentation; mend the YAML syntax"},
		},
		{"JSON", `{"kind": "A"}`, []string{"A:1"}, nil},
		{"not UTF-8", "kind: A\nx: \xff\n", nil, []string{"f.yaml:2: the text is not UTF-8; save it as UTF-8"}},
		{
			"too large", "# " + strings.Repeat("x", MaxBytes), nil,
			[]string{"f.yaml: the file has 1048578 bytes, more than the 1048576 allowed; split it"},
		},
		{
			"an unknown alias", "a: *b\n", nil,
			[]string{"f.yaml:1: unknown anchor 'b' referenced; mend the YAML syntax"},
		},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			docs, problems := Split("f.yaml", []byte(tt.text))
			var kinds, said []string
			for _, d := range docs {
				kinds = append(kinds, fmt.Sprintf("%s:%d", d.Kind, d.Line))
			}
			for _, p := range problems {
				said = append(said, p.String())
			}
			if diff := cmp.Diff(tt.kinds, kinds); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.problems, said); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	docs, problems := Split("f.yaml", []byte(strings.Repeat("---\na: b\n", maxDocuments+10)))
	if len(docs) != maxDocuments+1 || len(problems) != 1 {
		t.Errorf("%d documents, problems %v", len(docs), problems)
	}
	if _, problems := decode(t, strings.Repeat("- x\n", 3)+"- ["); len(problems) != 1 {
		t.Errorf("problems %v", problems)
	}
	_, problems = decode(t, "list: ["+strings.Repeat("1, ", 2*maxProblems)+"]")
	if len(problems) != maxProblems+1 || problems[maxProblems].Message != "more than 200 problems, the others are not shown" {
		t.Errorf("%d problems, the last %v", len(problems), problems[len(problems)-1])
	}
	long := strings.Repeat("x", 1000)
	_, problems = decode(t, long+": 1")
	if len(problems) != 1 || len(problems[0].String()) > 500 {
		t.Errorf("a long key is repeated: %v", problems)
	}
}

// TestHostileTextEndsSoon holds texts of the greatest size that have cost other
// parsers quadratic or exponential time; it fails by the test's timeout.
func TestHostileTextEndsSoon(t *testing.T) {
	bomb := "a: &a [x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, text := range map[string]string{
		"a billion laughs":     bomb,
		"open brackets":        strings.Repeat("[", MaxBytes),
		"open braces":          strings.Repeat("{a: ", MaxBytes/4),
		"nested dashes":        strings.Repeat("- ", MaxBytes/2),
		"question marks":       strings.Repeat("? ", MaxBytes/2),
		"one long key":         strings.Repeat("k", MaxBytes-10) + ": v",
		"many keys":            keys(60000),
		"many documents":       strings.Repeat("---\n", MaxBytes/4),
		"many quotes":          strings.Repeat(`"`, MaxBytes),
		"a long key with much": "inners: {" + strings.Repeat("k", MaxBytes/2) + ": {" + strings.Repeat("a: 1, ", MaxBytes/16) + "}}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, problems := decode(t, text); len(problems) == 0 {
				t.Error("nothing is said")
			}
		})
	}
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

func TestAtFindsTheLineOrTheNearestAround(t *testing.T) {
	docs, _ := Split("f.yaml", []byte("kind: A\nspec:\n  list:\n  - name: x\n  - name: y\n    a.b/c: z\n"))
	for field, want := range map[string]int{
		"": 1, "kind": 1, "spec": 2, "spec.list": 3, "spec.list[0]": 4, "spec.list[1].name": 5,
		`spec.list[1]["a.b/c"]`: 6, "spec.missing": 2, "spec.list[7].name": 3, "spec.list[1].gone.far": 5, "nothing": 1,
		"spec.listen": 2,
	} {
		if got := docs[0].At(field); got != want {
			t.Errorf("%q: line %d, want %d", field, got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"listen", "forward", "protocol", "HTTP", "Detect"}
	for got, want := range map[string]string{
		"listen":  "",
		"lisen":   `did you mean "listen"?`,
		"listne":  `did you mean "listen"?`,
		"Forward": `did you mean "forward"?`,
		"http":    `did you mean "HTTP"?`,
		"zzz":     "allowed here: Detect, HTTP, forward, listen, protocol",
	} {
		if s := Suggest(got, known); s != want {
			t.Errorf("%q: %q, want %q", got, s, want)
		}
	}
	if s := Suggest("x", nil); s != "none is known" {
		t.Errorf("nothing known: %q", s)
	}
}

func TestUnsupportedTypesAreReportedNotPanicked(t *testing.T) {
	docs, _ := Split("f.yaml", []byte("a: b"))
	var v struct {
		A chan int `yaml:"a"`
	}
	if p := docs[0].Decode(&v); len(p) != 1 || !strings.Contains(p[0].Message, "chan int") {
		t.Errorf("problems %v", p)
	}
}

// FuzzDecode checks that what is accepted means the same when it is written
// anew, and that problems point into the text.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"text: a\nint: 1\nlist: [a, b]\nmap: {a: b}\n", `{"inner": {"deep": {"text": "x"}}}`,
		"duration: 5s\nfloat: 1.5\naddress: 10.0.0.1\ncolour: Red\nnumber: 3\n", "a: &a b\nc: *a\n",
		"text: |\n  x\n---\ntext: y\n", "children: [{text: c}, {}]\nlists: [[1], []]\n", "? a\n: b\n", "text: \"\\u0085\"\n",
		"text: 2027-01-01\n", "inners: {a.b: {text: x}}\nflat: y\ntimes: {t: 1e3}\n", "\ufefftext: x\r\n...\n", "truth: true\nsmall: -1\nnatural: 9\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, problems := Split("f.yaml", []byte(text))
		lines := 1 + strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") +
			strings.Count(text, "\u2028") + strings.Count(text, "\u2029")
		for _, d := range docs {
			var v everything
			found := d.Decode(&v)
			problems = append(problems, found...)
			if len(found) == 0 {
				roundTrip(t, v)
			}
			if at := d.At("inner.deep.text"); at < d.Line || at > lines {
				t.Errorf("line %d of %d", at, lines)
			}
		}
		for _, p := range problems {
			if p.Line > lines+1 || p.Message == "" || p.File == "" || strings.Contains(p.String(), "\n") {
				t.Errorf("odd problem %#v in %d lines", p, lines)
			}
		}
	})
}

func roundTrip(t *testing.T, v everything) {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := decode(t, string(text))
	if len(problems) > 0 {
		t.Errorf("rewritten as %q: %v", text, problems)
	}
	if diff := cmp.Diff(v, again, equal); diff != "" {
		t.Errorf("rewritten as %q: %s", text, diff)
	}
}
