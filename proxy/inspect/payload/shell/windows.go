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
		"powershell -c", "%comspec%", "system32\\cmd", "system32/cmd", "&dir c:", "| dir", "|dir", "& dir", "; dir c:",
		"wmic process", "net user ", "net localgroup", "rundll32 ", "mshta http", "type c:\\", "type c:/", "type %systemroot%")
	if at >= 0 {
		found.Add(clue.ShellWindows, at, 8)
	}
}

// cmdlets looks for PowerShell that is told to fetch or to start something: by the name of
// the cmdlet, or by an alias of it behind a separator.
func cmdlets(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longestCommand || t.Document() {
		return
	}
	if at := cmdlet(t.Lower()); at >= 0 {
		found.Add(clue.ShellWindows, at, 8)
	}
}

func cmdlet(s string) int {
	for _, name := range [...]string{"invoke-webrequest", "invoke-restmethod", "start-process", "invoke-wmimethod", "invoke-command", "new-object "} {
		if i := strings.Index(s, name); i >= 0 && (i == 0 || lexicon.Kind(s[i-1])&lexicon.Letter == 0) && argued(s[i+len(name):]) {
			return i
		}
	}
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
