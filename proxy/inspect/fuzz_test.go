package inspect

import (
	"net/url"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3/collection"
)

// recorder is a collection that keeps what is added.
type recorder struct {
	collection.Map
	names, values []string
}

func (r *recorder) Add(name, value string) {
	r.names, r.values = append(r.names, name), append(r.values, value)
}

// FuzzForm compares with net/url: whatever a strict parser accepts means the
// same here, and no pair is lost.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "a=1&&a=2&", "=x&y", "a%3Db=c%26", "a+b=%zz", "%", "a=%4", "q=x&Q=y", "a;b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got recorder
		if !addForm(&got, body, 1<<20) {
			t.Fatal("the limit was reached")
		}
		pairs := 0
		for p := range strings.SplitSeq(body, "&") {
			if p != "" {
				pairs++
			}
		}
		if len(got.names) != pairs {
			t.Fatalf("%d of %d pairs", len(got.names), pairs)
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		seen := url.Values{}
		for n, name := range got.names {
			seen[name] = append(seen[name], got.values[n])
		}
		if seen.Encode() != want.Encode() {
			t.Errorf("%q, want %q", seen.Encode(), want.Encode())
		}
	})
}

// FuzzSplitDirectives checks that nothing a policy says gets lost: every word
// that is no comment stands in one directive, and line numbers grow.
func FuzzSplitDirectives(f *testing.F) {
	for _, s := range []string{
		"", "# only a comment", "SecMarker A", "SecRule ARGS \\\n  \"@rx a\" \\\n# between\n\"id:1,pass\"\nSecMarker B",
		"SecRule ARGS \\", "SecRuleRemoveById 1-3 949110", "secmarker x\r\nsecmarker y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := splitDirectives(text)
		if err != nil {
			return
		}
		var want, got strings.Builder
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
				want.WriteString(strings.TrimSuffix(line, `\`))
			}
		}
		last := 0
		for _, d := range all {
			if d.line <= last || strings.Contains(d.text, "\n") || d.text == "" {
				t.Errorf("directive %+v after line %d", d, last)
			}
			last = d.line
			got.WriteString(d.text)
		}
		if got.String() != want.String() {
			t.Errorf("%q, want %q", got.String(), want.String())
		}
	})
}

// FuzzPaths checks the forms of a pattern against their definition.
func FuzzPaths(f *testing.F) {
	for _, s := range [][2]string{{"/a", "/a"}, {"/a*", "/ab"}, {"*b", "/ab"}, {"/a/{*}/c", "/a/b/c"}, {"/a/{**}", "/a/b/c"}, {"*", "/"}, {"*}/", "/"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := parsePath(text)
		if err != nil || path == "" {
			return
		}
		got := p.match(path, path)
		var want bool
		switch {
		case strings.Contains(text, "{"):
			return // see TestTemplates
		case text == "*":
			want = true
		case strings.HasSuffix(text, "*"):
			want = strings.HasPrefix(path, text[:len(text)-1])
		case strings.HasPrefix(text, "*"):
			want = strings.HasSuffix(path, text[1:])
		default:
			want = path == text
		}
		if got != want {
			t.Errorf("%q matches %q: %t", text, path, got)
		}
	})
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct {
		template, path string
		want           bool
	}{
		{"/a/{*}", "/a/b", true},
		{"/a/{*}", "/a/", false},
		{"/a/{*}", "/a", false},
		{"/a/{*}", "/a/b/", false},
		{"/a/{*}", "/a/b/c", false},
		{"/a/{*}/c", "/a/b/c", true},
		{"/a/{*}/c", "/a/b/d", false},
		{"/{*}/{*}", "/a/b", true},
		{"/a/{**}", "/a/b/c", true},
		{"/a/{**}", "/a/", false},
		{"/a/{**}", "/a", false},
		{"/a/{**}", "/b/c", false},
	} {
		p, err := parsePath(tt.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(tt.path, tt.path); got != tt.want {
			t.Errorf("%s matches %s: %t", tt.template, tt.path, got)
		}
	}
	for _, bad := range []string{"/a/{x}", "/a{*}", "/{**}/b", "/a/*/b", "a", "", "/a/{*", "/{*}/b*"} {
		if _, err := parsePath(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
