package payload_test

import (
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/test/wafcorpus/services"
)

func TestTextsOfPeopleAreNoAttacks(t *testing.T) {
	texts := services.Texts()
	var s payload.Scanner
	for _, text := range texts {
		if found := s.Scan(text, payload.Member); clue.Weight(found) >= clue.Strong {
			t.Errorf("%q: %s", text, names(found))
		}
	}
	if len(texts) < 170 {
		t.Errorf("only %d texts", len(texts))
	}
}
