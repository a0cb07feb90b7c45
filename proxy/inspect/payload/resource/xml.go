package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// XML looks for declarations in documents of XML that make the reader fetch others, or
// grow without bound.
func XML(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Less) || !t.Bytes.Any(lexicon.Exclaim|lexicon.Colon|lexicon.Star) {
		return
	}
	lower := t.Lower()
	if i := strings.Index(lower, "<!entity"); i >= 0 && declares(lower, i+len("<!entity")) {
		found.Add(clue.XMLEntity, i, len("<!entity"))
	}
	for i := 0; ; {
		n := strings.Index(lower[i:], "<!doctype")
		if n < 0 {
			break
		}
		i += n
		if external(lexicon.Window(lower, i+len("<!doctype"), 512)) {
			found.Add(clue.XMLExternal, i, len("<!doctype"))
			break
		}
		i += len("<!doctype")
	}
	if i := strings.Index(lower, "<xi:include"); i >= 0 {
		found.Add(clue.XMLInclude, i, len("<xi:include"))
	} else if i := strings.Index(lower, "http://www.w3.org/2001/xinclude"); i >= 0 {
		found.Add(clue.XMLInclude, i, 8)
	}
	if i := strings.Index(lower, "<?xml"); i >= 0 && hidesText(lexicon.Window(lower, i, 128)) {
		found.Add(clue.UTF7, i, 5)
	}
	if at, _ := lexicon.IndexAny(lower, "<?xml-stylesheet", "schemalocation=\"file:"); at >= 0 {
		found.Add(clue.XMLExternal, at, 8)
	}
}

// declares tells whether an entity with a name and a value is declared.
func declares(s string, i int) bool {
	rest := lexicon.Window(s, i, 256)
	return rest != "" && lexicon.IsSpace(rest[0]) && strings.ContainsAny(rest, "\"'")
}

// external tells a document type that lies elsewhere: SYSTEM and a URL. PUBLIC and an
// identifier of a standard are what documents of HTML and SVG begin with.
func external(rest string) bool {
	if end := strings.IndexAny(rest, ">["); end >= 0 {
		if rest[end] == '[' && !strings.Contains(rest[:end], "public") {
			return true
		}
		rest = rest[:end]
	}
	i := strings.Index(rest, "system")
	if i < 0 {
		return strings.Contains(rest, "public") && !strings.Contains(rest, "-//") && strings.Contains(rest, "://")
	}
	return strings.ContainsAny(rest[i:], "\"'") && !strings.Contains(rest, "about:legacy-compat")
}

// hidesText tells a declaration of an encoding in which other bytes stand for < and >, in a
// text that can be read without it.
func hidesText(declaration string) bool {
	declaration, _, _ = strings.Cut(declaration, "?>")
	at, _ := lexicon.IndexAny(declaration, "utf-7", "utf7", "ibm037", "cp037", "ebcdic", "ibm500", "ibm1047")
	return at >= 0
}
