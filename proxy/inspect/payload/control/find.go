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
	if t.Bytes.Any(lexicon.Line) && (head || begun(t.S)) {
		header(t, found)
	}
	if t.Bytes.All(lexicon.Plus | lexicon.Minus) {
		utf7(t, found)
	}
	if t.Bytes.Any(lexicon.NUL) && !t.Binary() && len(t.S) < 1024 {
		found.Add(clue.NULByte, strings.IndexByte(t.S, 0), 1)
	}
}

// begun tells whether a short value begins with a line end, or nearly: in documents that
// is the only place in which a field behind one is none of a text.
func begun(s string) bool {
	return len(s) < 200 && strings.ContainsAny(lexicon.Window(s, 0, 3), "\r\n")
}

// header looks for a line end and a field of a message behind it. Of members of documents
// only what begins so is looked at: mails, recorded answers and YAML are made of such lines.
func header(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	for i := range len(lower) {
		if lower[i] != '\n' && lower[i] != '\r' {
			continue
		}
		rest := strings.TrimLeft(lexicon.Window(lower, i, 64), "\r\n \t")
		if (isField(rest) || isCommand(rest)) && !isField(lower) {
			found.Add(clue.HeaderInjection, i, 2)
			return
		}
	}
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

// isCommand tells the commands that a server of mail takes line by line (RFC 5321, section
// 4.1.1; RFC 9051, section 6, each behind a tag).
func isCommand(line string) bool {
	line, _, _ = strings.Cut(line, "\r")
	line, _, _ = strings.Cut(line, "\n")
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "quit", "rset", "starttls":
		return rest == ""
	case "rcpt":
		return strings.HasPrefix(rest, "to:")
	case "mail":
		return strings.HasPrefix(rest, "from:")
	case "ehlo", "helo":
		return rest != "" && !strings.Contains(rest, " ")
	}
	verb, _, _ = strings.Cut(rest, " ")
	tagged := line != "" && strings.ContainsAny(line[:strings.IndexByte(line+" ", ' ')], "0123456789")
	return tagged && (verb == "capability" || verb == "logout" || verb == "fetch" || verb == "login" || verb == "noop")
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
