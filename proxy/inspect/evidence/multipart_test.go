package evidence_test

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/evidence"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// What readers of forms take for the content of a part is looked at, however the sender
// has written boundaries and heads.
func TestPartsCannotBeHidden(t *testing.T) {
	const (
		field = "Content-Disposition: form-data; name=\"a\""
		plain = "multipart/form-data; boundary=x"
	)
	cases := []struct{ name, kind, body string }{
		{"a boundary in the text of another parameter", `multipart/form-data; a="; boundary=y"; boundary=x`, "--x\r\n" + field + "\r\n\r\n" + script + "\r\n--x--\r\n"},
		{"a parameter in upper case", "multipart/form-data; Boundary=x", "--x\r\n" + field + "\r\n\r\n" + script + "\r\n--x--\r\n"},
		{"a boundary that is not there", "multipart/form-data; boundary=y", script},
		{"a boundary inside of a line", plain, "--x\r\n" + field + "\r\n\r\n1--x " + script + "\r\n--x--\r\n"},
		{"an end inside of a line", plain, "--x\r\n" + field + "\r\n\r\n1--x-- " + script + "\r\n--x--\r\n"},
		{"a line that only begins like an end", plain, "--x\r\n" + field + "\r\n\r\n1\r\n--x--2\r\n" + script + "\r\n--x--\r\n"},
		{"white space behind a boundary", plain, "--x \t\r\n" + field + "\r\n\r\n" + script + "\r\n--x--\r\n"},
		{"lines without CR, and an empty one with", plain, "--x\n" + field + "\n\n" + script + "\r\n\r\n1\n--x--\n"},
		{"an empty line with CR behind lines without", plain, "--x\n" + field + "\n\r\n" + script + "\n--x--\n"},
		{"no head", plain, "--x\r\n\r\n" + script + "\r\n--x--\r\n"},
		{"an end and nothing before it", plain, script + "\r\n--x--\r\n"},
		{"a head that does not end", plain, "--x\r\n" + field + "\r\n" + script},
	}
	for _, c := range cases {
		body := evidence.Body{Text: []byte(c.body), Type: c.kind}
		found := evidence.Look(&flow.Request{Target: "/", Header: header{}}, body)
		if evidence.Judge(nil, found).Score < clue.Strong {
			t.Errorf("%s: found %v", c.name, found)
		}
	}
	if len(cases) < 12 {
		t.Errorf("only %d cases", len(cases))
	}
}

// A form is read as one even if it begins like a document, of which a long text would be
// looked at more leniently than what is entered.
func TestFormsCannotBeHiddenInDocuments(t *testing.T) {
	text := strings.Repeat(`all is well\n`, 30)
	cases := []string{
		`{"a":"` + text + `&q=%3Bid&z="}`,
		`{"a":"` + text + `&q=%3Bid`,
		`{"a":"` + strings.ReplaceAll(text, `\n`, "\n") + `"}&q=%3Bid`,
		`{"q=admin%27--&y":1}`,
	}
	for _, form := range cases {
		body := evidence.Body{Text: []byte(form), Type: "application/x-www-form-urlencoded"}
		found := evidence.Look(&flow.Request{Target: "/", Header: header{}}, body)
		if evidence.Judge(nil, found).Score < clue.Strong {
			t.Errorf("%s: found %v", form, found)
		}
	}
	document := evidence.Body{Text: []byte(`{"note":"Tom & Jerry's, a=b"}`), Type: "application/x-www-form-urlencoded"}
	if found := evidence.Look(&flow.Request{Target: "/", Header: header{}}, document); len(found) > 0 {
		t.Errorf("found %v in a document", found)
	}
	if len(cases) < 4 {
		t.Errorf("only %d cases", len(cases))
	}
}
