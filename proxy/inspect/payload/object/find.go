// Package object finds serialized objects, and the class names that deserialization is
// attacked with, where a value is expected.
//
// Services do send each other objects, but as JSON or protobuf. A stream of Java, a
// BinaryFormatter of .NET or a pickle runs code of the sender's choice when it is read,
// so it has no business in a parameter.
package object

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Find looks at a value as it is, text or not.
func Find(t *lexicon.Text, found *clue.List) {
	s := t.S
	if len(s) < 8 {
		return
	}
	magic(t, found)
	if t.Bytes.All(lexicon.Colon) && t.Bytes.Any(lexicon.Double|lexicon.Brace) {
		php(s, found)
	}
	if t.Bytes.Any(lexicon.Control|lexicon.Line|lexicon.NUL|lexicon.Exclaim|lexicon.Paren) && t.Words.Any(lexicon.Gadget|lexicon.CodeCall) {
		pickle(t, found)
	}
	if t.Words.Any(lexicon.Gadget|lexicon.Reflection) && t.Bytes.Any(lexicon.Dot|lexicon.Exclaim|lexicon.Colon|lexicon.Less) {
		gadgets(t, found)
	}
	if t.Words.Any(lexicon.Revived) || t.Bytes.All(lexicon.Dollar|lexicon.Colon) {
		node(t, found)
	}
}

// node looks for functions that libraries of Node.js restore from a text (node-serialize,
// funcster, cryo), and for the references by which React's server functions were made to
// reach the constructor of functions (CVE-2025-55182).
func node(t *lexicon.Text, found *clue.List) {
	at, _ := lexicon.IndexAny(t.S, "_$$ND_FUNC$$_", "__js_function", "_CRYO_FUNCTION_", "_CRYO_REF_")
	if at < 0 && t.Bytes.All(lexicon.Dollar|lexicon.Colon) {
		at, _ = lexicon.IndexAny(t.S, ":constructor:constructor", ":__proto__:then", ":__proto__:constructor", ":Module:prototype")
	}
	if at >= 0 {
		found.Add(clue.NodeObject, at, 13)
	}
}

// A mark is what a serialized object begins with, in bytes or in Base64.
type mark struct {
	text string
	kind clue.Kind
}

var marks = [...]mark{
	{"\xac\xed\x00\x05", clue.JavaObject}, // STREAM_MAGIC, STREAM_VERSION
	{"rO0AB", clue.JavaObject},            // the same in Base64
	{"aced0005", clue.JavaObject},         // and in hexadecimal
	{"AAEAAAD/////", clue.DotNetObject},   // BinaryFormatter
	{"\x00\x01\x00\x00\x00\xff\xff\xff\xff", clue.DotNetObject},
	{"/wEyxBEAAQAAAP////", clue.DotNetObject}, // LosFormatter around a BinaryFormatter
	{"gASV", clue.PythonObject},               // protocol 4, frame
	{"\x80\x04\x95", clue.PythonObject},
	{"BAhvO", clue.RubyObject}, // Marshal 4.8, an object and its class
	{"\x04\x08o:", clue.RubyObject},
	{"BAhVO", clue.RubyObject}, // and one that loads itself
	{"BAhbCGMV", clue.RubyObject},
}

// magic looks at the value's beginning and behind what may stand in front: quotes, an
// equals sign, the scheme of a data URL.
func magic(t *lexicon.Text, found *clue.List) {
	s, bytes := t.S, t.Bytes.Any(lexicon.High|lexicon.Control|lexicon.NUL)
	for _, m := range marks {
		if !bytes && (m.text[0] >= 0x80 || m.text[0] < ' ') {
			continue
		}
		i := strings.Index(s, m.text)
		if i < 0 || i > 0 && strings.IndexByte("\"'=:, >(\n", s[i-1]) < 0 && m.text[0] < 0x80 && m.text[0] >= ' ' {
			continue
		}
		if m.text == "gASV" && len(s)-i < 24 || m.text == "aced0005" && len(s)-i < 16 {
			continue
		}
		found.Add(m.kind, i, len(m.text))
		return
	}
	if len(s) >= shortestBlob && !t.Bytes.Any(lexicon.Space|lexicon.Dot|lexicon.Percent) {
		blob(s, found)
	}
}

// shortestBlob is from how many bytes on a text without spaces may be an object in Base64.
const shortestBlob = 24

// blob looks at Base64 for what is too short to be looked for anywhere: a pickle of
// protocol 2 or 3 that begins with a class by its name, and the magic of Java at the two
// other places in a group of four, where it stands in the middle of other bytes.
func blob(s string, found *clue.List) {
	if strings.HasPrefix(s, "gAJj") || strings.HasPrefix(s, "gANj") || strings.HasPrefix(s, "\x80\x02c") || strings.HasPrefix(s, "\x80\x03c") {
		found.Add(clue.PythonObject, 0, 4)
		return
	}
	for _, m := range [...]struct{ text, before string }{{"ztAAU", "Kaq6"}, {"s7QAF", "CGKOSWaeimquy26+"}} {
		if i := strings.Index(s, m.text); i > 0 && strings.IndexByte(m.before, s[i-1]) >= 0 {
			found.Add(clue.JavaObject, i, len(m.text))
		}
	}
}

// php looks for O:4:"Name":1:{ and C:4:"Name":. Arrays and texts are what sessions and
// options of common applications are kept in.
func php(s string, found *clue.List) {
	for i := 0; i+8 < len(s); i++ {
		if s[i] != ':' || i == 0 || s[i-1] != 'O' && s[i-1] != 'C' && s[i-1] != 'o' {
			continue
		}
		if i > 1 && strings.IndexByte(";{\"'=:} ", s[i-2]) < 0 {
			continue
		}
		at := i + 1
		if s[at] == '+' { // O:+4: dodges filters that look for a digit
			at++
		}
		end := at
		for end < len(s) && lexicon.IsDigit(s[end]) {
			end++
		}
		if end == at || !strings.HasPrefix(s[end:], `:"`) && !strings.HasPrefix(s[end:], `:\"`) {
			continue
		}
		name := strings.TrimLeft(s[end+1:], `\"`)
		if w := lexicon.WordEnd(name, 0); w > 0 && w < len(name) && strings.IndexByte(`\":`, name[w]) >= 0 {
			found.Add(clue.PHPObject, i-1, end+2-i)
			return
		}
	}
}
