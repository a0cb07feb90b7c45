// Package control finds characters that end what a value stands in, whatever language
// that is: line ends in what becomes a header field, NULs, and markup in UTF-7.
package control

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Find looks at a value. Head tells that it stands in the head of the request, where
// nobody writes texts of several lines.
func Find(t *lexicon.Text, head bool, found *clue.List) {
	if head && t.Bytes.Any(lexicon.Line) && t.Bytes.Any(lexicon.Colon|lexicon.Slash|lexicon.Less) {
		header(t, found)
	}
	if t.Bytes.All(lexicon.Plus | lexicon.Minus) {
		utf7(t, found)
	}
	if t.Bytes.Any(lexicon.NUL) && !t.Binary() && len(t.S) < 1024 {
		found.Add(clue.NULByte, strings.IndexByte(t.S, 0), 1)
	}
}

// header looks for a line end and a field of a message behind it. Members of documents
// are not looked at: mails, recorded answers and YAML are made of such lines.
func header(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	for i := range len(lower) {
		if lower[i] != '\n' && lower[i] != '\r' {
			continue
		}
		rest := strings.TrimLeft(lexicon.Window(lower, i, 64), "\r\n \t")
		if isField(rest) && !isField(lower) && !folded(t, i) {
			found.Add(clue.HeaderInjection, i, 2)
			return
		}
	}
}

// folded tells a line of a text in a form that begins with a space, as in templates and
// configurations: to HTTP it goes on with the line before (RFC 9112, section 5.2), and
// begins no field.
func folded(t *lexicon.Text, at int) bool {
	return t.Written && strings.IndexByte(t.S, '\r') < 0 && at+1 < len(t.S) && (t.S[at+1] == ' ' || t.S[at+1] == '\t')
}

// isField tells the fields that injections set, and any whose name has two words. The
// beginning of a page stands behind an empty line, which ends the fields.
func isField(line string) bool {
	for _, name := range []string{
		"location:", "http/1.", "refresh:", "bcc:", "cc:", "host:", "cookie:", "connection:", "get /", "post /",
		"<html", "<script", "<body",
	} {
		if strings.HasPrefix(line, name) {
			return true
		}
	}
	name, _, ok := strings.Cut(lexicon.Window(line, 0, min(len(line), 64)), ":")
	return ok && len(name) > 3 && strings.Contains(name, "-") && lexicon.WordEnd(strings.ReplaceAll(name, "-", "_"), 0) == len(name)
}

// utf7 looks for < and " in UTF-7: +ADw- and +ACI- (RFC 2152).
func utf7(t *lexicon.Text, found *clue.List) {
	for _, form := range []string{"+ADw-", "+AD4-", "+ACI-", "+AFs-"} {
		if i := strings.Index(t.S, form); i >= 0 && strings.Contains(t.S, "+AD") {
			found.Add(clue.UTF7, i, len(form))
			return
		}
	}
}
