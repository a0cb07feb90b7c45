package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// document looks at a text of several lines for what nobody writes about without marking
// it as code: shells for another machine, and commands that begin where a quotation ends.
// In code they are a hint, since that is what tickets about attacks look like.
func document(t *lexicon.Text, found *clue.List) {
	s := t.Lower()
	at, _ := lexicon.IndexAny(s, "/dev/tcp/", "/dev/udp/", "/inet/tcp/", "nc -e /", "ncat -e /", "bash -i >&", "sh -i >&", "sh -i 2>&1|nc", "pty.spawn(")
	if at >= 0 {
		found.Add(weighed(t.S, at, clue.ShellRemote), at, 8)
		return
	}
	if !t.Bytes.Any(lexicon.Semicolon | lexicon.Pipe | lexicon.Ampersand) {
		return
	}
	for i := 0; i < len(t.S); i++ {
		if strings.IndexByte(";|&", t.S[i]) < 0 {
			continue
		}
		end := separatorEnd(t.S, i)
		if breaksOut(t.S, i) && reaches(t.S, end) {
			found.Add(weighed(t.S, i, clue.ShellChain), i, end-i)
			return
		}
		i = end - 1
	}
}

// weighed is the kind of a clue, or that of a quotation where it stands in code.
func weighed(s string, at int, kind clue.Kind) clue.Kind {
	if lexicon.InCode(s, at) {
		return clue.ShellQuoted
	}
	return kind
}

// breaksOut tells a separator behind a quote, or one that a line begins with, where the
// line has no command in front: neither a text nor a script is written like that. A bar
// begins the rows of tables, and && goes on with the line before.
func breaksOut(s string, at int) bool {
	begin := strings.LastIndexByte(s[:at], '\n') + 1
	before := strings.TrimLeft(s[begin:at], " \t$#>-")
	if before == "" {
		return s[at] == ';' || s[at] == '&' && s[at+1:] != "" && s[at+1] != '&'
	}
	if strings.IndexByte(`"'`, s[at-1]) < 0 {
		return false
	}
	_, command := read(before, 0)
	return !command && !assignment(before)
}

// assignment tells a line that sets a variable: what is quoted behind it is its value.
func assignment(line string) bool {
	end := lexicon.WordEnd(line, 0)
	return end > 0 && end < len(line) && line[end] == '='
}

// reaches tells whether the command at i is one that reads a secret, or that asks or
// serves another machine.
func reaches(s string, i int) bool {
	c, ok := read(s, lexicon.SkipSpace(s, i))
	if !ok || !c.points() {
		return false
	}
	rest := lexicon.FoldASCII(lexicon.Window(s, c.end, longestCommand))
	if n := strings.IndexByte(rest, '\n'); n >= 0 {
		rest = rest[:n]
	}
	at, _ := lexicon.IndexAny(rest, "/etc/passwd", "/etc/shadow", "/proc/self", ".ssh/", "://", "|sh", "| sh", "|bash", "| bash", "/bin/sh", "/bin/bash", "base64 -d")
	return at >= 0
}
