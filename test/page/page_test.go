package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	beginMarker = "<!-- bench-peers: begin. Written by make bench-peers; do not edit. -->"
	endMarker   = "<!-- bench-peers: end -->"
)

// part is the one that these tests write.
func part() Part { return Part{beginMarker, endMarker} }

const between = beginMarker + "\nold\n" + endMarker + "\n"

func TestSplice(t *testing.T) {
	cases := []struct {
		name, page, text string
		want             string // empty: refused
		says             string // of a refusal
	}{
		{"the part between is replaced", "# T\n" + between + "prose\n", "new\n", "# T\n" + beginMarker + "\nnew\n" + endMarker + "\nprose\n", ""},
		{"a last line is ended", between, "new", beginMarker + "\nnew\n" + endMarker + "\n", ""},
		{"nothing can stand there", between, "", beginMarker + "\n" + endMarker + "\n", ""},
		{"nothing stood there", beginMarker + "\n" + endMarker, "new\n", beginMarker + "\nnew\n" + endMarker, ""},
		{"lines that end as on Windows", beginMarker + "\r\nold\r\n" + endMarker + "\r\n", "new\n", beginMarker + "\r\nnew\n" + endMarker + "\r\n", ""},
		{"a marker within a line is none", "see " + beginMarker + "\n" + between, "new\n", "see " + beginMarker + "\n" + beginMarker + "\nnew\n" + endMarker + "\n", ""},
		{"no markers", "# T\n", "new\n", "", "missing"},
		{"no first marker", "old\n" + endMarker + "\n", "new\n", "", "begin. Written by make bench-peers; do not edit. -->\" is missing"},
		{"no second marker", beginMarker + "\nold\n", "new\n", "", "end -->\" is missing"},
		{"the first marker twice", beginMarker + "\n" + between, "new\n", "", "begin. Written by make bench-peers; do not edit. -->\" is there twice"},
		{"the second marker twice", between + endMarker + "\n", "new\n", "", "end -->\" is there twice"},
		{"two pairs", between + between, "new\n", "", "twice"},
		{"markers in the wrong order", endMarker + "\n" + beginMarker + "\n", "new\n", "", "before the other"},
		{"a marker in the text", between, "a\n" + endMarker + "\n", "", "marker themselves"},
		{"an empty page", "", "new\n", "", "missing"},
	}
	if len(cases) < 15 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got, err := part().splice(c.page, c.text)
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
	f.Add("", "", "", beginMarker)
	f.Add(endMarker+"\n", "x", "\n", "a|b\n\n")
	f.Fuzz(func(t *testing.T, head, old, tail, text string) {
		page := head + beginMarker + "\n" + old + endMarker + "\n" + tail
		once, err := part().splice(page, text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(once, head+beginMarker+"\n") || !strings.HasSuffix(once, endMarker+"\n"+tail) {
			t.Fatalf("%q became %q", page, once)
		}
		if twice, err := part().splice(once, text); err != nil || twice != once {
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
	if err := part().Check(path); err != nil {
		t.Error(err)
	}
	if err := part().Write(path, "new\n"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if want := "mine\n" + beginMarker + "\n" + "new\n" + endMarker + "\n"; err != nil || string(text) != want {
		t.Errorf("%v, %s", err, cmp.Diff(want, string(text)))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	write("no markers\n")
	if part().Check(path) == nil || part().Write(path, "new\n") == nil {
		t.Error("a page without markers is not refused")
	}
	if text, _ := os.ReadFile(path); string(text) != "no markers\n" {
		t.Errorf("it became %q", text)
	}
	if part().Check(filepath.Join(dir, "absent")) == nil {
		t.Error("a page that is not there is not refused")
	}
	write(between + strings.Repeat("x", maxPage))
	if part().Check(path) == nil {
		t.Error("a page that is too long is not refused")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
