package code

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// sample tells code of PHP that manuals show: several lines of it, in which nothing runs
// code or programs, reads a request, or opens or includes files.
func sample(t *lexicon.Text, lower string) bool {
	if !t.Document() || strings.IndexByte(t.S, '`') >= 0 && !strings.Contains(t.S, "```") {
		return false
	}
	lower = strings.ReplaceAll(lower, "curl_exec(", "") // it sends a request
	at, _ := lexicon.IndexAny(lower, "exec", "eval", "system", "passthru", "popen", "proc_", "assert", "call_user", "create_function",
		"base64_", "gzinflate", "gzuncompress", "rot13", "preg_replace", "phpinfo", "move_uploaded", "dl(", "mail(", "$_", "include",
		"require", "globals", "php://", "${", "$$", "reflection", "fopen", "fputs", "fwrite", "fsockopen", "file_", "readfile", "unserialize",
		"array_map", "array_filter", "sort(", "extract", "parse_str", "\\x", "chr(", "getenv", "set_time_limit", "ini_set", "error_reporting",
		"getallheaders", "apache_", "filter_", "array_walk", "array_reduce", "iterator_", "ob_start", "register_", "strrev", "shell", "copy(", "rename(",
		"symlink", "chmod", "highlight_", "show_source", "stream_")
	return at < 0 && !computed(t.S)
}

// computed tells a call of what is not named where it is called: $f(…), $f['a'](…), ($f)(…).
// White space may stand in between; a comment there, nobody writes.
func computed(s string) bool {
	for i := range len(s) {
		if s[i] != '(' {
			continue
		}
		callee := strings.TrimRight(s[:i], " \t\r\n")
		if callee != "" && strings.IndexByte(")]}/", callee[len(callee)-1]) >= 0 {
			return true
		}
		begin := len(callee)
		for begin > 0 && (lexicon.IsWord(callee[begin-1]) || callee[begin-1] >= 0x80) {
			begin--
		}
		if begin < len(callee) && begin > 0 && callee[begin-1] == '$' {
			return true
		}
	}
	return false
}
