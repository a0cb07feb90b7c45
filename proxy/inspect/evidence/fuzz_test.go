package evidence_test

import (
	"encoding/json"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/test/wafcorpus/services"
)

// Whatever a request consists of, looking at it ends, and an attack that is put into a
// document as a text is found there, whatever stands around it.
func FuzzLook(f *testing.F) {
	for _, c := range services.Calls(seed, 36) {
		f.Add(c.Target, c.Type, c.Body)
	}
	f.Add("/?%", "multipart/form-data; boundary=", "--\r\n\r\n")
	f.Add("/", "application/xml", "<a b='<![CDATA[")
	f.Fuzz(func(t *testing.T, target, kind, body string) {
		req := &flow.Request{Target: target, Header: header{{"Cookie", body}, {"X-A", kind}}}
		evidence.Look(req, evidence.Body{Text: []byte(body), Type: kind})

		doc, err := json.Marshal(map[string]any{"a": body, "b": []any{target, map[string]string{"c": script}}})
		if err != nil {
			t.Skip()
		}
		found := evidence.Look(&flow.Request{Target: "/", Header: header{}}, evidence.Body{Text: doc, Type: "application/json"})
		if v := evidence.Judge(nil, found); v.Score < 5 {
			t.Errorf("in %q the attack is not found: %v", doc, found)
		}
	})
}
