package evidence

import (
	"slices"
	"testing"
)

// The list is searched by halving.
func TestLooseRulesAreAscending(t *testing.T) {
	if !slices.IsSorted(loose[:]) || len(loose) < 30 {
		t.Errorf("%d rules: %v", len(loose), loose)
	}
	for _, rule := range loose {
		if !ofRuleSet(rule) || unheard(rule) || class(rule) >= 930 && class(rule) <= 932 {
			t.Errorf("rule %d needs no entry", rule)
		}
	}
}
