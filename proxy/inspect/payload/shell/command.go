package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// A command is a word that a shell runs, and what follows it.
type command struct {
	name     string // in lower case, without its directory
	end      int    // of the name
	argument string // the first one; empty for none
	groups   lexicon.Group
	// ended tells that nothing follows, or a separator does; option that the first
	// argument is one.
	ended, option bool
	// rooted tells that the name was written with its directory: /bin/cat.
	rooted bool
}

// read reads the command at i.
func read(s string, i int) (c command, ok bool) {
	for i < len(s) && strings.IndexByte("({\"' \t", s[i]) >= 0 {
		i++
	}
	start := i
	for i < len(s) && (lexicon.IsWord(s[i]) || strings.IndexByte("/.-\\:", s[i]) >= 0 && i-start < 64) {
		i++
	}
	c.name, c.rooted = baseName(s[start:i])
	c.end = i
	if c.groups = lexicon.Groups(c.name); !c.groups.Any(commands) {
		c.name = withoutVersion(c.name)
		if c.groups = lexicon.Groups(c.name); !c.groups.Any(commands) {
			return c, false
		}
	}
	c.arguments(s)
	return c, true
}

// baseName is a program without its directory and its ending.
func baseName(path string) (name string, rooted bool) {
	name = strings.TrimRight(path, ".:")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name, rooted = name[i+1:], i > 0 && (strings.Contains(name[:i], "bin") || strings.Contains(name[:i], "system32"))
	}
	name = lexicon.FoldASCII(name)
	return strings.TrimSuffix(name, ".exe"), rooted
}

// withoutVersion is python for python3.10, and gcc for gcc-12.
func withoutVersion(name string) string {
	end := len(name)
	for end > 0 && (lexicon.IsDigit(name[end-1]) || name[end-1] == '.' || name[end-1] == '-') {
		end--
	}
	if end < 3 || end == len(name) { // c99 and its like are names
		return name
	}
	return name[:end]
}

func (c *command) arguments(s string) {
	at := c.end
	for at < len(s) && (s[at] == ' ' || s[at] == '\t' || s[at] == '+') {
		at++
	}
	// Behind a space a quote begins an argument, without one it ends a text around.
	quoted := at > c.end && at < len(s) && strings.IndexByte("'\"`", s[at]) >= 0 && strings.IndexByte(s[at+1:], s[at]) > 0
	if !quoted && (at >= len(s) || strings.IndexByte(";|&`)\n\r\"'#>}", s[at]) >= 0) {
		c.ended = true
		c.argument = redirection(s[at:])
		return
	}
	if at == c.end && s[at] != '<' && s[at] != '$' && s[at] != '>' {
		return // "cat:" and "id=5" are no commands
	}
	end := at + 1
	for end < len(s) && end < at+256 && !lexicon.IsSpace(s[end]) && strings.IndexByte(";|&`)", s[end]) < 0 {
		end++
	}
	c.argument = s[at:end]
	c.option = len(c.argument) > 1 && c.argument[0] == '-' && (lexicon.IsWord(c.argument[1]) || c.argument[1] == '-')
}

func redirection(s string) string {
	if s != "" && s[0] == '>' {
		return lexicon.Window(s, 0, 32)
	}
	return ""
}

// points tells whether the argument names a file, a host or a variable, or is an
// option: something that a sentence does not go on with.
func (c *command) points() bool {
	a := strings.Trim(c.argument, `"'`)
	switch {
	case a == "":
		return c.rooted && c.ended
	case c.option, strings.IndexByte("/$~<>*\\{`", a[0]) >= 0, strings.HasPrefix(a, "./"), strings.HasPrefix(a, "../"):
		return true
	case strings.Contains(a, "://"), strings.Contains(a, "/etc/"), isAddress(a):
		return true
	case len(a) > 2 && a[1] == ':' && (a[2] == '\\' || a[2] == '/'):
		return true
	}
	return c.rooted
}

// isAddress tells 127.0.0.1 and its like.
func isAddress(a string) bool {
	dots := 0
	for i := range len(a) {
		switch {
		case a[i] == '.':
			dots++
		case !lexicon.IsDigit(a[i]):
			return false
		}
	}
	return dots == 3
}

// argued tells whether the command has an argument that fits it.
func (c *command) argued() bool {
	if c.points() {
		return true
	}
	a := c.argument
	switch c.name {
	case "sleep", "kill", "exit", "timeout", "usleep":
		return a != "" && lexicon.IsDigit(a[0])
	case "ps":
		return c.option || a == "aux" || a == "ax" || a == "auxf" || a == "auxw"
	case "ip":
		return c.option || a == "addr" || a == "a" || a == "route" || a == "link" || a == "neigh"
	case "getent":
		return a == "hosts" || a == "passwd" || a == "group" || a == "shadow" || a == "ahosts"
	case "cd":
		return a == ".." || a == "~"
	case "ping", "nslookup", "dig", "wget", "curl", "telnet", "nc", "ncat", "ssh", "host", "traceroute", "tracert":
		return strings.IndexByte(a, '.') > 0 || a == "localhost"
	case "net", "sc", "reg", "netsh":
		a = lexicon.FoldASCII(a)
		return a == "user" || a == "localgroup" || a == "share" || a == "query" || a == "view" || a == "start" || a == "add" || a == "export"
	case "cat", "type", "more", "less", "head", "tail", "nl", "tac", "rm", "del", "copy", "touch", "strings":
		return strings.IndexByte(a, '.') > 0 && strings.IndexByte(a, '.') < len(a)-1 || a == "*"
	case "python", "python2", "python3", "perl", "php", "ruby", "node", "bash", "sh":
		return strings.IndexByte(a, '.') > 0 && strings.IndexByte(a, '.') < len(a)-1
	case "echo", "printf":
		return a != "" && (strings.IndexByte(`'"$`, a[0]) >= 0 || lexicon.IsDigit(a[0]) || strings.ContainsAny(a, "_-|="))
	case "uname", "ls", "ifconfig", "id", "dir", "set":
		return c.option
	case "chmod", "chown":
		return a != "" && (lexicon.IsDigit(a[0]) || a[0] == '+' || strings.Contains(a, ":"))
	case "busybox", "sudo", "nohup", "xargs", "exec", "env", "time", "strace", "ltrace", "setsid", "stdbuf", "nice", "doas", "unshare":
		return lexicon.Groups(a).Any(commands) && a != ""
	case "trap", "eval":
		return a != "" && strings.IndexByte(`'"`, a[0]) >= 0
	}
	return false
}

// proves tells the commands that attackers prove with that one runs, which say
// something without an argument.
func (c *command) proves() bool {
	switch c.name {
	case "id", "whoami", "ls", "uname", "ifconfig", "ipconfig", "netstat", "ps", "pwd", "printenv", "hostname", "systeminfo",
		"tasklist", "dir", "ver", "env", "reboot", "lsb_release", "groups", "bash", "sh", "arp", "df", "crontab",
		"phpinfo", "ping", "uptime", "export", "set", "visudo":
		return true
	}
	return c.rooted
}
