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
		"invoke-expression", "iex(", "regsvr32 /", "/inet/tcp/", "/inet/udp/", "iex (", "net.webclient", "xterm -display"); which >= 0 {
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
	if at, _ := lexicon.IndexAny(s, "curl", "wget", "base64", "echo", "fetch", "xxd", "cat<<<", "nohup ", "printf"); at < 0 {
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
