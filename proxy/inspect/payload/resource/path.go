package resource

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Paths looks for paths that lead out of where they begin. Target tells that the value
// is the path of the request itself.
func Paths(t *lexicon.Text, target bool, found *clue.List) {
	if t.Bytes.Any(lexicon.Slash|lexicon.Backslash) || t.Bytes.Any(lexicon.High) && (t.Bytes.Any(lexicon.Dot) || strings.Contains(t.S, "\xc0\xae")) ||
		t.Entered && strings.Contains(t.S, "0x2") {
		traversal(t, found)
		if t.Words.Any(lexicon.File) {
			secrets(t, target, found)
		}
	}
	if target && t.Bytes.Any(lexicon.Dot) {
		probes(t, found)
	}
	if t.Entered && t.Bytes.Any(lexicon.Slash|lexicon.Backslash|lexicon.Dot) {
		parameter(t, found)
	}
	if t.Bytes.Any(lexicon.NUL) && t.Bytes.Any(lexicon.Slash|lexicon.Dot) && len(t.S) < 512 && endsName(t.S) {
		found.Add(clue.PathNull, strings.IndexByte(t.S, 0), 1)
	}
}

// endsName tells whether a NUL stands in front of an ending, or at the end of a path.
func endsName(s string) bool {
	i := strings.IndexByte(s, 0)
	rest := s[i+1:]
	return i > 2 && (rest == "" || rest[0] == '.' && len(rest) < 8)
}

// A climb is a run of steps up.
type climb struct {
	at, end, steps int
	// disguised tells that a step is written so that it is not recognised.
	disguised bool
}

// traversal looks for runs of steps up, in the ways they are written: ../ ..\ ..;/
// ....// and the overlong form of a dot or a slash in UTF-8.
func traversal(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := 0; i+2 < len(s); i++ {
		if s[i] != '.' && s[i] != 0xc0 && s[i] != 0xe0 && s[i] != '0' {
			continue
		}
		c := climbAt(s, i)
		if c.steps == 0 {
			continue
		}
		judgeClimb(t, c, found)
		i = c.end - 1
	}
}

func climbAt(s string, i int) climb {
	c := climb{at: i, end: i}
	for c.end < len(s) {
		n, disguised := step(s[c.end:])
		if n == 0 {
			return c
		}
		c.end += n
		c.steps++
		c.disguised = c.disguised || disguised
	}
	return c
}

// step is how long the step up is that s begins with; 0 if there is none.
func step(s string) (n int, disguised bool) {
	for range 2 {
		switch size := max(overlong(s[n:], 0xae), hexadecimalOf(s[n:], "2e")); {
		case n < len(s) && s[n] == '.':
			n++
		case size > 0:
			n += size
			disguised = true
		default:
			return 0, false
		}
	}
	if strings.HasPrefix(s, "....//") || strings.HasPrefix(s, `....\\`) || strings.HasPrefix(s, `....\/`) {
		return len("....//"), true // what is left when ../ is taken out
	}
	if n < len(s) && s[n] == ';' { // ..;/ which some servers cut off
		n++
		disguised = true
	}
	if n < len(s) && (s[n] == '/' || s[n] == '\\') {
		for n < len(s) && (s[n] == '/' || s[n] == '\\') {
			n++
		}
		return n, disguised
	}
	if size := max(overlong(s[n:], 0xaf), overlong(s[n:], 0x9c), overlong(s[n:], '/'), hexadecimalOf(s[n:], "2f"), hexadecimalOf(s[n:], "5c")); size > 0 {
		return n + size, true
	}
	return 0, false
}

// hexadecimalOf is the size of a byte written as 0x2e that s begins with: some
// applications decode that, too.
func hexadecimalOf(s, digits string) int {
	if len(s) >= 4 && s[0] == '0' && s[1] == 'x' && lexicon.EqualFold(s[2:4], digits) {
		return 4
	}
	return 0
}

// overlong is the size of an overlong form of UTF-8 that s begins with and that ends in
// a byte: C0 AE and E0 80 AE are dots to lenient decoders.
func overlong(s string, last byte) int {
	switch {
	case len(s) >= 2 && (s[0] == 0xc0 || s[0] == 0xc1) && s[1] == last:
		return 2
	case len(s) >= 3 && s[0] == 0xe0 && s[1] == 0x80 && s[2] == last:
		return 3
	}
	return 0
}

// deepClimb is from how many steps up on a path is one to wonder about: source maps and
// imports of large projects go up four.
const deepClimb = 5

func judgeClimb(t *lexicon.Text, c climb, found *clue.List) {
	rest := lexicon.FoldASCII(lexicon.Window(t.S, c.end, 64))
	first := rest
	if i := strings.IndexAny(rest, "/\\\x00"); i >= 0 {
		first = rest[:i]
	}
	size := c.end - c.at
	switch {
	case c.disguised && c.steps >= 1 && (strings.ContainsAny(rest, "/.") || c.steps >= 2 || t.Entered && c.at == 0):
		found.Add(clue.PathEncoded, c.at, size)
	case c.steps >= 1 && isRoot(first):
		found.Add(clue.PathToSecret, c.at, size)
	case c.steps >= deepClimb:
		found.Add(clue.PathDeep, c.at, size)
	}
}

// isRoot tells directories at the root of a system, and files of one.
func isRoot(name string) bool {
	switch name {
	case "etc", "proc", "windows", "winnt", "win.ini", "boot.ini", "web-inf", "meta-inf", "inetpub", "passwd", "root",
		"boot", "system32", ".ssh", ".aws", ".git", ".env", "wp-config.php", "web.config", "global.asa", "autoexec.bat",
		"config.php", "configuration.php", ".htaccess", ".htpasswd", ".bash_history":
		return true
	}
	return false
}
