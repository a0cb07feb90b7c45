package lexicon

import (
	"strings"
	"testing"
)

func TestEveryByteHasItsKind(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		kind := Kind(b)
		if IsWord(b) != (IsLetter(b) || IsDigit(b) || b == '_') || IsLetter(b) != kind.Any(Letter) || b >= 0x80 != kind.Any(High) {
			t.Errorf("byte %#x has kind %b", c, kind)
		}
		if kind == 0 && !strings.Contains("),]}", string(rune(c))) {
			t.Errorf("byte %#x has no kind", c)
		}
	}
}

func TestWordsAreFoundInAnyCase(t *testing.T) {
	for _, c := range []struct {
		text string
		want Group
	}{
		{"SELECT", SQLVerb},
		{"x uNiOn y", SQLVerb},
		{"unionx", 0},
		{"xunion", 0},
		{"a-union-b", SQLVerb},
		{"__proto__", Property},
		{"information_schema.x", SQLSchema},
		{"getRuntime()", Reflection},
		{"42union", SQLVerb},
		{"", 0},
		{"nothing of interest", 0},
	} {
		got := Read(c.text).Words
		if c.want == 0 && got != 0 || c.want != 0 && !got.Any(c.want) {
			t.Errorf("%q: groups %b, want %b", c.text, got, c.want)
		}
	}
}

// Each word is in the dictionary, lists are in lower case, and the table is not so full
// that looking for a word takes long.
func TestDictionary(t *testing.T) {
	n := 0
	for _, l := range lists() {
		for word := range strings.FieldsSeq(l.words) {
			n++
			if !Groups(word).Any(l.group) || word != FoldASCII(word) {
				t.Errorf("%q is not in its group", word)
			}
			if strings.ContainsFunc(word, func(r rune) bool { return r > 0x7f || !IsWord(byte(r)) }) && word != "meta-inf" && word != "web-inf" {
				t.Errorf("%q is no word", word)
			}
		}
	}
	if n < 700 || len(words.entries) > slots/2 {
		t.Errorf("%d words in %d slots", len(words.entries), slots)
	}
}

func TestTextsOfSeveralLinesAreDocuments(t *testing.T) {
	long := strings.Repeat("words and words\n", 20)
	for _, c := range []struct {
		name    string
		text    string
		written bool
		want    bool
	}{
		{"lines in a body", long, true, true},
		{"lines in a head", long, false, false},
		{"one line", strings.ReplaceAll(long, "\n", " "), true, false},
		{"a block of code", "```\na\nb\n```", true, true},
		{"a few short lines", "a\nb\nc", true, false},
	} {
		text := Read(c.text)
		text.Written = c.written
		if text.Document() != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("SELECT \x00 * from\nx")
	f.Fuzz(func(t *testing.T, s string) {
		text := Read(s)
		var want Bytes
		for i := range len(s) {
			want |= Kind(s[i])
		}
		if text.Bytes != want {
			t.Errorf("kinds %b, want %b", text.Bytes, want)
		}
		if lower := text.Lower(); len(lower) != len(s) || Read(lower).Words != text.Words {
			t.Errorf("%q in lower case is %q", s, lower)
		}
	})
}
