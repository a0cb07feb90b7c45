package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	cases := []struct {
		name, text string
		limit      int
		want       []string
	}{
		{"an empty text is one empty line", "", 10, []string{""}},
		{"a text that fits is one line", "a bc", 4, []string{"a bc"}},
		{"a text that does not is broken between words", "a bc def", 4, []string{"a bc", "def"}},
		{"characters count, not bytes", "éé éé", 5, []string{"éé éé"}},
		{"a long word has a line of its own", "a https://x b", 4, []string{"a", "https://x", "b"}},
		{"white space in a row is one space", "a  b\nc", 9, []string{"a b c"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, wrap(c.text, c.limit)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestClip(t *testing.T) {
	cases := []struct {
		name, text, want string
	}{
		{"what fits stays", "12345678", "12345678"},
		{"what does not ends in an ellipsis", "123456789", "1234567…"},
		{"characters count, not bytes", "éééééééé", "éééééééé"},
		{"several lines become one", "a\n  b", "a b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := clip(c.text, 8); got != c.want {
				t.Errorf("clip(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}

// printed is a page with a bit of everything.
func printed(color bool) (string, bool) {
	var out bytes.Buffer
	p := &page{w: &out, color: color}
	p.begin(1, "A step")
	p.fields([2]string{"name", "one\ntwo"})
	expect(p, "status", 200, 200)
	expect(p, "status", 403, 200)
	held := p.summary([]result{{step: step{name: "a"}, held: true}, {step: step{name: "b"}, held: p.held}}, time.Second)
	return out.String(), held
}

func TestColorsChangeNothingElse(t *testing.T) {
	plain, held := printed(false)
	if held || !strings.Contains(plain, "1 of 2 steps did not hold") {
		t.Errorf("a step that does not hold goes unnoticed:\n%s", plain)
	}
	if strings.Contains(plain, "\x1b") {
		t.Errorf("colours on a page without:\n%q", plain)
	}
	colored, _ := printed(true)
	stripped := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(colored, "")
	if stripped == colored {
		t.Error("no colours on a page with")
	}
	if diff := cmp.Diff(plain, stripped); diff != "" {
		t.Errorf("colours change the text (-without +with):\n%s", diff)
	}
}
