package payload_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

func TestParametersAreSuspected(t *testing.T) {
	all := listed(t, "testdata/suspects.txt")
	var s payload.Scanner
	for _, a := range all {
		if w := clue.Weight(s.Scan(a.text, payload.Argument)); w != clue.Suspicious {
			t.Errorf("line %d, %s: %q weighs %d as a parameter: %s", a.line, a.class, a.text, w, names(s.Scan(a.text, payload.Argument)))
		}
		if w := clue.Weight(s.Scan(a.text, payload.Member)); w > clue.Hint {
			t.Errorf("line %d, %s: %q weighs %d as a member: %s", a.line, a.class, a.text, w, names(s.Scan(a.text, payload.Member)))
		}
	}
	if len(all) < 33 {
		t.Errorf("only %d suspects", len(all))
	}
}

func TestWhatLooksLikeAnAttackIsNone(t *testing.T) {
	all := listed(t, "testdata/harmless.txt")
	var s payload.Scanner
	for _, a := range all {
		for _, where := range []payload.Where{payload.Argument, payload.Member, payload.Entry} {
			if found := s.Scan(a.text, where); clue.Weight(found) > clue.Hint {
				t.Errorf("line %d, %s: %q at %d: %s", a.line, a.class, a.text, where, names(found))
			}
		}
	}
	if len(all) < 67 {
		t.Errorf("only %d texts", len(all))
	}
}
