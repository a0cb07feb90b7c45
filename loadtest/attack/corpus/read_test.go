package corpus

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a directory of its own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func TestReadADirectory(t *testing.T) {
	root := tree(t, map[string]string{
		"sqli/b.black":      get,
		"sqli/deep/a.black": get,
		"c.white":           get,
		"api/calls.jsonl": `{"label":"benign","method":"GET","target":"/1"}` + "\n\n" +
			`{"label":"attack","id":"named","method":"GET","target":"/2"}` + "\n" +
			`{"label":"neither","method":"GET","target":"/3"}` + "\n" +
			`{"label":"benign","method":"GET","target":"/4"}`,
		"README":          "about it",
		".git/x.black":    get,
		".hidden.black":   get,
		"sqli/bad.black":  "nonsense",
		"sqli/bad2.white": "GET / HTTP/1.1\r\nnonsense\r\n",
	})
	c, err := Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Samples {
		source, err := filepath.Rel(root, s.Source)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{string(s.Label), s.ID, source, s.Directory}, " | "))
	}
	want := []string{
		"benign | api/calls.jsonl:1 | api/calls.jsonl:1 | api",
		"attack | named | api/calls.jsonl:3 | api",
		"benign | api/calls.jsonl:5 | api/calls.jsonl:5 | api",
		"benign | c.white | c.white | ",
		"attack | sqli/b.black | sqli/b.black | sqli",
		"attack | sqli/deep/a.black | sqli/deep/a.black | sqli",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c.Count(Attack) != 3 || c.Count(Benign) != 3 {
		t.Errorf("%d attacks, %d benign", c.Count(Attack), c.Count(Benign))
	}
	if d := cmp.Diff([]string{".git", ".hidden.black", "README"}, c.Ignored); d != "" {
		t.Error(d)
	}
	var problems []string
	for _, p := range c.Unreadable {
		problems = append(problems, strings.TrimPrefix(p.String(), root+string(filepath.Separator)))
	}
	wantProblems := []string{
		`api/calls.jsonl:4: label is "neither", neither attack nor benign`,
		`sqli/bad.black: line 1: "nonsense" is no request line`,
		`sqli/bad2.white: line 2: "nonsense" is no header field`,
	}
	if d := cmp.Diff(wantProblems, problems); d != "" {
		t.Error(d)
	}
}

func TestReadFiles(t *testing.T) {
	root := tree(t, map[string]string{"x/a.black": get, "y/b.jsonl": `{"label":"benign","method":"GET","target":"/"}`})
	c, err := Read(t.Context(), filepath.Join(root, "x", "a.black"), filepath.Join(root, "y", "b.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Samples) != 2 || c.Samples[0].ID != "a.black" || c.Samples[1].ID != "b.jsonl:1" || c.Samples[1].Directory != "" {
		t.Errorf("%+v", c.Samples)
	}
}

func TestALinkToADirectoryIsFollowedWhereItIsNamed(t *testing.T) {
	root := tree(t, map[string]string{"x/sub/a.black": get})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	c, err := Read(t.Context(), link)
	if err != nil || len(c.Samples) != 1 || c.Samples[0].ID != "x/sub/a.black" || c.Samples[0].Source != filepath.Join(link, "x/sub/a.black") {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.Symlink(root, filepath.Join(root, "x", "loop")); err != nil {
		t.Fatal(err)
	}
	if c, err := Read(t.Context(), root); err != nil || len(c.Samples) != 1 || len(c.Ignored) != 1 {
		t.Errorf("below it: %+v, %v", c, err)
	}
}

func TestIDsAreUnique(t *testing.T) {
	root := tree(t, map[string]string{"x/a.black": get, "y/a.black": get})
	x, y := filepath.Join(root, "x"), filepath.Join(root, "y")
	c, err := Read(t.Context(), x, y)
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{{filepath.Join(y, "a.black"), `its id "a.black" is that of ` + filepath.Join(x, "a.black")}}
	if d := cmp.Diff(want, c.Unreadable); d != "" || len(c.Samples) != 1 {
		t.Errorf("%d samples; %s", len(c.Samples), d)
	}
}

func TestWhatIsNoCorpusIsAnError(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": get, "a.tar.xz": "x"})
	for _, path := range []string{"a.txt", "a.tar.xz", "absent", "absent.black"} {
		if c, err := Read(t.Context(), filepath.Join(root, path)); err == nil {
			t.Errorf("%s: %+v", path, c)
		}
	}
	_, err := Read(t.Context(), filepath.Join(root, "absent"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, root); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestACorpusHasBounds(t *testing.T) {
	line := `{"label":"benign","method":"GET","target":"/"}` + "\n"
	root := tree(t, map[string]string{"a.black": get, "b/c.white": get, "d.jsonl": line + line})
	for _, c := range []struct {
		name  string
		most  int
		bytes int64
		says  string // empty: it is read
	}{
		{"five files and directories, with the root", 5, 1 << 20, ""},
		{"one too many of them", 4, 1 << 20, "more than 4 files"},
		{"as many bytes as there are", 100, int64(2*len(get) + 2*len(line) - 2), ""},
		{"one too many of those", 100, int64(2*len(get) + 2*len(line) - 3), "bytes of samples"},
	} {
		r := reader{ctx: t.Context(), most: c.most, mostBytes: c.bytes, into: new(Corpus), ids: map[string]string{}}
		got, err := r.read([]string{root})
		if c.says == "" && (err != nil || len(got.Samples) != 4) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	r := reader{ctx: t.Context(), most: 1, mostBytes: 1 << 20, into: new(Corpus), ids: map[string]string{}}
	if _, err := r.read([]string{filepath.Join(root, "d.jsonl")}); err == nil || !strings.Contains(err.Error(), "more than 1 samples") {
		t.Errorf("one file of too many samples: %v", err)
	}
}

func TestWhatCannotBeReadIsListed(t *testing.T) {
	root := tree(t, map[string]string{
		"long.black":          "GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", maxSample),
		"long.jsonl":          `{"label":"attack","method":"GET","target":"/"}` + "\n" + strings.Repeat(" ", maxLine) + "\n{}",
		"odd\x1bname.black":   get,
		"directory.black/a":   "",
		"fine.white":          get,
		"longest.white":       "GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", maxSample-len("GET / HTTP/1.1\r\n\r\n")),
		"inside/dangling.txt": "",
	})
	if err := os.Symlink("nowhere", filepath.Join(root, "dangling.black")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("directory.black", filepath.Join(root, "link.black")); err != nil {
		t.Fatal(err)
	}
	c, err := Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Samples) != 3 { // the first line of long.jsonl, too
		t.Errorf("%d samples", len(c.Samples))
	}
	var got []string
	for _, p := range c.Unreadable {
		got = append(got, p.String())
	}
	for _, says := range []string{
		"dangling.black: stat ", "link.black: not a regular file", "long.black: longer than", "nothing after this line was read", `odd\x1bname.black": its name holds`,
	} {
		if !strings.Contains(strings.Join(got, "\n"), says) {
			t.Errorf("no problem says %q", says)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d problems: %q", len(got), got)
	}
}
