package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// markup reads the tags of a value.
func markup(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	for i := 0; ; {
		tag, ok := nextTag(t.S, lower, i)
		if !ok {
			return
		}
		judge(t, tag, found)
		// A tag within a tag is one to some browsers, so the next is looked for
		// right behind the name.
		i = tag.end - len(tag.rest)
	}
}

func judge(text *lexicon.Text, t tag, found *clue.List) {
	size := t.end - t.at
	switch t.name {
	case "script":
		// "binary<script is faster" begins none that a browser would run.
		if t.closed || strings.Contains(t.rest, "=") {
			found.Add(clue.HTMLScript, t.at, size)
		}
	case "iframe", "object", "embed", "applet", "frame", "frameset", "base", "isindex", "xml", "bgsound", "portal",
		"animate", "set", "animatetransform", "foreignobject", "noembed", "layer", "ilayer":
		found.Add(clue.HTMLActive, t.at, size)
	case "webview", "fencedframe":
		found.Add(clue.HTMLActive, t.at, size)
	case "meta", "link":
		refresh(t, found)
	}
	if t.entered(text) {
		planted(t, found)
	}
	attributes(t.rest, func(a attribute) bool {
		// A handler in braces is JSX, where it stands in source code.
		if strings.HasPrefix(a.value, "{") && text.Document() {
			return true
		}
		attributeOf(t, a, found)
		return true
	})
}

// refresh is for tags that replace the page or load a style that can run scripts.
func refresh(t tag, found *clue.List) {
	rest := lexicon.FoldASCII(t.rest)
	at, _ := lexicon.IndexAny(rest, "refresh", "set-cookie", "rel=import", `rel="import`, "javascript:", "data:text/html")
	if at >= 0 {
		found.Add(clue.HTMLActive, t.at, t.end-t.at)
	}
}

func attributeOf(t tag, a attribute, found *clue.List) {
	switch {
	case strings.HasPrefix(a.name, "on") && lexicon.Groups(a.name).Any(lexicon.Handler) && a.value != "",
		len(a.name) > 4 && strings.HasPrefix(a.name, "on") && callsIn(a.value):
		found.Add(clue.HTMLHandler, t.at, t.end-t.at)
	case a.name == "style" && styleRuns(a.value):
		found.Add(clue.HTMLHandler, t.at, t.end-t.at)
	case a.name == "srcdoc" && strings.ContainsAny(a.value, "<&"):
		found.Add(clue.HTMLHandler, t.at, t.end-t.at)
	case runsURL(a.name) && scriptURL(a.value):
		found.Add(clue.ScriptURL, t.at, t.end-t.at)
	}
}

// callsIn tells whether an attribute whose name nobody knows holds a call.
func callsIn(value string) bool {
	open := strings.IndexAny(value, "(`")
	return open > 0 && strings.IndexAny(value[open:], ")`") > 0
}

func runsURL(name string) bool {
	switch name {
	case "href", "src", "action", "formaction", "data", "background", "poster", "xlink:href", "from", "to", "values",
		"lowsrc", "dynsrc", "code", "codebase", "content", "cite", "manifest", "ping", "folder", "url":
		return true
	}
	return false
}

// styleRuns tells a style that old browsers run. Comments and escapes hide its words.
func styleRuns(value string) bool {
	if strings.Count(value, `\00`) > 2 {
		return true
	}
	v := plainStyle(lexicon.FoldASCII(value))
	at, _ := lexicon.IndexAny(v, "expression(", "javascript:", "-moz-binding", "behavior:", "@import")
	return at >= 0
}

// scriptURL tells whether a URL is a script: browsers drop control characters and
// white space in a scheme.
func scriptURL(value string) bool {
	var scheme [16]byte
	n := 0
	for i := 0; i < len(value) && n < len(scheme); i++ {
		c := value[i]
		if c <= ' ' || c == 0x7f {
			continue
		}
		if c == ':' {
			return runsScheme(string(scheme[:n]), value[i+1:])
		}
		if !lexicon.IsLetter(c) {
			return false
		}
		scheme[n] = lexicon.Lower(c)
		n++
	}
	return false
}

// labels tells "JavaScript: https://example.com/docs", a name of the language in front of a
// link, which as a script would be a comment.
func labels(rest string) bool {
	return (strings.HasPrefix(rest, "https://") || strings.HasPrefix(rest, "http://")) && !strings.ContainsAny(rest, "%&\\\n\r\u2028\u2029")
}

func runsScheme(scheme, rest string) bool {
	switch scheme {
	case "javascript", "vbscript", "livescript", "mocha":
		// "javascript:void(0)" and ";" are what links that do nothing have.
		rest = strings.TrimSpace(rest)
		return rest != "" && rest != ";" && !strings.HasPrefix(rest, "void") && rest != "//" && !labels(rest)
	case "data":
		head := lexicon.FoldASCII(lexicon.Window(rest, 0, 32))
		return strings.HasPrefix(head, "text/html") || strings.HasPrefix(head, "image/svg") ||
			strings.HasPrefix(head, "text/javascript") || strings.HasPrefix(head, "application/javascript")
	}
	return false
}
