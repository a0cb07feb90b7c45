package report

import (
	"bufio"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const documentation = "../../docs/load-report.md"

// TestDocumentationIsComplete compares the fields in docs/load-report.md with those
// of the types, in both directions and in order.
func TestDocumentationIsComplete(t *testing.T) {
	want := map[string][]string{}
	fieldsOf(reflect.TypeFor[Document](), want)
	fieldsOf(reflect.TypeFor[Difference](), want)
	if len(want) < 17 {
		t.Fatalf("only %d types", len(want))
	}
	if diff := cmp.Diff(want, documentedFields(t)); diff != "" {
		t.Errorf("%s (-types +page):\n%s", documentation, diff)
	}
}

// fieldsOf lists the fields of a type and of those it consists of, each as a line
// of the page has it.
func fieldsOf(of reflect.Type, all map[string][]string) {
	if _, known := all[of.Name()]; known {
		return
	}
	fields := []string{}
	for f := range of.Fields() {
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" && !tagged {
			name = f.Name
		}
		kind := typeName(f.Type, all)
		if options == "omitempty" {
			kind += ", optional"
		}
		fields = append(fields, name+": "+kind)
		all[of.Name()] = fields
	}
}

func typeName(of reflect.Type, all map[string][]string) string {
	switch of.Kind() {
	case reflect.Pointer:
		return typeName(of.Elem(), all)
	case reflect.Slice:
		return "list of " + typeName(of.Elem(), all)
	case reflect.Map:
		return "map of " + typeName(of.Elem(), all)
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return "time"
		}
		fieldsOf(of, all)
		return of.Name()
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	default:
		return of.String()
	}
}

// documentedFields are the rows of the tables below headings that name a type.
func documentedFields(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(documentation)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, section := map[string][]string{}, ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			section = heading
		} else if strings.HasPrefix(line, "## ") {
			section = ""
		}
		cells := strings.Split(line, "|")
		if section == "" || len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		all[section] = append(all[section], strings.Trim(cells[1], " `")+": "+strings.TrimSpace(cells[2]))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// What the page says of metrics is there.
func TestDocumentationNamesMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, f := range everything(t).families() {
		known = append(known, "outrider_load_"+f.name)
	}
	var named int
	for word := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		if !strings.HasPrefix(word, "outrider_load_") || word == "outrider_load_" {
			continue
		}
		named++
		if !slices.Contains(known, word) {
			t.Errorf("%s names %s, which is no metric", documentation, word)
		}
	}
	if named < 8 {
		t.Errorf("found only %d metrics", named)
	}
}
