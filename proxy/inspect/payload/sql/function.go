package sql

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// function is for one that no value names by chance.
func (r *reader) function(n int) {
	if r.at(n-1).kind == dot && r.at(n-2).kind != dot && !r.is(n-2, "dbms_pipe", "dbms_lock", "utl_inaddr", "ctxsys", "drithsx", "dbms_ldap") {
		return // time.sleep(5): a method of another language
	}
	strong := false
	switch {
	case r.is(n, "sleep"):
		strong = r.at(n+1).kind == open && r.delay(n+2) && r.injected(n)
	case r.is(n, "benchmark"):
		// How often, and what. "Benchmark (release)" is a title.
		strong = r.at(n+1).kind == open && r.injected(n) && (r.at(n+2).kind != word || r.isCall(n+2)) && r.at(n+2).kind != other
	case r.is(n, "waitfor"):
		strong = r.is(n+1, "delay", "time") && r.at(n+2).kind == text
	case r.is(n, "outfile", "dumpfile"):
		strong = r.is(n-1, "into") && r.at(n+1).kind == text
	case r.is(n, "infile"):
		strong = r.is(n-1, "data", "local")
	case r.is(n, "analyse", "analyze"):
		strong = r.is(n-1, "procedure") && r.at(n+1).kind == open
	case r.is(n, "xp_cmdshell", "xp_dirtree", "xp_regread", "sp_oacreate", "xp_fileexist", "sp_executesql"):
		strong = r.is(n-1, "exec", "execute") || r.at(n-1).kind == dot || r.at(n+1).kind == text || r.at(n+1).kind == open
	case r.is(n, "utl_http", "utl_inaddr", "dbms_pipe", "dbms_lock", "dbms_ldap", "ctxsys", "dbms_scheduler", "dbms_xmlgen"):
		strong = r.at(n+1).kind == dot && r.at(n+2).kind == word &&
			(r.at(n+3).kind == open || r.at(n+3).kind == dot || r.reading == inQuote && n <= 2)
	case r.is(n, "exp", "polygon", "linestring", "multipoint", "json_keys", "geometrycollection", "floor", "group_concat",
		"copy", "receive_message", "make_set"):
		strong = r.at(n+1).kind == open && r.nested(n+2)
	default:
		strong = r.at(n+1).kind == open && r.injected(n)
	}
	if strong {
		r.add(clue.SQLFunction, n, n+1)
	}
}

// delay tells whether a constant or a condition is waited for.
func (r *reader) delay(n int) bool {
	_, ok := r.constant(n)
	return ok || r.at(r.skipSigns(n)).kind == word && r.at(r.skipSigns(n)+1).kind == open || r.is(n, "if", "case")
}

// nested tells whether an argument is computed by SQL: a SELECT, ~ or concat.
func (r *reader) nested(n int) bool {
	for i := n; i < n+6; i++ {
		if r.is(i, "select", "concat", "distinct", "table_name", "column_name", "schema_name") {
			return true
		}
	}
	return r.at(n).kind == sign && r.s[r.at(n).at] == '~'
}

// injected tells whether a function stands where a value of a field is: the value is
// short, and no line of source code.
func (r *reader) injected(n int) bool {
	if r.text.Document() {
		return false
	}
	before := r.at(n - 1)
	return r.short() || r.joins(n-1) || before.kind == open && r.is(n-2, "select", "if", "and", "or") ||
		r.is(n-1, "select", "and", "or", "by", "then")
}

// variable is for @@version and its like, where SQL reads them.
func (r *reader) variable(n int) {
	t := r.at(n)
	if t.end-t.at < 5 || r.s[t.at+1] != '@' {
		return
	}
	name := lexicon.FoldASCII(r.s[t.at+2 : t.end])
	switch name {
	case "version", "datadir", "hostname", "basedir", "servername", "version_compile_os", "tmpdir", "secure_file_priv":
		if r.short() {
			r.add(clue.SQLSubquery, n, n)
		}
	}
}
