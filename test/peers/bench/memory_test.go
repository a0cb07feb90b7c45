package bench

import (
	"encoding/json"
	"testing"

	"github.com/outrider-mesh/outrider/test/peers/proxies"
)

func TestHeldBodiesAreJSONOfTheirSize(t *testing.T) {
	kinds := heldBodies()
	if len(kinds) < 2 {
		t.Fatalf("only %d kinds of body", len(kinds))
	}
	for _, kind := range kinds {
		if len(kind.benign.Body) != heldSize {
			t.Errorf("%s has %d bytes, want %d", kind.name, len(kind.benign.Body), heldSize)
		}
		var objects []map[string]any
		if err := json.Unmarshal(kind.benign.Body, &objects); err != nil || len(objects) < 50 {
			t.Errorf("%s: %d objects (%v)", kind.name, len(objects), err)
		}
		// Beyond a thousand arguments it is their number that is refused.
		if members := 3 * len(objects); members > 900 {
			t.Errorf("%s has %d values", kind.name, members)
		}
	}
}

func TestHoldersAreInTheCatalogue(t *testing.T) {
	var found int
	for _, e := range proxies.Catalogue(proxies.Paths{}) {
		if holders(e) {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d of the programs whose memory is measured are known, want 3", found)
	}
}
