package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// batch looks for a value that is one FOR or IF of cmd.exe, as "help for" and "help if"
// describe them:
//
//	FOR [/D|/R path|/L|/F "options"] %variable IN (set) DO command
//	IF [/I] [NOT] EXIST file|DEFINED name|ERRORLEVEL number|a==b|a EQU b command
func batch(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longestCommand || t.Lines() > 0 || !t.Bytes.Any(lexicon.Percent|lexicon.Equals|lexicon.Paren) && !t.Entered {
		return
	}
	start := lexicon.SkipSpace(t.S, 0)
	for start < len(t.S) && strings.IndexByte("&|;( ", t.S[start]) >= 0 {
		start++
	}
	end := lexicon.WordEnd(t.S, start)
	if first := t.S[start:end]; !lexicon.EqualFold(first, "for") && !lexicon.EqualFold(first, "if") {
		return
	}
	words := strings.Fields(lexicon.FoldASCII(t.S[start:]))
	switch {
	case words[0] == "for" && loops(words[1:]), t.Entered && strings.HasPrefix(words[0], "if") && decides(words):
		found.Add(clue.ShellWindows, start, end-start)
	}
}

// loops tells the words of FOR: a variable, a set in parentheses, a command.
func loops(words []string) bool {
	variable, set := false, false
	for i, w := range words {
		switch {
		case w[0] == '%' && len(w) > 1:
			variable = true
		case w == "in" && variable && i+1 < len(words) && words[i+1][0] == '(':
			set = true
		case set && (w == "do" || strings.HasSuffix(w, ")do")):
			return i+1 < len(words)
		}
	}
	return false
}

// decides tells the words of IF: a condition that cmd.exe has and a command behind.
func decides(words []string) bool {
	if words[0] == "if" {
		words = words[1:]
	} else if words[0] != "if/i" {
		return false
	}
	for len(words) > 0 && (words[0] == "/i" || words[0] == "not") {
		words = words[1:]
	}
	if len(words) < 2 || strings.HasSuffix(words[1], ",") {
		return false
	}
	switch words[0] {
	case "exist", "defined", "errorlevel", "cmdextversion":
		return acts(words[2:], 1)
	}
	// What is compared may have spaces in quotes.
	const most = 4
	switch words[1] {
	case "==", "equ", "neq", "lss", "leq", "gtr", "geq":
		return len(words) > 3 && acts(words[3:], most)
	}
	return strings.Contains(words[0], "==") && acts(words[1:], most)
}

// acts tells whether one of the first words is a command of cmd.exe.
func acts(words []string, most int) bool {
	for _, w := range words[:min(most, len(words))] {
		switch strings.Trim(w, "(@)") {
		case "", "echo", "goto", "set", "call", "cmd", "exit", "del", "copy", "cd", "start", "type", "md":
			return true
		}
	}
	return false
}
