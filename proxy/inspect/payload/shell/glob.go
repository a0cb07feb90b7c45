package shell

import (
	"path"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// globs tells a program's path that is written with wildcards, as /b?n/c[a]t: one that
// a shell would find a program by. The query of a URL has question marks, too.
func globs(raw string) bool {
	if !patterned(raw) {
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

// longestPattern bounds a path that is taken for one with wildcards.
const longestPattern = 64

// mostPatterns bounds how many words with wildcards of a value are compared with the
// names of files: each with sixty, some ten microseconds.
const mostPatterns = 16

// patterned tells a path with wildcards, of a directory that programs or secrets are in.
func patterned(raw string) bool {
	return len(raw) >= 5 && len(raw) <= longestPattern && raw[0] == '/' && strings.IndexByte("beu?*[", raw[1]) >= 0 &&
		strings.ContainsAny(raw, "?*[")
}

// arguments looks at the words of a value for the path of a secret file that is written
// with wildcards or with variables that are empty, or of a program: a shell finds them,
// whatever command they stand behind.
func arguments(t *lexicon.Text, found *clue.List) {
	s, patterns := t.S, 0
	if t.Bytes.Any(lexicon.Plus) && !t.Bytes.Any(lexicon.Space) {
		s = strings.ReplaceAll(s, "+", " ") // as in a query
	}
	for at := 0; at < len(s) && patterns < mostPatterns; {
		at = lexicon.SkipSpace(s, at)
		end := wordEnd(s, at)
		if raw := s[at:end]; raw != "" && (secretPattern(raw) || globs(withoutSlashes(raw)) && letters(raw) >= 2 || emptied(raw)) {
			found.Add(clue.ShellEvasion, at, end-at)
			return
		}
		if patterned(s[at:end]) {
			patterns++
		}
		at = end + 1
	}
}

// wanted are files that attackers prove with that they can read.
var wanted = [...]string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/issue", "/etc/subuid", "/proc/self/environ"}

// secretPattern tells a pattern by which a shell finds one of them. Routes and globs of
// sources have wildcards, too, but hardly the letters.
func secretPattern(raw string) bool {
	raw = withoutSlashes(raw)
	if !patterned(raw) || letters(raw) < 3 {
		return false
	}
	for _, file := range wanted {
		if ok, err := path.Match(raw, file); err == nil && ok {
			return true
		}
	}
	return false
}

// withoutSlashes takes out slashes within brackets, which a shell takes for letters of
// the set, and turns its ! into the ^ of path.Match.
func withoutSlashes(raw string) string {
	if strings.IndexByte(raw, '[') < 0 || len(raw) > longestPattern {
		return raw
	}
	out := make([]byte, 0, len(raw))
	inside := false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '[':
			inside = true
			out = append(out, c)
		case inside && c == '/':
		case inside && c == '!' && raw[i-1] == '[':
			out = append(out, '^')
		default:
			inside = inside && c != ']'
			out = append(out, c)
		}
	}
	return string(out)
}

func letters(s string) int {
	n := 0
	for i := range len(s) {
		if lexicon.IsLetter(s[i]) {
			n++
		}
	}
	return n
}

// emptied tells the path of a secret file in which variables stand that nobody has set:
// /etc$u/passwd$u.
func emptied(raw string) bool {
	if len(raw) > longestPattern || strings.IndexByte(raw, '$') < 0 || raw[0] != '/' {
		return false
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '$' && i+1 < len(raw) && lexicon.IsWord(raw[i+1]) {
			i = lexicon.WordEnd(raw, i+1) - 1
			continue
		}
		out = append(out, raw[i])
	}
	for _, file := range wanted {
		if string(out) == file {
			return true
		}
	}
	return false
}
