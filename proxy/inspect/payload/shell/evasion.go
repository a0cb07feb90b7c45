package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestEvasion bounds a value that is looked at for disguised commands.
const longestEvasion = 16 << 10

// longestEntered is the longest value in which a quoted word behind a separator is taken
// for one. Longer ones are URLs and records, which have all of these signs; in them it
// takes a quote inside of a word, where nobody needs one, behind a separator that URLs
// don't have.
const longestEntered = 1024

// evasions looks for commands whose words are taken apart.
func evasions(t *lexicon.Text, found *clue.List) {
	s := t.S
	if len(s) > longestEvasion || t.Document() {
		return
	}
	if t.Bytes.Any(lexicon.Dollar) {
		if at, _ := lexicon.IndexAny(s, "${IFS", "$IFS", "${PATH:", "${HOME:", "${SHELL:", "${PWD:", "${PATH#", "${PATH%", "${HOME#", "${HOME%",
			"$'\\x", "$SHELL -c", "${SHELL} -c"); at >= 0 {
			found.Add(clue.ShellEvasion, at, 4)
			return
		}
	}
	if !t.Bytes.Any(lexicon.Quote|lexicon.Backslash|lexicon.Dollar|lexicon.Brace|lexicon.Star|lexicon.Bracket) ||
		!t.Bytes.Any(separators|lexicon.Slash|lexicon.Brace) {
		return
	}
	words(t, found)
	if t.Bytes.All(lexicon.Slash) && t.Bytes.Any(lexicon.Star|lexicon.Bracket|lexicon.Dollar) {
		arguments(t, found)
	}
}

// beginning are the bytes behind which a shell begins another command.
const beginning = lexicon.Semicolon | lexicon.Pipe | lexicon.Ampersand | lexicon.Backtick | lexicon.Paren | lexicon.Line | lexicon.Brace

// mostWords bounds how many of them are looked at in a value, which takes a quarter of a
// microsecond each at most.
const mostWords = 1024

// longestWord bounds how far a word is read, since another one may begin within it.
const longestWord = 64

// words puts the words behind separators together and asks whether they are commands
// that they did not seem to be.
func words(t *lexicon.Text, found *clue.List) {
	s, long, looked, patterns := t.S, len(t.S) > longestEntered, 0, 0
	for i := 0; i < len(s) && looked < mostWords; i++ {
		if i > 0 && (lexicon.Kind(s[i-1])&beginning == 0 || long && s[i-1] == '&' || s[i] == s[i-1]) {
			continue
		}
		looked++
		at := lexicon.SkipSpace(s, i)
		end := at + wordEnd(lexicon.Window(s, at, longestWord), 0)
		for at < end && s[at] == '`' { // blocks of Markdown
			at++
		}
		raw := s[at:end]
		if patterned(raw) {
			patterns++
		}
		if patterns <= mostPatterns && globs(raw) || expanded(raw) || disguised(raw, i > 0 && s[i-1] != '\n' && !long) && !listed(s, i, at) {
			found.Add(clue.ShellEvasion, at, end-at)
			return
		}
	}
}

// disguised tells a command whose name has in it what a shell drops.
func disguised(raw string, separated bool) bool {
	if !strings.ContainsAny(raw, "'\"\\$`") || contracted(raw) {
		return false
	}
	plain := unquote(raw)
	if len(plain) < 2 || len(plain) == len(raw) {
		return false
	}
	name, rooted := baseName(plain)
	return lexicon.Groups(name).Any(commands) && (separated || rooted || inside(raw))
}

// wordEnd is where a word of a shell ends.
func wordEnd(s string, i int) int {
	for ; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\n', '\r', '\v', '\f', ';', '|', '&', '<', '>', ')':
			return i
		case '\\':
			i++
		}
	}
	return len(s)
}

// unquote takes out what a shell drops: quotes, backslashes, empty variables and empty
// substitutions.
func unquote(raw string) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '\'' || c == '"' || c == '\\', c == '`' && (i+1 < len(raw) && raw[i+1] == '`' || i > 0 && raw[i-1] == '`'):
		case strings.HasPrefix(raw[i:], "$()"):
			i += 2
		case c == '$' && i+1 < len(raw) && (raw[i+1] == '@' || raw[i+1] == '*' || lexicon.IsDigit(raw[i+1])):
			i++
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// inside tells whether a quote or a backslash stands within the word, where nobody
// needs one.
func inside(raw string) bool {
	for i := 1; i+1 < len(raw); i++ {
		if strings.IndexByte("'\"\\`", raw[i]) >= 0 && lexicon.IsLetter(raw[i-1]) &&
			(lexicon.IsLetter(raw[i+1]) || raw[i+1] == raw[i]) {
			return true
		}
	}
	return false
}

// expanded tells a command in braces: {cat,/etc/passwd}, {,id}.
func expanded(raw string) bool {
	if len(raw) < 5 || raw[0] != '{' {
		return false
	}
	name, rest, ok := strings.Cut(raw[1:], ",")
	if name == "" && ok {
		name = strings.TrimRight(rest[:strings.IndexAny(rest+",", ",}")], " ")
		return name != "" && lexicon.Groups(name).Any(commands) && strings.HasSuffix(raw, "}")
	}
	return ok && rest != "" && lexicon.Groups(name).Any(commands) && (rest != "}" || len(raw) < 16)
}
