package template

import (
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// What is nested so often that looking at all of it would take too long is told, not
// skipped: it would be the way around.
func TestNestingWithoutEndIsTold(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"nested", strings.Repeat(strings.Repeat("{", 300)+"}}", 20), true},
		{"many", strings.Repeat("{{ user.name }} and ${HOME} ", 400), false},
		{"source code", strings.Repeat("if a { b() } else { c() }\n", 400), false},
	} {
		text := lexicon.Read(c.value)
		found := clue.List{Size: len(c.value)}
		Find(&text, &found)
		if got := slices.ContainsFunc(found.All(), func(f clue.Clue) bool { return f.Kind == clue.NestedLookup }); got != c.want {
			t.Errorf("%s: told is %v", c.name, got)
		}
	}
}

func TestLookupsAreResolved(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"${lower:J}ndi", "Jndi"}, {"${${::-l}ower:x}", "x"}, {"${env:NOSUCH:-a}${date:'b'}", "ab"}, {"${user.name}", "${user.name}"}, {"${", "${"},
	} {
		if got, _ := fold(c.value); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.value, got, c.want)
		}
	}
}
