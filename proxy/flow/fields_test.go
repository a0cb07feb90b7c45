package flow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestFieldsAreAHeader(t *testing.T) {
	f := flow.Fields{{"Accept", "a"}, {"X-Note", ""}, {"accept", "b"}}
	for _, c := range []struct {
		name, value string
		ok          bool
	}{{"accept", "a", true}, {"x-note", "", true}, {"x-other", "", false}} {
		if value, ok := f.Get(c.name); value != c.value || ok != c.ok {
			t.Errorf("%s: %q, %t", c.name, value, ok)
		}
	}
	if got := flow.CopyOf(f); !cmp.Equal(got, f) {
		t.Errorf("the copy is %q", got)
	}
	n := 0
	f.Each(func(string, string) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d fields came, of which the second was to be the last", n)
	}
}
