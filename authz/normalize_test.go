package authz_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/authz"
)

func TestNormalizePath(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"/.well-known/x", "/.well-known/x"},
		{"/a/...", "/a/..."},
		{"/a/.b/..c/d..", "/a/.b/..c/d.."},
		{"/a;v=1/b", "/a;v=1/b"},
		{`/!$&'()*+,;=:@"<>[]^{|}~-._`, `/!$&'()*+,;=:@"<>[]^{|}~-._`},
		{"/%C3%A9", "/%C3%A9"},
		{"/a%3Ab%25", "/a%3Ab%25"},
		{"/a%0Ab", "/a%0Ab"},

		{"//", "/"},
		{"//a", "/a"},
		{"/a//b///c", "/a/b/c"},
		{"/a//", "/a/"},
		{"/.", "/"},
		{"/./", "/"},
		{"/./a/./b/.", "/a/b/"},
		{"/a/..", "/"},
		{"/a/../", "/"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a/"},
		{"/a/b/../../c", "/c"},
		{"/a//../b", "/b"},
		{"/a/.//../b/", "/b/"},

		{"/%7Euser", "/~user"},
		{"/%61%2D%2e%5F%7e%30", "/a-._~0"},
		{"/%c3%a9", "/%C3%A9"},
		{"/a%3ab", "/a%3Ab"},
		{"/%2e%2E", ""},
		{"/a/%2e%2E/b", "/b"},
		{"/a/%2E/b", "/a/b"},
		{"/a/.%2e", "/"},
		{"/%252e%252e/x", "/%252e%252e/x"},
		{"/%25%32%66", "/%252f"},

		{"", ""},
		{"*", ""},
		{"a/b", ""},
		{"http://a/b", ""},
		{"/..", ""},
		{"/../a", ""},
		{"/a/../..", ""},
		{"/./../a", ""},
		{"//../a", ""},
		{"/a/..;/b", ""},
		{"/a/..;x=y", ""},
		{"/a/.;/b", ""},
		{"/a/%2e%2e;/b", ""},
		{"/a%2Fb", ""},
		{"/a%2fb", ""},
		{"/a%5Cb", ""},
		{`/a\b`, ""},
		{"/a%00b", ""},
		{"/a\x00b", ""},
		{"/a\tb", ""},
		{"/a b", ""},
		{"/a\x7fb", ""},
		{"/a\r\nb", ""},
		{"/é", ""},
		{"/a%", ""},
		{"/a%4", ""},
		{"/a%4g", ""},
		{"/a%g4", ""},
		{"/a%u002f", ""},
		{"/a?b", ""},
		{"/a#b", ""},
	} {
		got, err := authz.NormalizePath(c.raw)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("NormalizePath(%q) = %q, %v; want %q", c.raw, got, err, c.want)
		}
	}
}

func TestNormalizePathOfANormalPathAllocatesNothing(t *testing.T) {
	const raw = "/v1/charges/%C3%A9/.hidden/a..b/;v=1/"
	if n := testing.AllocsPerRun(100, func() {
		if got, err := authz.NormalizePath(raw); got != raw || err != nil {
			t.Fatal(got, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// FuzzNormalizePath checks what holds for every path that is accepted.
func FuzzNormalizePath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/../b", "/a//b/.", "/%2e%2e/a", "/a%2fb", "/..;/x", "/%C3%A9/%7e", "/a/./%2E./b//", "*", "/%25%32%65", "/a/b/.;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := authz.NormalizePath(raw)
		if err != nil {
			if got != "" {
				t.Fatalf("%q and an error", got)
			}
			return
		}
		if again, err := authz.NormalizePath(got); again != got || err != nil {
			t.Errorf("not idempotent: %q, then %q, %v", got, again, err)
		}
		segments := strings.Split(got, "/")
		if got[0] != '/' || strings.Contains(got, "//") || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			t.Errorf("%q is not clean", got)
		}
		if len(got) > len(raw) {
			t.Errorf("%q is longer than %q", got, raw)
		}
		if meant, means := meaning(t, raw), meaning(t, got); !slices.Equal(meant, means) {
			t.Errorf("%q means %q, %q means %q", raw, meant, got, means)
		}
	})
}

// meaning is a path as a file system reads it, after the escapes are decoded.
func meaning(t *testing.T, path string) (stack []string) {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatalf("%q was accepted: %v", path, err)
	}
	directory := false
	for segment := range strings.SplitSeq(decoded, "/") {
		directory = segment == "" || segment == "." || segment == ".."
		switch {
		case segment == "..":
			stack = stack[:len(stack)-1] // panics where it leaves the root
		case !directory:
			stack = append(stack, segment)
		}
	}
	if directory {
		stack = append(stack, "/")
	}
	return stack
}
