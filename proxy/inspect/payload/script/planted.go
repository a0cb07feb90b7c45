package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestPlanted is up to how many bytes a value that is markup is taken for a piece that
// is planted into a page, not for a page.
const longestPlanted = 256

// entered tells whether a short value begins with a tag, as what is planted does, perhaps
// behind what ends an attribute.
func (t tag) entered(text *lexicon.Text) bool {
	return t.at <= 2 && len(text.S) <= longestPlanted && strings.Trim(text.S[:t.at], "'\"`>") == ""
}

// planted is for tags that change a page without any script: a form that sends what is
// entered elsewhere, a style that sends what it sees, a tag that swallows what follows.
func planted(t tag, found *clue.List) {
	size := t.end - t.at
	switch t.name {
	case "form":
		if elsewhere(t.rest, "action") {
			found.Add(clue.HTMLActive, t.at, size)
		}
	case "link", "style", "webview":
		if elsewhere(t.rest, "href") || t.name == "style" {
			found.Add(clue.HTMLActive, t.at, size)
		}
	case "svg", "math":
		if !strings.Contains(t.rest, "xmlns") && !strings.Contains(t.rest, "viewBox") {
			found.Add(clue.HTMLActive, t.at, size)
		}
	case "a", "img", "base", "table", "input", "button", "video", "audio", "textarea", "meta":
		if !t.closed && swallows(t.rest) {
			found.Add(clue.HTMLActive, t.at, size)
		}
	}
}

// elsewhere tells whether an attribute names another host.
func elsewhere(rest, name string) (found bool) {
	attributes(rest, func(a attribute) bool {
		if a.name == name && strings.Contains(lexicon.Window(a.value, 0, 8), "//") {
			found = true
		}
		return !found
	})
	return found
}

// swallows tells whether the last attribute opens a quote that nothing closes.
func swallows(rest string) bool {
	open := strings.LastIndexAny(rest, "'\"")
	if open < 0 || strings.Count(rest, rest[open:open+1])%2 == 0 {
		return false
	}
	equals := lexicon.BackSpace(rest, open)
	return equals > 0 && rest[equals-1] == '='
}

// plainStyle takes the comments out of a style, in which browsers read words as if none
// were there.
func plainStyle(s string) string {
	if !strings.Contains(s, "/*") {
		return s
	}
	var b strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, "/*")
		b.WriteString(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(rest, "*/")
	}
	return b.String()
}
