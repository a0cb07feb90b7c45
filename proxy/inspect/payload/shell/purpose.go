package shell

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// builds tells values that begin with a tool that builds and deploys software, and
// something that it is to do: the steps of pipelines and the scripts of packages.
func builds(s string) bool {
	name, rest, _ := strings.Cut(strings.TrimLeft(s, " \n"), " ")
	switch name {
	case "npm", "npx", "yarn", "pnpm", "go", "make", "cargo", "mvn", "gradle", "pip", "pip3", "poetry", "bundle", "docker", "kubectl",
		"helm", "terraform", "tsc", "jest", "mocha", "eslint", "webpack", "rimraf", "apt-get", "apk", "brew", "cmake", "bazel":
		return lexicon.WordEnd(rest, 0) > 1 || strings.HasPrefix(rest, "-")
	}
	return false
}

// leastAlternatives is how many words a list of alternatives has at least.
const leastAlternatives = 4

// alternative tells a word of a list, "page|ping|pink|play", as patterns and descriptions
// of types have them: a single bar on both sides of it, no spaces, and more of them.
func alternative(s string, at, end, after int) bool {
	if s[at] != '|' || end-at > 1 || at == 0 || !lexicon.IsWord(s[at-1]) || after >= len(s) || s[after] != '|' {
		return false
	}
	around := s[max(0, at-128):min(len(s), after+128)]
	return strings.Count(around, "|") > leastAlternatives && !strings.ContainsAny(around, ";&/")
}

// listed tells a name in quotes that is no command: the name of a member, unless it stands
// behind what ends a command, and one that stands alone on its line, as in lists and
// imports.
func listed(s string, from, at int) bool {
	q := s[at]
	if q != '"' && q != '\'' {
		return false
	}
	n := strings.IndexByte(s[at+1:], q)
	if n < 1 || lexicon.WordEnd(s[at+1:], 0) != n {
		return false
	}
	behind := strings.TrimLeft(s[at+n+2:], " \t")
	separated := from > 0 && strings.IndexByte(";|&`", s[from-1]) >= 0
	if !separated && (strings.HasPrefix(behind, ":") || strings.HasPrefix(behind, "=>") || strings.HasPrefix(behind, ". ")) {
		return true
	}
	return from > 0 && strings.IndexByte(s[from-1:at], '\n') >= 0 && (behind == "" || strings.IndexByte(",)]\r\n", behind[0]) >= 0 || isType(behind))
}

// isType tells what follows the name of a column in a definition of a table: INT, TEXT.
func isType(s string) bool {
	end := 0
	for end < len(s) && 'A' <= s[end] && s[end] <= 'Z' {
		end++
	}
	return end > 2 && (end == len(s) || strings.IndexByte(" ,(\n)", s[end]) >= 0)
}

// contracted tells a word with an apostrophe, as in "I'd": a quote of a shell has another
// that closes it.
func contracted(raw string) bool {
	before, after, ok := strings.Cut(raw, "'")
	return ok && after == strings.Trim(after, "'\"\\$`") && len(after) <= 2 && lexicon.WordEnd(before, 0) == len(before) &&
		lexicon.WordEnd(after, 0) == len(after) && before != ""
}
