package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// remote looks for shells that are given to another machine, and for programs that
// are loaded and run at once.
func remote(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Slash|lexicon.Pipe|lexicon.Minus|lexicon.Paren) || t.Document() {
		return
	}
	s := t.Lower()
	if at, which := lexicon.IndexAny(s, "/dev/tcp/", "/dev/udp/", "nc -e", "nc.exe -e", "ncat -e", "nc -c ", "-e /bin/",
		"bash -i", "sh -i ", "mkfifo /", "socket.socket(", "pty.spawn", "fsockopen(", "powershell -e", "powershell -nop",
		"-encodedcommand", "downloadstring", "downloadfile(", "bitsadmin /", "certutil -urlcache", "certutil.exe -urlcache",
		"invoke-expression", "iex(", "regsvr32 /"); which >= 0 {
		found.Add(clue.ShellRemote, at, 8)
		return
	}
	if i := shellshock(s); i >= 0 {
		found.Add(clue.ShellRemote, i, 4)
		return
	}
	if i := piped(s); i >= 0 {
		found.Add(clue.ShellRemote, i, 1)
	}
}

// shellshock is where a value begins as a function that old versions of bash take from the
// environment, with commands behind (CVE-2014-6271); -1 for none.
func shellshock(s string) int {
	i := lexicon.SkipSpace(s, 0)
	body, ok := strings.CutPrefix(s[i:], "()")
	if body = strings.TrimLeft(body, " "); !ok || !strings.HasPrefix(body, "{") {
		return -1
	}
	_, behind, ok := strings.Cut(body, "}")
	if !ok || !strings.HasPrefix(strings.TrimLeft(behind, " "), ";") {
		return -1
	}
	return i
}

// piped is where something that was loaded, or decoded, goes into an interpreter.
func piped(s string) int {
	if at, _ := lexicon.IndexAny(s, "curl", "wget", "base64", "echo", "fetch", "xxd"); at < 0 {
		return -1
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '|' {
			continue
		}
		if c, ok := read(s, lexicon.SkipSpace(s, i+1)); ok && c.groups.Any(lexicon.Interpreter) && (c.ended || c.option) {
			return i
		}
	}
	return -1
}

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

// whole is for a value that is one command.
func whole(t *lexicon.Text, found *clue.List) {
	if len(t.S) > 256 || t.Document() {
		return
	}
	c, ok := read(t.S, lexicon.SkipSpace(t.S, 0))
	if !ok || c.argument == "" {
		return
	}
	secret := t.Words.Any(lexicon.File) && strings.Contains(t.Lower(), "/etc/")
	switch {
	case c.points() && (secret || c.groups.Any(lexicon.Interpreter) && c.option && strings.ContainsAny(t.S, "'\"")):
		found.Add(clue.ShellCommand, 0, c.end)
	case c.points() && c.argued() && c.name != "find" && c.name != "set":
		found.Add(clue.ShellCommand, 0, c.end)
	}
}
