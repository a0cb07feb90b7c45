package lexicon

import "strings"

// SkipSpace returns where white space ends that begins at i.
func SkipSpace(s string, i int) int {
	for i < len(s) && IsSpace(s[i]) {
		i++
	}
	return i
}

// BackSpace returns where white space begins that ends in front of i.
func BackSpace(s string, i int) int {
	for i > 0 && IsSpace(s[i-1]) {
		i--
	}
	return i
}

// WordEnd returns where the word ends that begins at i; i if there is none.
func WordEnd(s string, i int) int {
	for i < len(s) && IsWord(s[i]) {
		i++
	}
	return i
}

// WordStart returns where the word begins that ends in front of i.
func WordStart(s string, i int) int {
	for i > 0 && IsWord(s[i-1]) {
		i--
	}
	return i
}

// Window cuts at most size bytes out of s from i on. It keeps a detector that looks
// ahead at many places linear.
func Window(s string, i, size int) string {
	return s[i:min(len(s), i+size)]
}

// IndexAny is where the first of several texts stands, and which one; -1 for none.
func IndexAny(s string, of ...string) (at, which int) {
	at, which = -1, -1
	for n, sub := range of {
		if i := strings.Index(s, sub); i >= 0 && (at < 0 || i < at) {
			at, which = i, n
		}
	}
	return at, which
}

// FoldASCII is s in lower case, byte by byte, so that places stay the same. It
// returns s itself if there is nothing to change.
func FoldASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return foldFrom(s, i)
		}
	}
	return s
}

func foldFrom(s string, i int) string {
	out := []byte(s)
	for ; i < len(out); i++ {
		out[i] = Lower(out[i])
	}
	return string(out)
}

// InCode tells whether a place in a text of several lines is marked as code, as Markdown
// has it: between fences, between backticks of one line, or in a line that is indented.
func InCode(s string, at int) bool {
	begin := strings.LastIndexByte(s[:at], '\n') + 1
	line := s[begin:at]
	return strings.Count(s[:begin], "```")%2 == 1 || strings.Count(line, "`")%2 == 1 ||
		strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
}
