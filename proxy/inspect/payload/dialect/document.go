package dialect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// operators are those of MongoDB that change what a comparison means.
var operators = [...]string{
	"$ne", "$gt", "$gte", "$lt", "$lte", "$nin", "$in", "$regex", "$where", "$exists", "$or", "$and", "$not", "$nor",
	"$type", "$expr", "$function", "$accumulator", "$jsonschema", "$text", "$mod", "$all", "$size", "$elemmatch",
}

// document looks for an operator as the whole value of a parameter in JSON, and for the
// scripts that databases run.
func document(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if i := strings.Index(lower, "$where"); i >= 0 && scripted(lower[i:]) {
		found.Add(clue.QueryScript, i, 6)
	}
	if at, _ := lexicon.IndexAny(lower, "', $or:", "', $or :", "',$or:", "', $where:", "',$where:", "\", \"$or\":", "\",\"$or\":", "', '$or':", "','$or':"); at >= 0 {
		found.Add(clue.QueryOperator, at, 8)
	}
	if len(lower) < 128 && strings.HasPrefix(strings.TrimSpace(lower), "{") {
		inside := strings.TrimLeft(strings.TrimSpace(lower)[1:], " '\"")
		op := operator(inside)
		switch at := strings.Index(lower, op); {
		case op == "" || !trivial(op, inside[len(op):]):
		case t.Entered:
			found.Add(clue.QueryOperator, at, len(op))
		default:
			found.Add(clue.QueryTrivial, at, len(op))
		}
	}
}

// trivial tells whether what follows an operator, up to the end of its member, makes the
// condition hold for everything, or for what begins with a letter that is tried: that is
// how a password is not asked for, or guessed. Filters compare with what they are about.
func trivial(op, rest string) bool {
	operand := strings.Trim(strings.TrimLeft(rest, "'\" \t\r\n:"), " }\t\r\n")
	text := strings.Trim(operand, "'\"")
	switch op {
	case "$ne", "$nin", "$not":
		return len(text) <= 1 || text == "null" || text == "-1" || text == "[]" || text == "{}" || text == "undefined"
	case "$gt", "$gte":
		return text == "" || text == "null" || text == "undefined" || text == "-1"
	case "$lt", "$lte":
		return text == "" || text == "~" || text == "null"
	case "$regex":
		return len(strings.Trim(text, ".*^$+/")) <= 1
	case "$or":
		return strings.Contains(operand, "{}") || strings.Contains(operand, "{ }") || constant(operand)
	case "$where", "$function", "$expr":
		return true
	}
	return false
}

// constant tells a list whose first member has the value of its name: [{"a":"a"}.
func constant(list string) bool {
	name, rest, _ := strings.Cut(strings.TrimLeft(list, "[{ '\""), ":")
	value, _, _ := strings.Cut(rest, "}")
	name, value = strings.Trim(name, "'\" "), strings.Trim(value, "'\" ")
	return name != "" && name == value
}

// Operator tells whether the name of a member is an operator, whose operand is to be
// looked at together with it.
func Operator(name string) bool {
	return name != "" && name[0] == '$' && operator(lexicon.FoldASCII(name)) == lexicon.FoldASCII(name)
}

// operator is the one that a text begins with.
func operator(s string) string {
	for _, op := range operators {
		if strings.HasPrefix(s, op) && (len(s) == len(op) || !lexicon.IsWord(s[len(op)])) {
			return op
		}
	}
	return ""
}

func scripted(s string) bool {
	return strings.ContainsAny(s, "(=;") && (strings.Contains(s, "this") || strings.Contains(s, "function") || strings.Contains(s, "sleep") ||
		strings.Contains(s, "return") || strings.Contains(s, "=="))
}

// scripts looks for conditions of JavaScript behind a quote: '||'1'=='1, ';return true;.
func scripts(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if i := collection(lower); i >= 0 {
		found.Add(clue.QueryScript, i, 3)
		return
	}
	at, _ := lexicon.IndexAny(lower, "'||'1'=='1", "' || '1'=='1", "\"||\"1\"==\"1", "'||1==1", "' || 1==1", "'||'a'=='a", "';return", "';return true",
		"'; return ", "' && this.", "'&&this.", "' || this.", "'||this.", ";sleep(", "db.getcollectionnames", "db.users.find", "tojson(",
		"1;return true", "0;return true", "';while(true)", "';while(1)", ";var date=new date()", "'==='1", "'%00")
	if at >= 0 && (strings.Contains(lower[at:], "==") || strings.Contains(lower, "return") || strings.Contains(lower, "this.") ||
		strings.Contains(lower, "db.") || strings.Contains(lower, "tojson") || strings.Contains(lower, "while(")) {
		found.Add(clue.QueryScript, at, 4)
	}
}

// collection is where a value is a call of the shell of MongoDB: db.users.insert({…}),
// by itself or behind the end of a statement; -1 for none.
func collection(lower string) int {
	i := strings.Index(lower, "db.")
	if i < 0 || !begins(lower[:i]) {
		return -1
	}
	name := lower[i+3:]
	name = name[lexicon.WordEnd(name, 0):]
	for _, method := range [...]string{".insert(", ".insertone(", ".remove(", ".deletemany(", ".drop(", ".update(", ".updatemany(", ".save(", ".find(", ".dropdatabase("} {
		if strings.HasPrefix(name, method) {
			return i
		}
	}
	return -1
}

// begins tells whether a statement of a script may begin behind some text: nothing, or
// the end of another one.
func begins(before string) bool {
	before = strings.TrimRight(before, " ")
	return before == "" || strings.IndexByte(";'\"})", before[len(before)-1]) >= 0
}

// Name looks at the name of a parameter, user[$ne], and of a member, $ne.
func Name(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Dollar) {
		return
	}
	lower := t.Lower()
	if lower[0] == '$' && operator(lower) == lower {
		found.Add(clue.QueryMember, 0, len(lower))
		return
	}
	i := strings.Index(lower, "[$")
	if i < 0 {
		return
	}
	if op := operator(lower[i+1:]); op != "" && strings.HasPrefix(lower[i+1+len(op):], "]") {
		found.Add(clue.QueryOperator, i+1, len(op))
	}
}
