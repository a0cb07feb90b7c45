package code

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// calls looks at each call of a function that runs code or programs.
func calls(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := 0; i < len(s); i++ {
		if s[i] != '(' {
			continue
		}
		end := lexicon.BackSpace(s, i)
		for end > 0 && end < i+1 && strings.IndexByte(")'\"", s[end-1]) >= 0 { // ('system')('id')
			end--
		}
		start := lexicon.WordStart(s, end)
		if start == end || !lexicon.Groups(s[start:end]).Any(lexicon.CodeCall) {
			continue
		}
		c := call{text: t, at: start, name: lexicon.FoldASCII(s[start:end]), argument: lexicon.Window(s, i+1, 128)}
		if c.runs() {
			found.Add(clue.CodeCall, start, i+1-start)
			return
		}
	}
}

// A call is a function and what it is given.
type call struct {
	text     *lexicon.Text
	at       int
	name     string // in lower case
	argument string
}

func (c call) runs() bool {
	if len(c.text.S) > 400 && !c.nested() {
		return false
	}
	arg := strings.TrimLeft(c.argument, " @")
	quoted := arg != "" && strings.IndexByte("'\"`$", arg[0]) >= 0
	switch c.name {
	case "phpinfo":
		return strings.HasPrefix(arg, ")") || arg == "" || lexicon.IsDigit(arg[0]) || arg[0] == '-'
	case "passthru", "shell_exec", "pcntl_exec", "proc_open", "create_function", "call_user_func_array", "call_user_func",
		"file_put_contents", "base64_decode", "gzinflate", "str_rot13", "highlight_file", "show_source", "move_uploaded_file",
		"instance_eval", "class_eval", "check_output", "execsync", "spawnsync", "readfilesync", "execfile":
		return quoted || c.nested() || strings.HasPrefix(arg, "[")
	case "system", "exec", "popen", "eval", "assert", "file_get_contents", "readfile", "scandir", "getenv":
		return c.free() && (c.runsCommand(arg, quoted) || c.nested())
	case "print_r", "var_dump", "var_export", "print", "die", "exit", "md5", "echo":
		return c.free() && c.nested()
	case "chr":
		return strings.Count(lexicon.FoldASCII(lexicon.Window(c.text.S, c.at, 128)), "chr(") >= 3 && c.text.Bytes.Any(lexicon.Dot)
	case "preg_replace":
		return quoted && strings.Contains(lexicon.Window(arg, 0, 64), "/e")
	}
	return false
}

// free tells that a function is called by itself, not as a method of something: exec is
// a method of regular expressions and databases.
func (c call) free() bool {
	if c.at == 0 {
		return true
	}
	switch before := c.text.S[c.at-1]; before {
	case '.':
		return strings.HasSuffix(lexicon.FoldASCII(c.text.S[max(0, c.at-4):c.at]), "os.")
	case '>':
		return false
	default:
		return true
	}
}

// runsCommand tells whether the argument is a command, a file or code.
func (c call) runsCommand(arg string, quoted bool) bool {
	if !quoted {
		word := arg[:lexicon.WordEnd(arg, 0)]
		return strings.HasPrefix(arg[len(word):], ")") && lexicon.Groups(word).Any(lexicon.Command|lexicon.Interpreter) && len(c.text.S) < 64
	}
	inside := strings.TrimLeft(arg, "'\"`$ ")
	word := inside[:lexicon.WordEnd(inside, 0)]
	if lexicon.Groups(word).Any(lexicon.Command | lexicon.Interpreter | lexicon.CodeCall) {
		return true
	}
	return strings.HasPrefix(arg, "$_") || strings.HasPrefix(inside, "/") || strings.Contains(lexicon.Window(arg, 0, 64), "etc/passwd") ||
		strings.HasPrefix(inside, "php://") || c.name == "assert" && strings.Contains(arg, "(")
}

// nested tells whether the argument calls such a function itself.
func (c call) nested() bool {
	arg := strings.TrimLeft(c.argument, " @'\"")
	end := lexicon.WordEnd(arg, 0)
	at := lexicon.SkipSpace(arg, end)
	if end == 0 || at >= len(arg) || arg[at] != '(' {
		return strings.HasPrefix(arg, "$_GET") || strings.HasPrefix(arg, "$_POST") || strings.HasPrefix(arg, "$_REQUEST")
	}
	return lexicon.Groups(arg[:end]).Any(lexicon.CodeCall)
}
