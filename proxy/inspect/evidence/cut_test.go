package evidence_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
)

// A document that is longer than what is inspected ends anywhere. What stands before the
// end is judged by member, wherever that is; an attack in what is left is found.
func TestADocumentIsCut(t *testing.T) {
	const (
		manual = "What is in $_SERVER['HTTP_SIGNATURE'] is compared with hash_hmac($key).\\nThen exec sends it.\\n"
		attack = "x'; cat /etc/passwd"
	)
	whole := `{"title":"read","text":"` + strings.Repeat(manual, 4) + `","more":[1,true,{"a":"\u0041b\n"}, "\u00e9 \\ and so on"]}`
	req := &flow.Request{Method: "POST", Target: "/", Header: header{}}
	judge := func(body string) int {
		return evidence.Judge(nil, evidence.Look(req, evidence.Body{Text: []byte(body), Type: "application/json"})).Score
	}
	for n := strings.Index(whole, `"more"`); n < len(whole); n++ {
		if score := judge(whole[:n]); score >= 5 {
			t.Fatalf("%d for %q", score, whole[:n])
		}
	}
	found := 0
	for _, tail := range []string{attack, attack + `\`, attack + `\u00`, attack + ` \n`, attack + ` `, attack + `"`, attack + `",`, attack + `","b`, attack + `","b":tru`} {
		if judge(`{"title":"read","list":["`+tail) < 5 {
			t.Errorf("nothing found in %q", tail)
		}
		found++
	}
	// Broken before its end, it is a text as well.
	for _, broken := range []string{`{"a":'` + attack + `'}`, `{"a":1 "b":"` + attack + `"}`, `{"a":"\uzz","b":"` + attack + `"}`, `{"a":1}` + attack} {
		if judge(broken) < 5 {
			t.Errorf("nothing found in %q", broken)
		}
		found++
	}
	if found < 13 {
		t.Errorf("only %d attacks", found)
	}
}
