package dialect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// ldap looks for the end of a filter and another one behind it: ")(cn=", "*)(|(". RFC
// 4515 joins filters by what stands in front of them, so nothing else looks like it.
func ldap(t *lexicon.Text, found *clue.List) {
	s := t.S
	open := 0
	for i := 0; i+2 < len(s); i++ {
		switch s[i] {
		case '(':
			open++
			continue
		case ')':
			open--
		default:
			continue
		}
		if s[i+1] == '(' && open < 0 && (filterBegins(s[i+2:]) || s[i+2:] == "*") {
			found.Add(clue.LDAPFilter, i, 3)
			return
		}
	}
	if strings.HasPrefix(s, "*)") && len(s) < 64 && (len(s) == 2 || s[2] == ')' || s[2] == '(' || s[2] == '%' || s[2] == '\x00') {
		found.Add(clue.LDAPFilter, 0, 2)
	}
	if strings.HasPrefix(s, "*(|(") || strings.HasPrefix(s, "*(&(") || open < -1 && strings.HasSuffix(s, "))\x00") || asksForSecrets(t.Lower()) {
		found.Add(clue.LDAPFilter, 0, len(s))
	}
}

// asksForSecrets tells a filter about passwords: by a matching rule, which compares bytes
// (RFC 4517, 4.2.17: 2.5.13.18), or in a condition that is put together with one of
// constants. Directories are asked for people by name.
func asksForSecrets(lower string) bool {
	_, rest, ok := strings.Cut(lower, "userpassword")
	if !ok {
		return false
	}
	return strings.HasPrefix(rest, ":2.5.13.") || strings.HasPrefix(rest, "=") && (strings.Contains(lower, "(1=0)") || strings.Contains(lower, "(1=1)") || strings.Contains(lower, "(!("))
}

// filterBegins tells "cn=", "|(cn=", "&(…", "!(…".
func filterBegins(s string) bool {
	for s != "" && strings.IndexByte("|&!(", s[0]) >= 0 {
		if len(s) == 1 || s[0] != '(' && (s[1] == '(' || s[1] == ')') {
			return s[0] != '('
		}
		s = s[1:]
	}
	end := 0
	for end < len(s) && (lexicon.IsWord(s[end]) || s[end] == '-') {
		end++
	}
	if end < 1 || end > 32 {
		return false
	}
	rest := s[end:]
	return strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "=>") ||
		strings.HasPrefix(rest, ">=") || strings.HasPrefix(rest, "~=")
}
