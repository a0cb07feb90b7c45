package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestCommand bounds a value that is taken for one command.
const longestCommand = 256

// whole is for a value that is one command. Documents describe jobs by them; a parameter
// that is one is for somebody who lets callers choose what runs.
func whole(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longestCommand || t.Document() {
		return
	}
	c, ok := read(t.S, lexicon.SkipSpace(t.S, 0))
	if !ok || c.argument == "" || c.name == "find" && !c.argued() {
		return
	}
	secret := t.Words.Any(lexicon.File) && strings.Contains(t.Lower(), "/etc/")
	quoted := c.groups.Any(lexicon.Interpreter) && c.option && strings.ContainsAny(t.S, "'\"")
	if !c.points() || !secret && !quoted && !c.argued() || c.name == "set" && !secret {
		if t.Entered && (c.runs(t.S) || c.name == "alias" && assigns(t.S[c.end:])) {
			found.Add(clue.ShellDirect, 0, c.end)
		}
		return
	}
	// Several in a row are a script, which is for a job.
	if t.Entered && !t.Bytes.Any(lexicon.Semicolon|lexicon.Pipe|lexicon.Ampersand) {
		found.Add(clue.ShellDirect, 0, c.end)
		return
	}
	found.Add(clue.ShellCommand, 0, c.end)
}

// runs tells whether the command is one that runs the next word, and that is a command:
// time ifconfig, nohup sh -c.
func (c *command) runs(s string) bool {
	switch c.name {
	case "time", "strace", "ltrace", "nohup", "sudo", "doas", "busybox", "xargs", "setsid", "stdbuf", "nice", "unshare":
	default:
		return false
	}
	next, ok := read(s, lexicon.SkipSpace(s, c.end))
	return ok && (next.argued() || next.ended && (next.proves() || next.name == "who"))
}

// assigns tells whether what follows alias gives a name to something.
func assigns(s string) bool {
	name, value, ok := strings.Cut(s, "=")
	return ok && value != "" && len(name) < 32 && value[0] != ' '
}
