package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// windows looks for commands of Windows, whose separators stand in URLs as well.
func windows(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Backslash|lexicon.Slash|lexicon.Dot|lexicon.Percent) || t.Document() {
		return
	}
	s := t.Lower()
	at, _ := lexicon.IndexAny(s, "cmd.exe /c", "cmd.exe+/c", "cmd /c", "cmd+/c", "cmd.exe /k", "cmd.exe?/c", "powershell.exe -",
		"powershell -c", "%comspec%", "system32\\cmd", "system32/cmd", "&dir c:", "; dir c:",
		"wmic process", "net user ", "net localgroup", "rundll32 ", "mshta http", "type c:\\", "type c:/", "type %systemroot%")
	if at < 0 {
		at = lists(s)
	}
	if at >= 0 {
		found.Add(clue.ShellWindows, at, 8)
	}
}

// lists is where a separator and "dir" stand, which is no part of "directory"; -1 for
// nowhere.
func lists(s string) int {
	for _, command := range [...]string{"|dir", "| dir", "& dir"} {
		if at := strings.Index(s, command); at >= 0 && lexicon.WordEnd(s, at+len(command)) == at+len(command) {
			return at
		}
	}
	return -1
}

// cmdlets looks for PowerShell that is told to fetch or to start something: by the name of
// the cmdlet, or by an alias of it behind a separator.
func cmdlets(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longestCommand || t.Document() {
		return
	}
	at := -1
	if t.Bytes.Any(lexicon.Minus) {
		at = named(t.Lower())
	}
	if at < 0 && t.Bytes.Any(lexicon.Semicolon|lexicon.Pipe|lexicon.Ampersand|lexicon.Paren) {
		at = aliased(t.Lower())
	}
	if at >= 0 {
		found.Add(clue.ShellWindows, at, 8)
	}
}

// named is where a cmdlet with an argument stands; -1 for none.
func named(s string) int {
	for _, name := range [...]string{"invoke-", "start-process", "new-object "} {
		i := strings.Index(s, name)
		if i < 0 || i > 0 && lexicon.IsLetter(s[i-1]) {
			continue
		}
		rest := s[i+len(name):]
		if name == "invoke-" {
			end := lexicon.WordEnd(rest, 0)
			switch rest[:end] {
			case "webrequest", "restmethod", "wmimethod", "command", "cimmethod", "expression":
				rest = rest[end:]
			default:
				continue
			}
		}
		if argued(rest) {
			return i
		}
	}
	return -1
}

// aliased is where an alias of one stands behind a separator; -1 for none.
func aliased(s string) int {
	for i := range len(s) {
		if strings.IndexByte(";|&(", s[i]) < 0 {
			continue
		}
		at := lexicon.SkipSpace(s, i+1)
		end := lexicon.WordEnd(s, at)
		switch s[at:end] {
		case "iwr", "irm", "iex", "iwmi", "icm", "saps":
			if argued(s[end:]) {
				return at
			}
		}
	}
	return -1
}

// argued tells whether a cmdlet is given an option, a variable, a URL or an expression.
func argued(s string) bool {
	rest := strings.TrimLeft(s, " ")
	if rest == "" || rest == s && s[0] != '(' {
		return false
	}
	return strings.IndexByte("-$('\"{", rest[0]) >= 0 || strings.Contains(lexicon.Window(rest, 0, 16), "://") || strings.HasPrefix(rest, "net.webclient")
}
