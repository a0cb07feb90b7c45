package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const between = BeginMarker + "\nold\n" + EndMarker + "\n"

func TestSplice(t *testing.T) {
	cases := []struct {
		name, page, text string
		want             string // empty: refused
		says             string // of a refusal
	}{
		{"the part between is replaced", "# T\n" + between + "prose\n", "new\n", "# T\n" + BeginMarker + "\nnew\n" + EndMarker + "\nprose\n", ""},
		{"a last line is ended", between, "new", BeginMarker + "\nnew\n" + EndMarker + "\n", ""},
		{"nothing can stand there", between, "", BeginMarker + "\n" + EndMarker + "\n", ""},
		{"nothing stood there", BeginMarker + "\n" + EndMarker, "new\n", BeginMarker + "\nnew\n" + EndMarker, ""},
		{"lines that end as on Windows", BeginMarker + "\r\nold\r\n" + EndMarker + "\r\n", "new\n", BeginMarker + "\r\nnew\n" + EndMarker + "\r\n", ""},
		{"a marker within a line is none", "see " + BeginMarker + "\n" + between, "new\n", "see " + BeginMarker + "\n" + BeginMarker + "\nnew\n" + EndMarker + "\n", ""},
		{"no markers", "# T\n", "new\n", "", "missing"},
		{"no first marker", "old\n" + EndMarker + "\n", "new\n", "", "begin. Written by make bench-peers; do not edit. -->\" is missing"},
		{"no second marker", BeginMarker + "\nold\n", "new\n", "", "end -->\" is missing"},
		{"the first marker twice", BeginMarker + "\n" + between, "new\n", "", "begin. Written by make bench-peers; do not edit. -->\" is there twice"},
		{"the second marker twice", between + EndMarker + "\n", "new\n", "", "end -->\" is there twice"},
		{"two pairs", between + between, "new\n", "", "twice"},
		{"markers in the wrong order", EndMarker + "\n" + BeginMarker + "\n", "new\n", "", "before the other"},
		{"a marker in the text", between, "a\n" + EndMarker + "\n", "", "marker themselves"},
		{"an empty page", "", "new\n", "", "missing"},
	}
	if len(cases) < 15 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got, err := splice(c.page, c.text)
		if c.says == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %v, %s", c.name, err, cmp.Diff(c.want, got))
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error is %v, want %q in it", c.name, err, c.says)
		}
	}
}

// Whatever the page: what people wrote stays as it is, and the next run replaces
// what this one wrote.
func FuzzSpliceKeepsWhatPeopleWrote(f *testing.F) {
	f.Add("# T\n", "old\n", "prose\n", "new\n")
	f.Add("", "", "", BeginMarker)
	f.Add(EndMarker+"\n", "x", "\n", "a|b\n\n")
	f.Fuzz(func(t *testing.T, head, old, tail, text string) {
		page := head + BeginMarker + "\n" + old + EndMarker + "\n" + tail
		once, err := splice(page, text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(once, head+BeginMarker+"\n") || !strings.HasSuffix(once, EndMarker+"\n"+tail) {
			t.Fatalf("%q became %q", page, once)
		}
		if twice, err := splice(once, text); err != nil || twice != once {
			t.Fatalf("the second time %q became %q, %v", once, twice, err)
		}
	})
}

func TestAPageIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("mine\n" + between)
	if err := CheckPage(path); err != nil {
		t.Error(err)
	}
	r := example()
	if err := r.WritePage(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if want := "mine\n" + BeginMarker + "\n" + r.Markdown() + EndMarker + "\n"; err != nil || string(text) != want {
		t.Errorf("%v, %s", err, cmp.Diff(want, string(text)))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	write("no markers\n")
	if CheckPage(path) == nil || r.WritePage(path) == nil {
		t.Error("a page without markers is not refused")
	}
	if text, _ := os.ReadFile(path); string(text) != "no markers\n" {
		t.Errorf("it became %q", text)
	}
	if CheckPage(filepath.Join(dir, "absent")) == nil {
		t.Error("a page that is not there is not refused")
	}
	write(between + strings.Repeat("x", maxPage))
	if CheckPage(path) == nil {
		t.Error("a page that is too long is not refused")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestTheRepositorysOwnPageHasItsMarkers(t *testing.T) {
	if err := CheckPage(filepath.Join("..", "..", "..", "docs", "benchmarks.md")); err != nil {
		t.Error(err)
	}
}
