package lexicon

import "strings"

// longProse is from how many bytes on a value with several lines is taken for a
// document: something that somebody wrote, which may well quote a command or a
// statement without meaning it.
const longProse = 256

// A Text is a value and what is known of it from one pass.
type Text struct {
	// S is the value as it is.
	S string
	// Bytes are the kinds of bytes that occur.
	Bytes Bytes
	// Words are the groups of those words that occur and are in the lexicon.
	Words Group
	// controls is how many bytes no text has.
	controls int
	// lines is how many line feeds there are, and ticks how many backticks.
	lines, ticks int
	// Written tells that the value stands where people write texts of several lines:
	// in a body. In the head of a request nobody does.
	Written bool
	// Entered tells that the value is one by itself, as in a query, a form, a cookie or a
	// field of the head, not a member of a document.
	Entered bool

	lower  string
	folded bool
}

// Read makes the pass.
func Read(s string) Text {
	t := Text{S: s}
	for i := 0; i < len(s); {
		kind := kinds[s[i]]
		t.Bytes |= kind
		switch {
		case kind&(Letter|Underscore) != 0:
			i = t.word(i)
			continue
		case kind&(Control|NUL) != 0:
			t.controls++
		case s[i] == '\n':
			t.lines++
		case s[i] == '`':
			t.ticks++
		}
		i++
	}
	return t
}

// word looks up the word at i and returns where it ends.
func (t *Text) word(i int) int {
	s, h, start := t.S, uint32(seed), i
	for ; i < len(s); i++ {
		kind := kinds[s[i]]
		if kind&(Letter|Digit|Underscore) == 0 {
			break
		}
		t.Bytes |= kind
		h = (h ^ uint32(s[i]|0x20)) * prime
	}
	t.Words |= words.lookup(s[start:i], h)
	return i
}

// Lower is the value in lower case. It is made when it is first asked for.
func (t *Text) Lower() string {
	if !t.folded {
		t.lower, t.folded = FoldASCII(t.S), true
	}
	return t.lower
}

// Binary tells that the value is not text: more than one byte in sixteen is one that
// no text has.
func (t *Text) Binary() bool { return t.controls > 1+len(t.S)/16 }

// Lines is how many line feeds there are.
func (t *Text) Lines() int { return t.lines }

// Backticks is how many there are.
func (t *Text) Backticks() int { return t.ticks }

// Document tells that the value is a text of several lines that somebody wrote: longer
// than what is usually entered into a field, or with a block of code as Markdown has it.
// White space around it makes no text longer.
func (t *Text) Document() bool {
	if !t.Written || t.lines < 2 {
		return false
	}
	s := strings.TrimSpace(t.S)
	if len(s) < len(t.S) && strings.Count(s, "\n") < 2 {
		return false
	}
	return len(s) >= longProse || t.ticks >= 6 && strings.Contains(s, "```")
}
