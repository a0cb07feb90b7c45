package shell

import (
	"path"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestEvasion bounds a value that is looked at for disguised commands.
const longestEvasion = 1024

// evasions looks for commands whose words are taken apart.
func evasions(t *lexicon.Text, found *clue.List) {
	s := t.S
	if len(s) > longestEvasion || t.Document() {
		return
	}
	if t.Bytes.Any(lexicon.Dollar) {
		if at, _ := lexicon.IndexAny(s, "${IFS", "$IFS", "${PATH:", "${HOME:", "${SHELL:", "$'\\x"); at >= 0 {
			found.Add(clue.ShellEvasion, at, 4)
			return
		}
	}
	if !t.Bytes.Any(lexicon.Quote|lexicon.Backslash|lexicon.Dollar|lexicon.Brace|lexicon.Star) ||
		!t.Bytes.Any(separators|lexicon.Slash|lexicon.Brace) {
		return
	}
	words(t, found)
}

// words puts the words behind separators together and asks whether they are commands
// that they did not seem to be.
func words(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := 0; i < len(s); i++ {
		if i > 0 && strings.IndexByte(";|&`(\n{", s[i-1]) < 0 {
			continue
		}
		at := lexicon.SkipSpace(s, i)
		end := wordEnd(s, at)
		for at < end && s[at] == '`' { // blocks of Markdown
			at++
		}
		if raw := s[at:end]; globs(raw) || expanded(raw) || disguised(raw, at > 0) && !listed(s, i, at) {
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
	for i < len(s) && !lexicon.IsSpace(s[i]) && strings.IndexByte(";|&<>)", s[i]) < 0 {
		if s[i] == '\\' {
			i++
		}
		i++
	}
	return min(i, len(s))
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

// globs tells a program's path that is written with wildcards, as /b?n/c[a]t: one that
// a shell would find a program by. The query of a URL has question marks, too.
func globs(raw string) bool {
	if len(raw) < 5 || len(raw) > 64 || raw[0] != '/' || !strings.ContainsAny(raw, "?*[") {
		return false
	}
	for _, dir := range [...]string{"/bin/", "/usr/bin/"} {
		for _, program := range globbed {
			if ok, err := path.Match(raw, dir+program); err == nil && ok {
				return true
			}
		}
	}
	return false
}

// globbed are programs that are called this way.
var globbed = [...]string{
	"cat", "ls", "id", "sh", "bash", "nc", "wget", "curl", "more", "less", "head", "tail", "nl", "tac", "od", "xxd", "uname",
	"whoami", "python", "python3", "perl", "ping", "nc.openbsd", "nc.traditional", "base64", "sleep",
}

// expanded tells a command in braces: {cat,/etc/passwd}.
func expanded(raw string) bool {
	if len(raw) < 6 || raw[0] != '{' {
		return false
	}
	name, rest, ok := strings.Cut(raw[1:], ",")
	return ok && rest != "" && lexicon.Groups(name).Any(commands)
}
