package decode

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForms(t *testing.T) {
	cases := []struct {
		name, value string
		want        []string // as "path: text"
	}{
		{"nothing to undo", "plain text, 100% sure & 'fine'", []string{": plain text, 100% sure & 'fine'"}},
		{"percent", "a%3Cb", []string{": a%3Cb", "percent: a<b"}},
		{"a plus is a space", "a+b%20c", []string{": a+b%20c", "percent: a b c"}},
		{"a plus is a plus where there are spaces", "a + b%3Cc", []string{": a + b%3Cc", "percent: a + b<c"}},
		{"a sentence in a query", "select+a,b+from+x", []string{": select+a,b+from+x", "percent: select a,b from x"}},
		{"Base64 with a plus", "PgoKNSA+IDMgYW5k+IDI=", []string{": PgoKNSA+IDMgYW5k+IDI="}},
		{"percent twice", "%253C", []string{": %253C", "percent: %3C", "percent,percent: <"}},
		{"percent of Unicode", "%u003c%uFF1c", []string{": %u003c%uFF1c", "percent: <<"}},
		{"percent that is none", "%zz%3", []string{": %zz%3"}},
		{"entities", "&lt;&#60;&#x3c;&#60a&Tab;&nosuch;", []string{": &lt;&#60;&#x3c;&#60a&Tab;&nosuch;", "entity: <<<<a\t&nosuch;"}},
		{"escapes", `\x3c\u003c\u{3c}\74\'\users`, []string{`: \x3c\u003c\u{3c}\74\'\users`, `escape: <<<<'\users`}},
		{"texts put together", `'a'+'b' . "c"||'d'`, []string{`: 'a'+'b' . "c"||'d'`, "join: 'abcd'"}},
		{"Base64", "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", []string{": PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", "base64: <script>alert(1)</script>"}},
		{"Base64 of bytes", "rO0ABXNyABFqYXZhLnV0aWw", []string{": rO0ABXNyABFqYXZhLnV0aWw"}},
		{"Base64 of letters", "aGVsbG93b3JsZGhlbGxv", []string{": aGVsbG93b3JsZGhlbGxv"}},
		{"Base64 within", `{"a":"Jz48c3ZnL29ubG9hZD0="}`, []string{`: {"a":"Jz48c3ZnL29ubG9hZD0="}`, "base64: '><svg/onload="}},
		{"what filters take out", "un<>ion/**/se<b>lect", []string{": un<>ion/**/se<b>lect", "strip: unionselect"}},
		{"tags between words", "a <b>bold</b> word, <i>two</i>", []string{": a <b>bold</b> word, <i>two</i>"}},
		{"one in the other", "%26lt%3B", []string{": %26lt%3B", "percent: &lt;", "percent,entity: <"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range Forms(nil, c.value) {
				got = append(got, f.Path.String()+": "+f.Text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(cases) < 18 {
		t.Errorf("only %d cases", len(cases))
	}
}

// Every form is reached by its path, is of no greater length, and, unless there are as
// many as there may be, whatever one step more makes of it is a form as well: decoding
// what has been decoded yields nothing new.
func FuzzForms(f *testing.F) {
	for _, seed := range []string{"%253Cscript%253E", "&amp;lt;", `\u0026lt;`, "UEhOamNtbHdkRDVoYkdWeWRDZ3hLVHd2YzJOeWFYQjBQZz09", `'a'+'b'`, "a+b+c%", "a<b>c<>d/**/e", "\xff%ff%u12"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		forms := Forms(nil, s)
		if forms[0].Text != s || forms[0].Path != (Path{}) || len(forms) > MaxForms {
			t.Fatalf("%d forms, the first %+v", len(forms), forms[0])
		}
		has := func(text string) bool {
			return text == "" || slices.ContainsFunc(forms, func(f Form) bool { return f.Text == text })
		}
		for n, form := range forms {
			if len(form.Text) > len(s) {
				t.Errorf("form %d by %q has %d bytes, the value %d", n, form.Path, len(form.Text), len(s))
			}
			if len(forms) == MaxForms || form.Path[MaxDepth-1] != 0 {
				continue
			}
			for step := Percent; step <= Join; step++ {
				if text, changed := apply(step, form.Text); changed && !has(text) {
					t.Errorf("%s makes %q of %q, which is no form", step, text, form.Text)
				}
			}
		}
	})
}
