package payload_test

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// An attack is one line of testdata/attacks.txt.
type attack struct {
	class clue.Class
	text  string
	line  int
}

// attacks reads the list.
func attacks(t testing.TB) []attack {
	t.Helper()
	return listed(t, "testdata/attacks.txt")
}

// listed reads a list of values by class.
func listed(t testing.TB, name string) []attack {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []attack
	var class clue.Class
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		switch line := lines.Text(); {
		case line == "" || strings.HasPrefix(line, "# "):
		case isHeading(line):
			class = clue.Class(strings.Trim(line, "[]"))
		default:
			all = append(all, attack{class, unquoted(line), n})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func isHeading(line string) bool {
	return line[0] == '[' && strings.HasSuffix(line, "]") && strings.Trim(line, "[]abcdefghijklmnopqrstuvwxyz") == "" &&
		!strings.HasPrefix(line, "[]")
}

func unquoted(line string) string {
	if text, err := strconv.Unquote(line); err == nil && line[0] == '"' {
		return text
	}
	return line
}

// unseen are attacks that the detectors are known not to stop by themselves, and why.
var unseen = map[string]string{
	"document['cookie']":                "does nothing by itself",
	"x%E5%98%8D%E5%98%8ASet-Cookie:a=b": "characters whose last byte is CR or LF: few servers cut them",
	`${"z".join("ab")}`:                 "a method of a text, which templates of people call, too",
	"${{<%[%'\"}}%\\.":                  "signs of all template languages, none of which it is a piece of",
	"http://localhost:22/":              "services of one pod talk to each other like this",
	`{"username":{"$gt":undefined}}`:    "no document in JSON, and no operator where a value begins",
}

func TestAttacksAreFound(t *testing.T) {
	all := attacks(t)
	var s payload.Scanner
	count := map[clue.Class]int{}
	for _, a := range all {
		count[a.class]++
		found := s.Scan(a.text, payload.Argument)
		stopped := clue.Weight(found) >= clue.Strong
		if _, known := unseen[a.text]; stopped == known {
			t.Errorf("line %d, %s: %q: stopped is %v, %s", a.line, a.class, a.text, stopped, names(found))
		}
	}
	if len(all) < 700 || len(count) != 11 {
		t.Errorf("only %d attacks of %d classes", len(all), len(count))
	}
	t.Attr("attacks", fmt.Sprint(len(all)))
}

// What is found is of the attack's class, mostly: a payload can be of two.
func TestAttacksAreNamed(t *testing.T) {
	var s payload.Scanner
	var named, all int
	for _, a := range attacks(t) {
		all++
		if slices.ContainsFunc(s.Scan(a.text, payload.Argument), func(c clue.Clue) bool { return c.Kind.Class() == a.class }) {
			named++
		}
	}
	if named*100 < all*90 {
		t.Errorf("%d of %d attacks are of the class that they are said to be", named, all)
	}
}

// An attack is found behind other text as well, in the ways a value is put together.
func TestAttacksAreFoundInTheirEncodings(t *testing.T) {
	var s payload.Scanner
	cases := []struct {
		text string
		kind clue.Kind
		path string
	}{
		{"%3Cscript%3Ealert(1)%3C/script%3E", clue.HTMLScript, "percent"},
		{"%253Cscript%253Ealert(1)%253C/script%253E", clue.HTMLScript, "percent,percent"},
		{"&lt;script&gt;alert(1)&lt;/script&gt;", clue.HTMLScript, "entity"},
		{"&#x3c;script&#62alert(1)&#60;/script>", clue.HTMLScript, "entity"},
		{`\u003cscript\x3ealert(1)`, clue.HTMLScript, "escape"},
		{"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg", clue.HTMLScript, "base64"},
		{"UEhOamNtbHdkRDVoYkdWeWRDZ3hLVHd2YzJOeWFYQjBQZz09", clue.HTMLScript, "base64,base64"},
		{`{"a":"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="}`, clue.HTMLScript, "base64"},
		{"%u003cscript%u003ealert(1)", clue.HTMLScript, "percent"},
		{"%uff1cscript%uff1ealert(1)", clue.HTMLScript, "percent"},
		{"x=ev'+'al(atob('YQ'))", clue.JSCall, "join"},
		{"1+union+select+%31,2", clue.SQLUnion, "percent"},
	}
	for _, c := range cases {
		found := s.Scan(c.text, payload.Argument)
		i := slices.IndexFunc(found, func(f clue.Clue) bool { return f.Kind == c.kind && s.Path(f) == c.path })
		if i < 0 {
			t.Errorf("%q: no %s by %q in %s", c.text, c.kind.Name(), c.path, names(found))
		}
	}
	if len(cases) < 12 {
		t.Errorf("only %d cases", len(cases))
	}
}

func names(found []clue.Clue) []string {
	var all []string
	for _, c := range found {
		all = append(all, c.Kind.Name())
	}
	return all
}
