package evidence_test

import (
	"fmt"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/test/wafcorpus/services"
)

// seed of the calls: not the one that the tool reports about.
const seed = 2

func TestCallsBetweenServicesAreClean(t *testing.T) {
	calls := services.Calls(seed, 3600)
	shapes := map[string]bool{}
	for _, c := range calls {
		shapes[c.Shape] = true
		v := evidence.Judge(nil, look(c))
		if v.Score >= 5 {
			t.Errorf("%s: %s at %s: %.400q", c.Shape, v.Findings[0].Kind.Name(), v.Findings[0].Location, c.Body)
		}
	}
	if len(calls) < 3600 || len(shapes) < 18 {
		t.Errorf("only %d calls of %d shapes", len(calls), len(shapes))
	}
	t.Attr("calls", fmt.Sprint(len(calls)))
}

func look(c services.Call) []evidence.Finding {
	req := &flow.Request{Method: c.Method, Target: c.Target, Header: header{{"User-Agent", "checkout/1.2"}}}
	return evidence.Look(req, evidence.Body{Text: []byte(c.Body), Type: c.Type})
}
