package control

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Lines looks for what a line end makes the argument of something else: commands of mail
// servers and, in short members of documents, fields of a message.
func Lines(t *lexicon.Text, found *clue.List) {
	if t.Bytes.Any(lexicon.Line) || t.Entered && t.Bytes.All(lexicon.Colon|lexicon.At) {
		mail(t, found)
	}
	if t.Written && !t.Entered && t.Lines() <= noteLines && len(t.S) <= shortNote && t.Bytes.All(lexicon.Line|lexicon.Colon) {
		note(t, found)
	}
}

// Bounds of a member of a document that is looked at for fields of a message, in bytes and
// lines: a note. Mails, recorded answers and YAML are longer, and made of such lines.
const (
	shortNote = 160
	noteLines = 3
)

// note looks at a short text of a document, for those fields only that a sender of an
// answer sets and people don't write lines about.
func note(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if first := strings.TrimLeft(lower, "\r\n"); t.Lines() == 1 && len(first) < len(lower) && isField(first) {
		found.Add(clue.HeaderInjection, 0, 2)
		return
	}
	for i := range len(lower) {
		if (lower[i] == '\n' || lower[i] == '\r') && isAnswer(lexicon.Window(lower, i, 64)) && !isField(lower) {
			found.Add(clue.HeaderInjection, i, 2)
			return
		}
	}
}

// isAnswer tells a field of an answer that decides what a browser does.
func isAnswer(line string) bool {
	line = strings.TrimLeft(line, "\r\n \t")
	for _, name := range [...]string{
		"set-cookie:", "access-control-allow-", "content-length:", "transfer-encoding:", "http/1.1 ", "location:http",
		"location: http", "location:/", "location: /",
	} {
		if strings.HasPrefix(line, name) {
			return true
		}
	}
	return false
}
